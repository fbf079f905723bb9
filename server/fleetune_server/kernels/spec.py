"""A kernel of an operator's own, read strictly, a field at a time, from description, JavaScript and modules."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernels_wasm.build.catalogue import BASELINES, INHERITED
from kernels_wasm.build.params import NUMBERS, Param, ParamError, complete, read_param

from fleetune.limits import MOST_SIZES, OPTIMISATION, OPTIMISATIONS, VARIANT_CHARACTERS
from fleetune.manifest import SCALAR, variant_name

MAX_TEXT = 200
_KINDS = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "a table"}
NAME = r"[a-z][a-z0-9_]{0,39}"
IDENTIFIER = r"[A-Za-z_$][\w$]{0,79}"
FILE = r"[\w][\w.-]{0,79}"
DTYPES = ("i8", "u8", "i16", "u16", "i32", "u32", "f32", "f64")
FEATURES = ("simd", "relaxedSimd")
MAX_SIZE = 1 << 26
MAX_PARAMS, MAX_VARIANTS, MAX_PATTERNS = 8, 24, 6
MAX_MODULE, MAX_SCRIPT = 1 << 20, 1 << 20  # bytes
PAGES = frozenset({"new"})  # below /functions, where each kernel has its page
_KEYS = (
    "name", "family", "summary", "dtype", "script", "jsTuned", "params", "returns", "size", "sizes",
    "patterns", "tolerance", "memory", "dataEnd", "variants",
)  # fmt: skip


class SpecError(ValueError):
    """A description that cannot be used; each line of the message names a field and says what is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Table:
    """One table of the description. A getter notes a problem and gives a harmless value instead."""

    def __init__(self, raw: object, where: str, problems: list[str], keys: tuple[str, ...]) -> None:
        self.problems = problems
        self.where = where
        self.raw: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
        if not isinstance(raw, dict):
            problems.append(f"{where or 'the description'}: must be a table")
        for key in sorted(set(self.raw) - set(keys)):
            self.wrong(key, f"there is no such field; there are {', '.join(keys)}")

    def wrong(self, key: str, reason: str) -> None:
        self.problems.append(f"{self.where}{key}: {reason}")

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """The value if it is of that kind; a field without default must be there."""
        if key not in self.raw:
            if default is None:
                self.wrong(key, "is missing")
            return kind() if default is None else default
        value = self.raw[key]
        if type(value) is not kind:
            self.wrong(key, f"must be {_KINDS[kind]}, not {value!r:.60}")
            return kind() if default is None else default
        return value

    def text(self, key: str, pattern: str = r"[^\x00-\x1f]+", rule: str = "a short text", **kw: Any) -> str:
        value: str = self.get(key, str, **kw)
        if (value or key in self.raw) and not (len(value) <= MAX_TEXT and re.fullmatch(pattern, value)):
            self.wrong(key, f"must be {rule}, not {value!r:.60}")
        return value

    def texts(self, key: str, pattern: str, rule: str, **kw: Any) -> list[str]:
        values = self.get(key, list, **kw)
        for value in values:
            if not (isinstance(value, str) and re.fullmatch(pattern, value)):
                self.wrong(key, f"must hold {rule}, not {value!r:.60}")
        texts = [value for value in values if isinstance(value, str)]
        if len(set(texts)) != len(texts):
            self.wrong(key, "names something twice")
        return texts

    def positive(self, key: str) -> float:
        """A finite number, 0 or more; 0 if it is absent."""
        value = self.raw.get(key, 0)
        if type(value) not in (int, float) or not 0 <= value <= sys.float_info.max:
            self.wrong(key, f"must be a number, 0 or more, not {value!r:.60}")
            return 0.0
        return float(value)


@dataclass(frozen=True)
class Memory:
    """Where modules that export their own memory take arguments: from an allocator, at an address, at its
    end, or, with `arrays`, wherever their adapters put them."""

    export: str
    arrays: bool
    allocator: str | None
    scratch: int | None  # bytes; None without an allocator: behind what the module starts with


@dataclass(frozen=True)
class OwnVariant:
    """One module and how it is called."""

    optimisations: tuple[str, ...]
    features: tuple[str, ...]
    module: str  # file name
    export: str  # the function that does the work; profiled, and called unless there is an adapter
    adapter: str | None  # function of the script's `adapters` that makes the call from the module's exports

    @property
    def name(self) -> str:
        return variant_name(self.optimisations)


