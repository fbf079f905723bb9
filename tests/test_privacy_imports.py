"""What decides about anything private takes its randomness from the operating system and nowhere else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "browser" / "fleetune"
WEB = ROOT / "browser" / "web"

# They may draw with a seed: the order of measurements, and resampling. A report takes a type, no more.
MEASURING = {CORE / "app" / "workloads.py": set[str]()}
SECRETS = {"privacy.py", "platform_js.py"}  # the only ones that ask the system themselves
FORBIDDEN = re.compile(
    r"(^|\.)random($|\.)|(^|\.)(default_rng|RandomState|Generator|urandom|uuid[14]?|hash)$"
)


def imported(path: Path) -> dict[Path, set[str]]:
    """Modules of `fleetune` that a module imports, and which of their names."""
    found: dict[Path, set[str]] = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "absolute imports only, so that this finds them"
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fleetune":
            assert node.module
            for alias in node.names:
                below = CORE.parent / f"{node.module}.{alias.name}".replace(".", "/")
                module = CORE.parent / node.module.replace(".", "/")
                if below.with_suffix(".py").is_file():
                    found.setdefault(below.with_suffix(".py"), set()).add("*")
                elif module.with_suffix(".py").is_file():
                    found.setdefault(module.with_suffix(".py"), set()).add(alias.name)
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("fleetune") for alias in node.names), "import names"
    return found


def reachable(roots: set[Path]) -> set[Path]:
    """These modules and all that they import, directly or not."""
    seen: set[Path] = set()
    waiting = set(roots)
    while waiting:
        path = waiting.pop()
        seen.add(path)
        waiting |= imported(path).keys() - seen
    return seen


PACKET = {CORE / "packet.py", CORE / "rating.py"}
# Everything between a measurement and the wire: what knows packets or answers, and all that it imports.
KNOWING = {path for path in CORE.rglob("*.py") if path in PACKET or imported(path).keys() & PACKET}
PATH = sorted(reachable(KNOWING | {CORE / "app" / "platform_js.py"}) - MEASURING.keys())


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


def test_the_path_is_all_of_it() -> None:
    names = {path.relative_to(CORE).as_posix() for path in PATH}
    assert names >= {
        "privacy.py",
        "packet.py",
        "rating.py",
        "strict.py",
        "context.py",
        "app/platform_js.py",
    }
    assert names >= {f"app/{one}.py" for one in ("consent", "ledger", "report", "outbox", "delivery", "rate")}
    for path in reachable(KNOWING):
        for module, taken in imported(path).items():
            if module in MEASURING and path.parent.name == "app" and path.stem in ("report", "outbox"):
                assert taken <= MEASURING[module], (path.name, taken)


def test_nothing_private_uses_other_randomness() -> None:
    sources = {path: path.read_text() for path in PATH}
    assert {path.name: forbidden(source) for path, source in sources.items() if forbidden(source)} == {}
    assert {path.name for path, source in sources.items() if asks_the_system(source)} == SECRETS


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


def test_javascript_near_a_packet_draws_nothing() -> None:
    """Python draws all noise; the page may shuffle what it shows, but not beside a packet."""
    near = re.compile(r"telemetry|packet|consent|withdraw|nonce|\bpreview\b", re.IGNORECASE)
    sources = {path.name: path.read_text() for path in WEB.rglob("*.js")}
    assert len(sources) > 30
    assert [name for name, text in sources.items() if near.search(text) and "Math.random" in text] == []
