"""The public catalogue: kernels, their variants, and what a browser can run of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fleetune.context import Context

BASELINE, TUNED = "js", "js-tuned"
SCALAR = "scalar"
SCHEMA = 1


class ManifestError(ValueError):
    """The manifest is not one that this version understands; the message names the part."""


def variant_name(optimisations: Iterable[str]) -> str:
    """A variant's name is its coordinates: optimisations, sorted and joined; the empty set is `scalar`."""
    return "+".join(sorted(optimisations)) or SCALAR


@dataclass(frozen=True)
class Variant:
    """One compiled WebAssembly module of a kernel."""

    kernel: str
    name: str
    optimisations: tuple[str, ...]
    features: frozenset[str]
    bundle: str
    offset: int  # bytes into the bundle
    size: int  # bytes
    sha256: str
    profile: Mapping[str, float]  # static cost model of this module's innermost loop
    proof: str = ""  # a verdict and N, such as `E64` (proof.py); empty: nothing was tried
    scope: str = ""  # the sizes that its proof is for; empty: every n up to N
    assumed: tuple[str, ...] = ()  # by its proof, beside what every proof assumes
    difference: float | None = None  # the largest measured, where the proof is up to rounding
    tested: int = 0  # inputs tried, where no proof was found


@dataclass(frozen=True)
class Parameter:
    """One argument of `run`: `type` like `f32[]` or `i32`; `dir` is in, out, inout or scratch for arrays."""

    name: str
    type: str
    dir: str

    @property
    def is_array(self) -> bool:
        return self.type.endswith("[]")

    @property
    def item_bytes(self) -> float:
        """Bytes of one entry: `f32[]` has 4."""
        return int(self.type.removesuffix("[]")[1:]) / 8


@dataclass(frozen=True)
class Kernel:
    """A numerical function with JavaScript baselines and several WebAssembly variants."""

    name: str
    family: str
    summary: str
    dtype: str
    params: tuple[Parameter, ...]
    returns: str | None
    sizes: tuple[int, ...]  # problem sizes, ascending
    patterns: tuple[str, ...]
    copied: bool  # whether the copied context is measured too
    relative_tolerance: float
    absolute_tolerance: float
    data_end: int  # first free byte of linear memory
    baselines: tuple[str, ...]  # `js`, perhaps `js-tuned`
    profile: Mapping[str, int]
    signature: str  # profileSignature, 32 hex digits
    variants: Mapping[str, Variant]
    resident: bool = True  # False: modules have memories of their own, so every call copies
    job: bool = False  # pages bring its implementations (`_job`); `js` then stands for the reference

    @property
    def moved(self) -> tuple[float, int]:
        """Bytes an element and arrays that a copied call moves into WebAssembly memory and back.

        Arrays are taken to have as many entries as the problem has elements.
        """
        ways = {"in": 1, "out": 1, "inout": 2}
        arrays = [p for p in self.params if p.is_array and p.dir in ways]
        return sum(ways[p.dir] * p.item_bytes for p in arrays), sum(ways[p.dir] for p in arrays)

    @property
    def modes(self) -> tuple[bool, ...]:
        """Whether calls copy their arrays: the ways in which this kernel is measured."""
        return (*((False,) if self.resident else ()), *((True,) if self.copied else ()))

    def candidates(self, features: frozenset[str]) -> tuple[str, ...]:
        """The names that a browser with these features can run, JavaScript first."""
        runnable = (name for name, variant in self.variants.items() if variant.features <= features)
        return (*self.baselines, *runnable)

    def optimisations(self, candidate: str) -> tuple[str, ...]:
        """The optimisations of a candidate; none for JavaScript."""
        return () if candidate in self.baselines else self.variants[candidate].optimisations

    def contexts(self) -> Iterator[tuple[int, str, bool, Context]]:
        """Every (size, pattern, copied, context) of the catalogue for this kernel."""
        for pattern in self.patterns:
            for copied in self.modes:
                for size in self.sizes:
                    yield size, pattern, copied, Context.of(size, self.dtype, pattern, copied=copied)


