"""What is imported is declared: Python's in pyproject.toml, JavaScript's in the package.json that applies."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"fleetune", "fleetune_server", "fleetune_research", "kernels_wasm", "tests", "e2e"}
OF_EVERY_VENV = {"pip"}
IN_THE_BROWSER = {"js", "pyodide", "pyodide_js"}  # what Pyodide itself brings
EVERY_EXTRA = frozenset(PROJECT["optional-dependencies"])
# Folder: the extras that are installed where its modules are imported. Deeper folders come first.
EXTRAS: dict[str, frozenset[str]] = {
    "browser/fleetune": frozenset(),
    "kernels_wasm/forge": frozenset({"build", "forge"}),
    "kernels_wasm/lab": EVERY_EXTRA,
    "kernels_wasm": frozenset({"build"}),
    "server/fleetune_research": EVERY_EXTRA,
    "server": frozenset({"postgres"}),
    "tests": EVERY_EXTRA,
    "e2e": EVERY_EXTRA,
    "examples": EVERY_EXTRA,
}
PYTHON_M = ["sys.executable", "'-m'"]
BY_NAME = {"import_module", "find_spec", "importorskip", "__import__"}
JS_IMPORT = re.compile(
    r"""^(?:import|export)\b[^;"'()]*?\bfrom\s*["'](.+?)["']|^import\s*["'](.+?)["']"""
    r"""|\bimport\(\s*["'](.+?)["']""",
    re.MULTILINE,
)
JSDOC = re.compile(r"/\*\*.*?\*/", re.DOTALL)  # imports types only
INSTALLED = packages_distributions()
MODULE_SYNTAX = re.compile(r"^(?:import|export)\b", re.MULTILINE)


class Import(NamedTuple):
    """One import; `late` if it is made only when a function is called, or never (TYPE_CHECKING)."""

    module: str
    line: int
    late: bool


def imports(source: str) -> Iterator[Import]:
    """Top-level names of what a file imports, by statement, by name, or with `python -m`."""
    tree = ast.parse(source)
    late = {id(inner) for node in ast.walk(tree) if _is_late(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        elif (
            isinstance(node, ast.Call) and node.args and ast.unparse(node.func).rpartition(".")[2] in BY_NAME
        ):
            names = _texts(node.args[:1])
        elif isinstance(node, ast.List | ast.Tuple):
            names = _texts(node.elts[2:3]) if [*map(ast.unparse, node.elts[:2])] == PYTHON_M else []
        for name in names:
            yield Import(name.partition(".")[0], getattr(node, "lineno", 0), id(node) in late)


def _is_late(node: ast.AST) -> bool:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return isinstance(node, functions) or (
        isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    )


def _texts(nodes: list[ast.expr]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def declared(extras: frozenset[str]) -> set[str]:
    """Normalised names of the distributions that an installation with these extras asks for."""
    found: set[str] = set()
    wanted = list(PROJECT["dependencies"])
    for extra in extras:
        wanted += PROJECT["optional-dependencies"][extra]
    for requirement in wanted:
        match = re.match(r"([\w.-]+)(?:\[([\w,\s-]+)\])?", requirement)
        assert match, requirement
        if match[1] == PROJECT["name"]:
            found |= declared(frozenset(re.split(r"\s*,\s*", match[2])))
        else:
            found.add(normal(match[1]))
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def undeclared(source: str, extras: frozenset[str]) -> list[str]:
    """`line: module` of every import whose distribution is not among the declared ones."""
    allowed = {late: declared(EVERY_EXTRA if late else extras) for late in (False, True)}
    return [
        f"{found.line}: {found.module}"
        for found in imports(source)
        if found.module not in OWN | OF_EVERY_VENV | sys.stdlib_module_names
        and not allowed[found.late] & {normal(name) for name in INSTALLED.get(found.module, ())}
    ]


def sources(*suffixes: str) -> Iterator[Path]:
    """Our own files, and the scripts that the build has made; no bundles of examples (www)."""
    for folder in ("browser/fleetune", "browser/web", "server", "kernels_wasm", "tests", "e2e", "examples"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and not {"node_modules", ".cache", "www"} & set(path.parts):
                yield path


def package_of(path: Path) -> dict[str, Any]:
    """The package.json that Node applies to a file; an empty one if there is none."""
    for folder in path.relative_to(ROOT).parents:
        file = ROOT / folder / "package.json"
        if file.is_file():
            package: dict[str, Any] = json.loads(file.read_text())
            return package
    return {}


def test_every_python_import_is_declared_where_it_is_installed() -> None:
    problems = []
    for path in sources(".py"):
        relative = path.relative_to(ROOT).as_posix()
        extras = next(extras for folder, extras in EXTRAS.items() if relative.startswith(folder + "/"))
        problems += [
            f"{relative}:{problem}"
            for problem in undeclared(path.read_text(), extras)
            if not (relative.startswith("browser/") and problem.split()[1] in IN_THE_BROWSER)
        ]
    assert problems == []


def test_every_javascript_import_is_declared() -> None:
    ours = json.loads((ROOT / "browser" / "web" / "package.json").read_text())["name"]  # packed by its test
    problems = []
    for path in sources(".js", ".mjs"):
        package = package_of(path)
        names = {ours, *package.get("dependencies", {}), *package.get("devDependencies", {})}
        for groups in JS_IMPORT.findall(JSDOC.sub("", path.read_text())):
            address = next(filter(None, groups))
            name = "/".join(address.split("/")[: 2 if address.startswith("@") else 1])
            if not address.startswith((".", "/", "node:", "http:", "https:")) and name not in names:
                problems.append(f"{path.relative_to(ROOT)}: {address}")
    assert problems == []


def test_node_need_not_guess_which_scripts_are_modules() -> None:
    guessed = [
        str(path.relative_to(ROOT))
        for path in sources(".js")
        if MODULE_SYNTAX.search(path.read_text()) and package_of(path).get("type") != "module"
    ]
    assert guessed == []


@pytest.mark.parametrize(
    "source",
    [
        "import pluggy",
        "import pluggy.main as main",
        "from pluggy import main",
        "def f():\n    import pluggy",
        "import importlib\nimportlib.import_module('pluggy.main')",
        "from importlib.util import find_spec\nfind_spec('pluggy')",
        "import pytest\npytest.importorskip('pluggy')",
        "command = [sys.executable, '-m', 'pluggy', 'list']",
        "import a_module_that_is_not_installed",
    ],
)
def test_an_undeclared_import_is_found(source: str) -> None:
    assert len(undeclared(source, EVERY_EXTRA)) == 1


def test_an_extra_counts_only_where_it_is_installed_or_awaited() -> None:
    assert undeclared("import pytest", frozenset()) == ["1: pytest"]
    assert undeclared("import pytest", EVERY_EXTRA) == []
    assert undeclared("def f():\n    import pytest", frozenset()) == []
