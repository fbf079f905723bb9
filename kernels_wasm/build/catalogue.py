"""Read variants.toml into typed rows, refusing what cannot exist."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernels_wasm.build.params import NUMBERS, Param, ParamError, complete, read_param

# What a table of JavaScript's has by itself: no kernel and no variant is called so.
INHERITED = frozenset(
    [
        "constructor",
        "hasOwnProperty",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "toLocaleString",
        "toString",
        "valueOf",
    ]
)
BASELINES = frozenset({"js", "js-tuned", "scalar"})  # no optimisation is called so
FEATURES = ("simd", "relaxedSimd")
# A bundle holds the modules that need exactly these features.
BUNDLES = {(): "base", ("simd",): "simd", ("simd", "relaxedSimd"): "relaxedSimd"}
STACK_BYTES = 16384
DATA_BYTES = 65536  # room for one variant's static tables
KERNEL_KEYS = frozenset(
    ["family", "summary", "dtype", "params", "returns", "sizes", "patterns", "tolerance", "variants"]
)
OPTIONAL_KEYS = frozenset(["copied", "size", "inPlace", "recounted"])


class CatalogueError(ValueError):
    """variants.toml asks for something impossible; the message names it."""


@dataclass(frozen=True)
class Optimisation:
    name: str
    define: str
    flags: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class VariantRow:
    """One module to build: a kernel and the optimisations that are on, in alphabetical order."""

    kernel: str
    optimisations: tuple[Optimisation, ...]
    data_start: int  # of its static tables: apart from its siblings', so that all can share one memory

    @property
    def name(self) -> str:
        return "+".join(o.name for o in self.optimisations) or "scalar"

    @property
    def label(self) -> str:
        return f"{self.kernel}/{self.name}"

    @property
    def features(self) -> tuple[str, ...]:
        needed = {f for o in self.optimisations for f in o.features}
        return tuple(f for f in FEATURES if f in needed)

    @property
    def bundle(self) -> str:
        return BUNDLES[self.features]

    @property
    def flags(self) -> tuple[str, ...]:
        return tuple(flag for o in self.optimisations for flag in (*o.flags, f"-D{o.define}"))


@dataclass(frozen=True)
class KernelRow:
    name: str
    family: str
    summary: str
    dtype: str
    params: tuple[Param, ...]
    returns: str
    sizes: tuple[int, ...]
    patterns: tuple[str, ...]
    size: str  # how a call's size follows from its number arguments, such as "n" or "rows * cols"
    copied: bool
    in_place: bool  # whether an array may be read and written at the same places
    recounted: (
        bool  # whether JavaScript, which counts in doubles, repeats a call whose results are not finite
    )
    tolerance: dict[str, float]
    variants: tuple[VariantRow, ...]


@dataclass(frozen=True)
class Catalogue:
    flags: tuple[str, ...]
    linker: tuple[str, ...]
    optimisations: dict[str, Optimisation]
    kernels: tuple[KernelRow, ...]


def load(path: Path) -> Catalogue:
    """The whole table; raises CatalogueError listing every problem found."""
    table = tomllib.loads(path.read_text())
    optimisations = {
        name: Optimisation(
            name,
            row["define"],
            *(tuple(row.get(key, ())) for key in ("flags", "features", "requires")),
        )
        for name, row in table["optimisations"].items()
    }
    problems = [
        f"optimisations: none is called {name}: JavaScript and its objects have that name"
        for name in sorted(optimisations.keys() & (INHERITED | BASELINES))
    ]
    kernels = []
    for name, row in sorted(table["kernels"].items()):
        try:
            kernels.append(_kernel(name, row, optimisations))
        except CatalogueError as error:
            problems.append(str(error))
    if problems:
        raise CatalogueError("\n".join(problems))
    compiler = table["compiler"]
    return Catalogue(tuple(compiler["flags"]), tuple(compiler["linker"]), optimisations, tuple(kernels))


def _kernel(name: str, row: dict[str, Any], optimisations: dict[str, Optimisation]) -> KernelRow:
    problems = [f"{name}: {key} is missing" for key in sorted(KERNEL_KEYS - row.keys())]
    problems += [f"{name}: unknown key {key}" for key in sorted(row.keys() - KERNEL_KEYS - OPTIONAL_KEYS)]
    if problems:
        raise CatalogueError("\n".join(problems))
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in INHERITED:
        problems.append(
            f"{name}: a kernel name is lower_snake_case, and nothing that JavaScript's objects have"
        )
    sizes = list(row["sizes"])
    if len(sizes) != 6 or sizes != sorted(set(sizes)):
        problems.append(f"{name}: sizes must be six different numbers in rising order")
    if row["returns"] not in NUMBERS | {"void"}:
        problems.append(f"{name}: cannot return {row['returns']}")
    if set(row["tolerance"]) != {"relative", "absolute"}:
        problems.append(f"{name}: tolerance needs relative and absolute")
    if len(row["variants"]) != len(set(row["variants"])):
        problems.append(f"{name}: a variant is listed twice")
    if "scalar" not in row["variants"]:
        problems.append(f"{name}: there is no scalar variant")
    params, variants = [], []
    for text in row["params"]:
        try:
            params.append(read_param(text))
        except ParamError as error:
            problems.append(f"{name}: {error}")
    for index, text in enumerate(row["variants"]):
        try:
            variants.append(_variant(name, text, optimisations, STACK_BYTES + index * DATA_BYTES))
        except CatalogueError as error:
            problems.append(str(error))
    size = str(row.get("size", "n"))
    numbers = {p.name for p in params if not p.is_array}
    if not all(factor in numbers for factor in size.split(" * ")):
        problems.append(f"{name}: size {size!r} is not a product of number parameters")
    try:
        params = list(complete(params, size))
    except ParamError as error:
        problems.append(f"{name}: {error}")
    if problems:
        raise CatalogueError("\n".join(problems))
    return KernelRow(
        name=name,
        family=row["family"],
        summary=row["summary"],
        dtype=row["dtype"],
        params=tuple(params),
        returns=row["returns"],
        sizes=tuple(sizes),
        patterns=tuple(row["patterns"]),
        size=size,
        copied=bool(row.get("copied", True)),
        in_place=bool(row.get("inPlace", False)),
        recounted=bool(row.get("recounted", False)),
        tolerance={key: float(row["tolerance"][key]) for key in ("relative", "absolute")},
        variants=tuple(variants),
    )


def _variant(kernel: str, text: str, optimisations: dict[str, Optimisation], data_start: int) -> VariantRow:
    names = [] if text == "scalar" else text.split("+")
    label = f"{kernel}/{text}"
    for name in names:
        if name not in optimisations:
            raise CatalogueError(f"{label}: no optimisation is called {name!r}")
    if names != sorted(set(names)):
        raise CatalogueError(f"{label}: write it as {'+'.join(sorted(set(names)))}")
    for name in names:
        for other in optimisations[name].requires:
            if other not in names:
                raise CatalogueError(f"{label}: {name} needs {other}")
    row = VariantRow(kernel, tuple(optimisations[n] for n in names), data_start)
    if row.features not in BUNDLES:
        raise CatalogueError(f"{label}: no bundle holds modules that need {', '.join(row.features)}")
    return row