@dataclass(frozen=True)
class Bundle:
    """Modules concatenated into one file, fetched only where all its features are supported."""

    name: str
    path: str
    sha256: str
    size: int
    features: frozenset[str]


@dataclass(frozen=True)
class Manifest:
    """The catalogue as built by `kernels_wasm/build/builder.py`, perhaps with an operator's own kernels and
    jobs."""

    kernels: Mapping[str, Kernel]
    bundles: Mapping[str, Bundle]
    raw: Mapping[str, Any] = field(repr=False, default_factory=dict)
    jobs: Mapping[str, Kernel] = field(default_factory=dict)  # nothing of them is served or run here

    @classmethod
    def load(cls, source: bytes | str | Mapping[str, Any]) -> Manifest:
        """Parse a manifest; raise ManifestError naming what is missing or wrong."""
        try:
            raw = json.loads(source) if isinstance(source, (bytes, str)) else source
            if raw["schema"] != SCHEMA:
                raise ManifestError(f"manifest schema {raw['schema']!r}: this version reads {SCHEMA}")
            kernels = {entry["name"]: _kernel(entry) for entry in raw["kernels"]}
            jobs = {entry["name"]: _job(entry) for entry in raw.get("jobs", ())}
            bundles = {
                name: Bundle(name, b["path"], b["sha256"], b["size"], frozenset(b["features"]))
                for name, b in raw["bundles"].items()
            }
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ManifestError(f"manifest is malformed: {type(error).__name__} {error}") from error
        return cls(kernels, bundles, raw, jobs)

    @cached_property
    def by_signature(self) -> Mapping[str, Kernel]:
        """Kernels and jobs by profileSignature: all that reports may be about."""
        return {kernel.signature: kernel for kernel in self.named.values()}

    @cached_property
    def named(self) -> Mapping[str, Kernel]:
        """Kernels and jobs by name."""
        return {**self.kernels, **self.jobs}


def _job(entry: Mapping[str, Any]) -> Kernel:
    """A job as the model sees it: a kernel without modules, so that no profile says anything of it."""
    name = entry["name"]
    others = [one["name"] for one in entry["implementations"][1:]]
    return Kernel(
        name=name,
        family="job",
        summary=entry["summary"],
        dtype="u8",
        params=(),
        returns=None,
        sizes=tuple(entry["sizes"]),
        patterns=tuple(entry["patterns"]),
        copied=False,
        relative_tolerance=0.0,
        absolute_tolerance=0.0,
        data_end=0,
        baselines=(BASELINE,),
        profile={},
        signature=entry["profileSignature"],
        variants={other: Variant(name, other, (other,), frozenset(), "", 0, 0, "", {}) for other in others},
        job=True,
    )


def _kernel(entry: Mapping[str, Any]) -> Kernel:
    variants = {}
    for raw in entry["variants"]:
        if raw["name"] != variant_name(raw["optimisations"]):
            raise ManifestError(f"{entry['name']}: variant {raw['name']!r} is not named by its optimisations")
        variants[raw["name"]] = Variant(
            entry["name"],
            raw["name"],
            tuple(raw["optimisations"]),
            frozenset(raw["features"]),
            raw["bundle"],
            raw["offset"],
            raw["size"],
            raw["sha256"],
            raw["profile"],
            raw.get("proof", ""),
            raw.get("scope", ""),
            tuple(raw.get("assumed", ())),
            raw.get("difference"),
            raw.get("tested", 0),
        )
    params = tuple(Parameter(p["name"], p["type"], p.get("dir", "in")) for p in entry["params"])
    return Kernel(
        name=entry["name"],
        family=entry["family"],
        summary=entry["summary"],
        dtype=entry["dtype"],
        params=params,
        returns=entry["returns"],
        sizes=tuple(entry["sizes"]),
        patterns=tuple(entry["patterns"]),
        copied=entry["copied"],
        relative_tolerance=entry["tolerance"]["relative"],
        absolute_tolerance=entry["tolerance"]["absolute"],
        data_end=entry["dataEnd"],
        baselines=tuple(entry["baselines"]),
        profile=entry["profile"],
        signature=entry["profileSignature"],
        variants=variants,
        resident=entry.get("resident", True),
    )