@dataclass(frozen=True)
class OwnKernel:
    """Everything that was given, checked; `modules` are the bytes by file name."""

    name: str
    family: str
    summary: str
    dtype: str
    script: str  # file name
    tuned: bool
    params: tuple[Param, ...]
    returns: str
    size: str
    sizes: tuple[int, ...]
    patterns: tuple[str, ...]
    relative: float
    absolute: float
    memory: Memory | None  # None: modules import `env.memory`
    data_end: int  # first byte that no module uses; 0: as their static data says
    variants: tuple[OwnVariant, ...]
    source: str
    modules: Mapping[str, bytes]


def files_of(raw: object) -> tuple[str, list[str]]:
    """The names of the script and of the modules that a description wants; SpecError if it is none."""
    problems: list[str] = []
    table = Table(raw, "", problems, _KEYS)
    script = table.text("script", FILE, "a file name without folders")
    modules = []
    for number, row in enumerate(table.get("variants", list), 1):
        if not isinstance(row, dict) or not isinstance(row.get("module"), str):
            problems.append(f"variants[{number}].module: is missing")
        else:
            modules.append(row["module"])
    if problems:
        raise SpecError(problems)
    return script, list(dict.fromkeys(modules))


def read_spec(raw: object, source: str, modules: Mapping[str, bytes]) -> OwnKernel:
    """The kernel; SpecError names every field that is wrong."""
    problems: list[str] = []
    table = Table(raw, "", problems, _KEYS)
    name = table.text("name", NAME, "lower_snake_case, 40 characters at most")
    if name in INHERITED:
        table.wrong("name", f"{name} is what every JavaScript object has: choose another name")
    if name in PAGES:
        table.wrong("name", f"/functions/{name} is a page of its own: choose another name")
    if len(source.encode()) > MAX_SCRIPT:
        table.wrong("script", f"is longer than {MAX_SCRIPT} bytes")
    params = _params(table)
    size = table.text("size", r"[A-Za-z]\w*( \* [A-Za-z]\w*)*", "a number parameter, or a product 'a * b'")
    numbers = {p.name for p in params if not p.is_array}
    for factor in size.split(" * ") if size else ():
        if factor not in numbers:
            table.wrong("size", f"{factor} is not a number among params")
    tolerance = Table(table.get("tolerance", dict), "tolerance.", problems, ("relative", "absolute"))
    kernel = OwnKernel(
        name,
        table.text("family"),
        table.text("summary"),
        _one_of(table, "dtype", DTYPES),
        table.text("script", FILE, "a file name without folders"),
        table.get("jsTuned", bool, False),
        tuple(params),
        _one_of(table, "returns", (*sorted(NUMBERS), "void")),
        size,
        tuple(_sizes(table)),
        tuple(table.texts("patterns", r"[a-z][a-z0-9-]{0,15}", "lower-case words", default=["random"])),
        tolerance.positive("relative"),
        tolerance.positive("absolute"),
        _memory(table),
        table.get("dataEnd", int, 0),
        tuple(_variants(table, modules)),
        source,
        dict(modules),
    )
    if not 0 <= kernel.data_end <= 1 << 24:
        table.wrong("dataEnd", "must be an address, 0 to 16 MiB")
    if not 1 <= len(kernel.patterns) <= MAX_PATTERNS:
        table.wrong("patterns", f"1 to {MAX_PATTERNS}")
    if problems:
        raise SpecError(problems)
    return kernel


def _one_of(table: Table, key: str, values: tuple[str, ...]) -> str:
    value: str = table.get(key, str)
    if key in table.raw and value not in values:
        table.wrong(key, f"must be one of {', '.join(values)}, not {value!r:.60}")
    return value


def _params(table: Table) -> list[Param]:
    params = []
    for text in table.get("params", list):
        try:
            params.append(read_param(str(text)))
        except ParamError as error:
            table.problems.append(f"params: {error}")
    if params and not any(p.is_array for p in params):
        table.wrong("params", "there is no array: a call's data must lie in one")
    if len({p.name for p in params}) != len(params):
        table.wrong("params", "two have the same name")
    if len(params) > MAX_PARAMS:
        table.wrong("params", f"{MAX_PARAMS} at most")
    try:
        return list(complete(params, table.raw["size"] if isinstance(table.raw.get("size"), str) else ""))
    except ParamError as error:
        table.wrong("params", str(error))
        return params


