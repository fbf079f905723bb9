"""What decides about anything private takes its randomness from the operating system and nowhere else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "browser" / "fleetune"
WEB = ROOT / "browser" / "web"

# Everything between a measurement and the wire. (The benchmark may shuffle its rounds with a seed.)
PATH = [
    *(CORE / f"{name}.py" for name in ("privacy", "packet", "fields", "strict", "feedback", "context")),
    *(CORE / "app" / f"{name}.py" for name in ("consent", "ledger", "report", "outbox", "delivery")),
    *(CORE / "app" / f"{name}.py" for name in ("feedback", "session", "handlers", "platform", "platform_js")),
]
SECRETS = {"privacy.py", "platform_js.py"}  # the only ones that ask the system themselves
FORBIDDEN = re.compile(
    r"(^|\.)random($|\.)|(^|\.)(default_rng|RandomState|Generator|urandom|uuid[14]?|hash)$"
)


def forbidden(source: str) -> list[str]:
    """Dotted names in a Python source that stand for other randomness (or the per-process `hash`)."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names.append(node.func.id)
    return [name for name in names if FORBIDDEN.search(name) and not name.startswith(("context.", "self."))]


def asks_the_system(source: str) -> bool:
    imported = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import)]
    return any(alias.name == "secrets" for node in imported for alias in node.names)


@pytest.mark.parametrize("path", PATH, ids=lambda path: path.name)
def test_nothing_private_uses_other_randomness(path: Path) -> None:
    source = path.read_text()
    assert forbidden(source) == []
    assert asks_the_system(source) == (path.name in SECRETS)


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "from random import randint",
        "import numpy as np\nnp.random.default_rng()",
        "from numpy.random import Generator",
        "import os\nos.urandom(4)",
        "import uuid\nuuid.uuid4()",
        "hash('x')",
        "import numpy\nr = numpy.random",
    ],
)
def test_the_check_would_notice(source: str) -> None:
    assert forbidden(source)


@pytest.mark.parametrize("path", sorted(WEB.glob("*.js")), ids=lambda path: path.name)
def test_javascript_near_a_packet_draws_nothing(path: Path) -> None:
    """Python draws all noise; the page may shuffle what it shows, but not beside a packet."""
    source = path.read_text()
    if re.search(r"telemetry|packet|consent|withdraw|nonce|\bpreview\b", source, re.IGNORECASE):
        assert "Math.random" not in source
