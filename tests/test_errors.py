"""Error codes are fixed words: each that the server names is in the table, and each in the table is named."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
from tests import tiny
from tests.running import server

import fleetune_server
from fleetune.strict import REASONS
from fleetune_server.common.errors import CODES, HTTP

SOURCES = Path(fleetune_server.__file__).parent


def named() -> Iterator[str]:
    """The codes that the source names, as the first argument of what refuses, or as what a check returns."""
    for path in SOURCES.rglob("*.py"):
        if path.name == "errors.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in ("RefusedError", "_error") and isinstance(node.args[0], ast.Constant):
                    yield str(node.args[0].value)
            elif isinstance(node, ast.Constant) and node.value in ("stale", "future"):
                yield str(node.value)


def test_the_table_is_what_the_source_names() -> None:
    assert set(named()) | REASONS.keys() | set(HTTP.values()) == CODES.keys()
    assert all(re.fullmatch(r"[a-z]+(?:[-_][a-z]+)*", code) for code in CODES)
    assert all(400 <= status < 600 and meaning for status, meaning in CODES.values())


def test_answers_carry_a_code_of_the_table_and_its_status(tmp_path: Path) -> None:
    asked = [
        ("GET", "/api/decisions"),
        ("GET", "/api/decisions?browser=a_word&version=1&os=linux&cores=1&simd=1&relaxedSimd=1&threads=1"),
        ("GET", "/api/decisions?browser=firefox&version=x&os=linux&cores=1&simd=1&relaxedSimd=1&threads=1"),
        ("GET", "/api/decisions/netscape"),
        ("GET", "/api/decisions/firefox?kernel=nosuch"),
        ("GET", "/api/model/latest?version=x"),
        ("GET", "/models/none"),
        ("PUT", "/api/metrics"),
        ("PUT", "/api/telemetry"),
        ("PUT", "/api/feedback"),
        ("POST", "/api/telemetry"),
        ("POST", "/api/feedback"),
        ("POST", "/api/own-kernels"),
        ("DELETE", "/api/own-kernels/none"),
    ]
    with (
        server(tmp_path, kernels=tiny.write(tmp_path / "dist"), lab=tmp_path) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        for method, path in asked:
            answer = client.request(method, path)
            error = answer.json()["error"]
            assert CODES[error["code"]][0] == answer.status_code, path
            assert error["message"]
