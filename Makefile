# Two commands matter: `make run` and `make test`. Both install what they need and are quick when nothing changed.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

PORT ?= 8000
# The engines of `make test`; the first one also runs the deep extras. Fewer: FLEETUNE_ENGINES=firefox make test
export FLEETUNE_ENGINES ?= chromium,firefox,webkit
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet install
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
PAGE := browser/node_modules/.installed
KERNELS := kernels_wasm/dist/manifest.json
KERNEL_SOURCES := $(wildcard kernels_wasm/*.py kernels_wasm/variants.toml kernels_wasm/checksums.txt \
	kernels_wasm/src/* kernels_wasm/js/*) browser/fleetune/profile.py browser/fleetune/wasm.py

.PHONY: help run test unit e2e lint kernels lab clean browsers

help:
	@echo "make run      install what is missing, build the kernels, start the server, print its address (PORT=8000)"
	@echo "make test     everything: unit, property and browser tests (engines: $(FLEETUNE_ENGINES))"
	@echo "make unit     tests/ only        make e2e    e2e/ only"
	@echo "make lint     ruff, mypy, TypeScript's check of the JavaScript"
	@echo "make kernels  compile the WebAssembly variants"
	@echo "make lab      measure every variant in every engine here (LAB='--engines chromium --repeats 3')"
	@echo "make clean    remove what was built (not data/)"

run: $(RUNTIME) $(PAGE) $(KERNELS)
	@FLEETUNE_PORT=$${FLEETUNE_PORT:-$(PORT)} exec $(VENV)/bin/fleetune serve

# Two workers: what shares a module (and, end to end, an engine) stays in one of them.
PARALLEL := -n $(or $(WORKERS),2)

test: $(DEVELOPMENT) $(PAGE) $(KERNELS) browsers lint
	$(PY) -m pytest tests $(PARALLEL) --dist loadfile
	$(PY) -m pytest e2e $(PARALLEL)

unit: $(DEVELOPMENT) $(PAGE) $(KERNELS)
	$(PY) -m pytest tests $(PARALLEL) --dist loadfile

e2e: $(DEVELOPMENT) $(PAGE) $(KERNELS) browsers
	$(PY) -m pytest e2e $(PARALLEL)

lint: $(DEVELOPMENT) $(PAGE)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	browser/node_modules/.bin/tsc -p browser

kernels: $(KERNELS)

lab: $(DEVELOPMENT) $(PAGE) $(KERNELS) browsers
	$(PY) -m kernels_wasm.lab.record $(LAB)

browsers: $(DEVELOPMENT)
	@$(PY) -m e2e.install

clean:
	rm -rf $(VENV) browser/node_modules kernels_wasm/dist kernels_wasm/.cache test-results
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@python=; for name in python3 python3.14 python3.13 python3.12 python3.11; do \
		if command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
			python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then echo "Fleetune needs Python 3.11 or newer on PATH (found: $$(python3 --version 2>&1 || true))" >&2; exit 1; fi; \
	if ! $$python -m venv $(VENV); then rm -rf $(VENV); \
		echo "$$python cannot make a virtual environment; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; fi

$(RUNTIME): pyproject.toml | $(PY)
	@echo "Installing the server and its dependencies"
	@$(PIP) -e .
	@touch $@

$(DEVELOPMENT): pyproject.toml | $(PY)
	@echo "Installing the dependencies of development and tests"
	@$(PIP) -e '.[dev]'
	@touch $(RUNTIME) $@

$(PAGE): browser/package.json browser/package-lock.json browser/snapshot.mjs
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js (Debian or Ubuntu: apt-get install npm)" >&2; exit 1; }
	@echo "Installing the page's dependencies"
	@cd browser && npm ci --silent
	@touch $@

$(KERNELS): $(KERNEL_SOURCES) | $(RUNTIME)
	@$(PY) kernels_wasm/build.py
	@touch $@