def _sizes(table: Table) -> list[int]:
    given = table.get("sizes", list)
    sizes = [size for size in given if type(size) is int and 1 <= size <= MAX_SIZE]
    if "sizes" in table.raw and not (1 <= len(given) <= MOST_SIZES and given == sorted(set(sizes))):
        what = f"1 to {MOST_SIZES} different whole numbers from 1 to {MAX_SIZE}, in rising order"
        table.wrong("sizes", f"must be {what}")
    return sizes


def _memory(table: Table) -> Memory | None:
    if "memory" not in table.raw:
        return None
    own = Table(table.raw["memory"], "memory.", table.problems, ("export", "arrays", "allocator", "scratch"))
    if {"allocator", "scratch"} <= own.raw.keys():
        own.wrong("scratch", "give an allocator or a scratch address, not both")
    arrays = own.get("arrays", bool, False)
    if arrays and {"allocator", "scratch"} & own.raw.keys():
        own.wrong("arrays", "adapters are given the arrays themselves: take allocator and scratch away")
    scratch = own.get("scratch", int, 0)
    if not 0 <= scratch <= 1 << 30:
        own.wrong("scratch", "must be an address, 0 to 1 GiB")
    allocator = own.text("allocator", IDENTIFIER, "an export's name", default="")
    return Memory(
        own.text("export", IDENTIFIER, "an export's name", default="memory"),
        arrays,
        allocator or None,
        scratch if "scratch" in own.raw else None,
    )


def _variants(table: Table, modules: Mapping[str, bytes]) -> list[OwnVariant]:
    found = []
    rows = table.get("variants", list)
    for number, row in enumerate(rows[:MAX_VARIANTS], 1):
        keys = ("module", "export", "adapter", "optimisations", "features")
        own = Table(row, f"variants[{number}].", table.problems, keys)
        file = own.text("module", FILE, "a file name without folders")
        if file and file not in modules:
            own.wrong("module", f"there is no file {file}")
        elif len(modules.get(file, b"")) > MAX_MODULE:
            own.wrong("module", f"{file} is longer than {MAX_MODULE} bytes")
        optimisations = own.texts(
            "optimisations", OPTIMISATION, "camelCase names, 24 letters at most", default=[]
        )
        if len(optimisations) > OPTIMISATIONS or len(variant_name(optimisations)) > VARIANT_CHARACTERS:
            most = f"{OPTIMISATIONS} at most, with {VARIANT_CHARACTERS} letters together and a + between"
            own.wrong("optimisations", most)
        for taken in sorted({*optimisations} & (INHERITED | BASELINES)):
            own.wrong("optimisations", f"{taken} is a name of JavaScript's or of a baseline: choose another")
        features = own.texts("features", "|".join(FEATURES), " or ".join(FEATURES), default=[])
        adapter = own.text("adapter", IDENTIFIER, "a name among the script's adapters", default="")
        found.append(
            OwnVariant(
                tuple(sorted(optimisations)),
                tuple(sorted(features, key=FEATURES.index) if set(features) <= set(FEATURES) else ()),
                file,
                own.text("export", IDENTIFIER, "an export's name", default="run"),
                adapter or None,
            )
        )
    memory = table.raw.get("memory")
    if isinstance(memory, dict) and memory.get("arrays") is True:
        for number, variant in enumerate(found, 1):
            if not variant.adapter:
                table.wrong(f"variants[{number}].adapter", "is missing: memory.arrays needs one")
    names = [variant.name for variant in found]
    if len(rows) > MAX_VARIANTS:
        table.wrong("variants", f"{MAX_VARIANTS} at most")
    for name in sorted({name for name in names if names.count(name) > 1}):
        table.wrong("variants", f"two are called {name}: their optimisations must differ")
    if "variants" in table.raw and SCALAR not in names:
        table.wrong("variants", "one must have no optimisations: its module is what the profile is read from")
    return found


def as_document(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The description as JSON values, only the known fields."""
    return {key: raw[key] for key in _KEYS if key in raw}
