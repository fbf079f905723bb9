"""From a program to the modules worth timing: rewrites × flags, compiled, told apart, checked and weighed."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import wasmtime
from kernels_wasm.forge import cases, running, to_c
from kernels_wasm.forge.compiling import CompileError, Compiler
from kernels_wasm.forge.rewrites import REWRITES, Form, normalised, of_c
from kernels_wasm.profile import profile, reader
from kernels_wasm.translate.language import MeaningError
from kernels_wasm.translate.source import Source, run

SMALL = (*range(0, 20), 31, 32, 33, 47, 48, 63, 64, 65, 67, 100, 127, 128, 129, 130, 193, 257)
LARGE = (1000, 4096, 16385)
SPECIFIED = (0, 1, 2, 3, 7, 16, 33, 50)  # sizes at which the plain module is held against CPython
HOPELESS = 4.0  # instructions an element, times those of the best that needs no more of a browser


@dataclass(frozen=True)
class Candidate:
    """One distinct module. `exact` is as far as tests saw; `gap` the greatest absolute and relative difference."""

    form: Form
    unit: bytes
    module: bytes
    source: str
    exact: bool = True
    gap: tuple[float, float] = (0.0, 0.0)
    cost: dict[str, float] = field(default_factory=dict)
    verdict: Any = None

    @property
    def name(self) -> str:
        return self.form.name

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.module).hexdigest()


@dataclass
class Found:
    """All candidates that are worth timing, the plain one first, and why others were dropped."""

    kept: list[Candidate]
    dropped: list[tuple[str, str]]  # name (and detail), reason


class UndefinedError(ValueError):
    """The described calls lead the function where it has no meaning, such as outside an array."""


class WrongModuleError(RuntimeError):
    """The plain module does not do what the function does in CPython: a fault of the forge."""


def find(source: Source, compiler: Compiler) -> Found:
    """Compile every form, drop twins, wrong and hopeless ones. WrongModuleError if the plain form is wrong."""
    forms = (
        list(of_c(source.program, source.text))
        if source.in_c
        else [form for rewrite in REWRITES.values() for form in rewrite(normalised(source.program))]
    )
    dropped: list[tuple[str, str]] = []

    def one(form: Form) -> Candidate | str:
        text = form.text or to_c.program(form.program, inline=form.inline, automatic=form.automatic)
        try:
            unit = compiler.compile(text, form.flags)
            return Candidate(form, unit, compiler.link(unit, export=source.export), text)
        except CompileError as error:
            return f"the compiler refused it: {error}"

    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        made = list(pool.map(one, forms))
    distinct: dict[str, Candidate] = {}
    for form, candidate in zip(forms, made, strict=True):
        if isinstance(candidate, str):
            if not form.optimisations:
                raise CompileError(candidate)
            dropped.append((_label(form), candidate))
        elif candidate.digest in distinct:
            dropped.append((_label(form), f"the same module as {_label(distinct[candidate.digest].form)}"))
        else:
            distinct[candidate.digest] = candidate
    candidates = list(distinct.values())
    plain = candidates[0]
    if not source.in_c:
        check_meaning(source, plain)
    kept = [_weighed(source, plain)]
    known = expectations(source, plain)
    for candidate in candidates[1:]:
        checked, problem = check(source, known, candidate)
        if problem:
            dropped.append((_label(candidate.form), problem))
        else:
            kept.append(_weighed(source, checked))
    kept, hopeless = _drop_hopeless(kept)
    return Found(kept, dropped + hopeless)


def _label(form: Form) -> str:
    return f"{form.name} ({form.detail})" if form.detail else form.name


def _module(source: Source, module: bytes) -> running.Module:
    end = max(reader.parse(module).data_end, 16384)
    return running.Module(module, source.params, source.program.main.returns, end, export=source.export)


def check_meaning(source: Source, plain: Candidate) -> None:
    """Hold the plain module against the function in CPython; WrongModuleError names the first difference."""
    instance = _module(source, plain.module)
    for size, pattern, extreme in _grid(source, SPECIFIED):
        given = cases.arguments(source, size, pattern, 0, extreme=extreme)
        try:
            result, arrays = run(source, given)
        except (IndexError, ZeroDivisionError, MeaningError) as error:
            if size == 0 and isinstance(error, IndexError):
                continue  # it needs an element at least
            raise UndefinedError(
                f"{source.name} has no meaning at size {size}, pattern {pattern}: {error}; correct the function, or "
                "`lengths`, `ranges` and `values` of its @kernel"
            ) from error
        changed = [
            running.array(p.element, a or [])
            for p, a in zip(source.params, arrays, strict=True)
            if p.dir in ("out", "inout")
        ]
        if gap := running.difference(instance.run(given), (result, changed)):
            raise WrongModuleError(
                f"{source.name}: size {size}, pattern {pattern}: the module and CPython differ by {gap[0]}"
            )


def _grid(source: Source, sizes: Sequence[int]) -> Iterator[tuple[int, str, bool]]:
    for size in sizes:
        for pattern in source.patterns:
            for extreme in (False, True):
                yield size, pattern, extreme


@dataclass(frozen=True)
class Expectation:
    """One call and what the plain module gives."""

    size: int
    pattern: str
    extreme: bool
    arguments: list[Any]
    outcome: running.Outcome


def expectations(source: Source, plain: Candidate) -> list[Expectation]:
    """Calls at every small size and a few large ones, plain and full of extremes."""
    reference = _module(source, plain.module)
    found = []
    for size, pattern, extreme in _grid(source, (*SMALL, *LARGE)):
        given = cases.arguments(source, size, pattern, 1, extreme=extreme)
        found.append(Expectation(size, pattern, extreme, given, reference.run(given, shift=size % 3)))
    return found


def check(source: Source, known: Sequence[Expectation], candidate: Candidate) -> tuple[Candidate, str]:
    """Hold a candidate against the plain module, with canaries, extremes and odd addresses; a reason to drop it."""
    instance = _module(source, candidate.module)
    loose = candidate.form.reassociates or candidate.form.fuses
    exact, gap = True, (0.0, 0.0)
    relative, absolute = source.tolerance
    for one in known:
        try:
            found = instance.run(one.arguments, shift=one.size % 3)
        except (wasmtime.WasmtimeError, wasmtime.Trap, running.StrayWriteError) as error:
            return candidate, f"refuted at size {one.size}: {error}"
        apart = running.difference(found, one.outcome)
        if apart is None:
            continue
        exact = False
        if not loose:
            return candidate, f"refuted at size {one.size}, pattern {one.pattern}: differs by {apart[0]}"
        if one.extreme:
            continue  # infinities and NaN may meet in another order
        gap = (max(gap[0], apart[0]), max(gap[1], apart[1]))
        if apart[0] > absolute and apart[1] > relative:
            return candidate, f"differs by {apart[0]:.3g} at size {one.size}, more than the tolerance"
    return replace(candidate, exact=exact, gap=gap), ""


def _weighed(source: Source, candidate: Candidate) -> Candidate:
    return replace(candidate, cost=profile.variant_profile(candidate.module, source.export))


def _drop_hopeless(kept: Sequence[Candidate]) -> tuple[list[Candidate], list[tuple[str, str]]]:
    """Leave out what does far more work an element than another that runs in every browser it runs in."""
    good: list[Candidate] = []
    dropped = []
    for candidate in kept:
        if candidate.form.optimisations and not candidate.cost["bulk"]:
            rivals = [c.cost["instructionsPerElement"] for c in kept
                      if set(c.form.features) <= set(candidate.form.features) and not c.cost["bulk"]]  # fmt: skip
            work = candidate.cost["instructionsPerElement"]
            if work > HOPELESS * min(rivals) and math.isfinite(work):
                reason = f"{work:.1f} instructions an element, {min(rivals):.1f} in the best"
                dropped.append((_label(candidate.form), reason))
                continue
        good.append(candidate)
    return good, dropped
