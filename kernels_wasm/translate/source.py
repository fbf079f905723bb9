"""One Python file: the function to forge, its description, and its meaning in CPython."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kernels_wasm.translate import description, ir, language
from kernels_wasm.translate.expressions import SourceError, place
from kernels_wasm.translate.statements import functions

from fleetune.limits import MOST_SIZES

SIZES = (16, 256, 4096, 16384, 65536, 262144)
PATTERNS = ("random", "constant", "zeros", "sorted")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
FLOAT_RANGE = (-1.0, 1.0)
# What one rounding is worth, times what long sums make of it.
TOLERANCES = {"f32": (1e-3, 1e-3), "f64": (1e-9, 1e-9)}


@dataclass(frozen=True)
class Source:
    """A checked function and all that a kernel's description needs."""

    path: str
    text: str
    program: ir.Program
    summary: str
    family: str = "own"
    size: str = "n"
    sizes: tuple[int, ...] = SIZES
    lengths: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    patterns: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: {"random": {}})
    tolerance: tuple[float, float] = (0.0, 0.0)
    arms: Mapping[tuple[int, int, int, int], str] = field(default_factory=dict)
    script: str = ""  # the kernel's JavaScript; empty: made from the program
    export: str = "run"
    in_c: bool = False  # `text` is C, and `program` only says what its parameters are

    @property
    def name(self) -> str:
        return self.program.main.name

    @property
    def params(self) -> tuple[ir.Param, ...]:
        return self.program.main.params

    @property
    def dtype(self) -> str:
        """The element type that the work is about: the first input's."""
        arrays = [p for p in self.params if p.dir]
        return next((p.element for p in arrays if p.dir in ("in", "inout")), arrays[0].element)

    def length(self, param: ir.Param, numbers: Mapping[str, float]) -> int:
        """How many elements an array has in a call with these numbers."""
        return int(evaluated(self.lengths.get(param.name, self.size), numbers))


def read(text: str, path: str = "function.py", stem: str = "") -> Source:
    """The function of a source text; the file's name is `stem`."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise SourceError(
            [f"line {error.lineno or 1}, column {error.offset or 1}: {error.msg}; correct it"]
        ) from None
    constants: dict[str, int | float] = {}
    nodes: list[ast.FunctionDef] = []
    problems = []
    for node in tree.body:
        match node:
            case ast.FunctionDef():
                nodes.append(node)
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _number(value) is not None:
                constants[name] = _number(value)  # type: ignore[assignment]  # as was just seen
            case _:
                problems.append(
                    f"line {node.lineno}, column {node.col_offset + 1}: only functions and named numbers may "
                    "stand here; move this into the function"
                )
    main = _main(nodes, stem)
    if main is None:
        problems.append("line 1, column 1: no function is marked @kernel; write @kernel() before one")
    if problems or main is None:
        raise SourceError(problems)
    found, arms = functions(nodes[: nodes.index(main) + 1], constants)
    function = found[main.name]
    called = _called(function, found)
    program = ir.Program(tuple(f for f in found.values() if f.name in called), function)
    return _described(Source(path, text, program, _summary(main), arms=arms), main)


def _number(node: ast.expr) -> int | float | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return value if type(value) in (int, float) else None


def _main(nodes: Sequence[ast.FunctionDef], stem: str) -> ast.FunctionDef | None:
    marked = [n for n in nodes if n.decorator_list]
    named = [n for n in nodes if n.name == stem]
    return (marked or named or (list(nodes) if len(nodes) == 1 else [None]))[0]  # type: ignore[list-item]


def _called(function: ir.Function, found: Mapping[str, ir.Function]) -> set[str]:
    names = {node.name for node in ir.walk(*function.body) if isinstance(node, ir.Call)}
    return names.union(*(_called(found[name], found) for name in names))


def _summary(node: ast.FunctionDef) -> str:
    text = (ast.get_docstring(node) or "").strip().splitlines()
    return text[0].rstrip(".")[:200] if text and text[0] else node.name.replace("_", " ").capitalize()


def _described(source: Source, node: ast.FunctionDef) -> Source:
    """The source with what its decorator says; SourceError names the argument that is wrong."""
    given = description.read(node)
    where = f"line {node.lineno}, column 1"
    problems = []
    numbers = [p.name for p in source.params if not p.dir]
    arrays = [p.name for p in source.params if p.dir]
    patterns = given.get("patterns", ["random"])
    kinds = {p.element for p in source.params if p.dir in ("out", "inout")} | {source.program.main.returns}
    default = next((TOLERANCES[kind] for kind in ("f32", "f64") if kind in kinds), (0.0, 0.0))
    constant = tuple((k, int(v)) for k, v in given.get("lengths", {}).items() if str(v).isdigit())
    described = Source(
        source.path, source.text, replace(source.program, lengths=constant), source.summary,
        str(given.get("family", "own")),
        str(given.get("size", "n")),
        tuple(given.get("sizes", SIZES)),
        {key: _plain(str(value)) for key, value in given.get("lengths", {}).items()},
        {key: tuple(value) for key, value in given.get("ranges", {}).items()},
        given.get("values", {}),
        patterns if isinstance(patterns, dict) else {name: {} for name in patterns},
        tuple(given.get("tolerance", default)),
        source.arms,
    )  # fmt: skip
    sizes = described.sizes
    if not 1 <= len(sizes) <= MOST_SIZES or list(sizes) != sorted(set(sizes)) or sizes[0] < 1:
        problems.append(f"{where}: sizes must be 1 to {MOST_SIZES} whole numbers in rising order")
    factors = described.size.split(" * ")
    known = set(described.values).union(*described.patterns.values())
    for name in [*factors, *described.values, *(n for p in described.patterns.values() for n in p)]:
        if name not in numbers:
            problems.append(f"{where}: {name} is not a number parameter; there are {', '.join(numbers)}")
    for name in [*described.lengths, *(set(described.ranges) - set(numbers))]:
        if name not in arrays:
            problems.append(f"{where}: {name} is not an array parameter; there are {', '.join(arrays)}")
    for name, text in described.lengths.items():
        try:
            evaluated(text, dict.fromkeys(numbers, 1))
        except (ValueError, SyntaxError, ZeroDivisionError):
            problems.append(
                f"{where}: the length of {name} must be a formula of the numbers, such as '4 * n'"
            )
    for pattern, numbers_of in described.patterns.items():
        if not numbers_of and pattern not in PATTERNS:
            problems.append(f"{where}: no pattern is called {pattern}; {', '.join(PATTERNS)}")
    for param in source.params:
        if not param.dir and param.name not in {*factors, *known, *described.ranges}:
            if param.type in ir.FLOATS:
                continue  # any number will do
            told = f"values={{'{param.name}': 1}}"
            problems.append(f"{where}: nothing says what {param.name} is in a call; add {told}")
    if not NAME.fullmatch(source.name):
        problems.append(f"{where}: {source.name} must be lower_snake_case, 40 characters at most")
    if not arrays:
        problems.append(f"{where}: there is no array parameter; a call's data must lie in one")
    if problems:
        raise SourceError(problems)
    return described


def _plain(formula: str) -> str:
    """The formula without comments and line breaks, as it stands in other programs; what is none stays as it is."""
    try:
        return ast.unparse(ast.parse(formula.strip(), mode="eval"))
    except (SyntaxError, ValueError):
        return formula


def evaluated(text: str, numbers: Mapping[str, float]) -> float:
    """A formula of + - * // and parentheses over the numbers."""

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() as number):
                return number
            case ast.Name(id=name) if name in numbers:
                return numbers[name]
            case ast.BinOp(op=ast.Add()):
                return value(node.left) + value(node.right)
            case ast.BinOp(op=ast.Sub()):
                return value(node.left) - value(node.right)
            case ast.BinOp(op=ast.Mult()):
                return value(node.left) * value(node.right)
            case ast.BinOp(op=ast.FloorDiv()):
                return value(node.left) // value(node.right)
        raise ValueError(text)

    return value(ast.parse(text, mode="eval").body)


class _Meaning(ast.NodeTransformer):
    """The same program over the types of `language`, for CPython."""

    def __init__(self, source: Source) -> None:
        self.arms = source.arms
        self.functions = {f.name: f for f in (*source.program.helpers, source.program.main)}
        self.returns = ""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        function = self.functions[node.name]
        self.returns = function.returns
        body = [self.visit(statement) for statement in node.body]
        entry = [
            ast.parse(f"{p.name} = $typed({p.type}, {p.name})".replace("$", "_")).body[0]
            for p in function.params
            if not p.dir
        ]
        arguments = ast.arguments([], [ast.arg(p.name) for p in function.params], None, [], [], None, [])
        return ast.FunctionDef(node.name, arguments, [*entry, *body], [], None)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return _call("_literal", node) if type(node.value) in (int, float) else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return _call("_literal", node)
        self.generic_visit(node)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        kind = self.arms[place(node)]
        then, other = (
            _call("_typed", ast.Name(kind, ast.Load()), self.visit(a)) for a in (node.body, node.orelse)
        )
        return ast.IfExp(self.visit(node.test), then, other)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        assert node.value is not None
        return ast.Assign([node.target], _call("_typed", node.annotation, self.visit(node.value)))

    def visit_Return(self, node: ast.Return) -> ast.stmt:
        if node.value is None:
            return node
        return ast.Return(_call("_typed", ast.Name(self.returns, ast.Load()), self.visit(node.value)))


def _call(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def run(source: Source, arguments: Sequence[Any]) -> tuple[Any, list[list[float] | None]]:
    """What the function returns in CPython for plain numbers and lists, and its arrays afterwards.

    IndexError, ZeroDivisionError or MeaningError where it has no meaning."""
    names: dict[str, Any] = {
        "min": lambda *v: _fold(language.smaller, v), "max": lambda *v: _fold(language.larger, v),
        "range": language.steps, "sqrt": language.sqrt, "_typed": language.typed, "_literal": language.Number,
        "abs": abs, **language.NUMBERS, "__builtins__": {},
        **{name: getattr(language, name) for name in ("i8", "u8", "i16", "u16")},
    }  # fmt: skip
    tree = ast.parse(source.text)
    meaning = _Meaning(source)
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            body.append(ast.Assign([target], meaning.visit(node.value)))
        elif isinstance(node, ast.FunctionDef) and node.name in meaning.functions:
            body.append(meaning.visit(node))
    code = compile(ast.fix_missing_locations(ast.Module(body, [])), source.path, "exec")
    exec(code, names)  # noqa: S102 (only what the checker lets through, without builtins)
    given: list[Any] = [
        language.Array(p.element, a) if p.dir else language.NUMBERS[p.type](a)
        for p, a in zip(source.params, arguments, strict=True)
    ]
    result = names[source.name](*given)
    return (
        None if result is None else result.value,
        [a.raw if isinstance(a, language.Array) else None for a in given],
    )


def _fold(two: Any, values: Sequence[Any]) -> Any:
    found = values[0]
    for value in values[1:]:
        found = two(found, value)
    return found
