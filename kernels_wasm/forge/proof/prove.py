"""Prove that a candidate module does what its scalar one does, for every n up to N."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from kernels_wasm.forge.proof.cases import Case, Spec, case_of
from kernels_wasm.forge.proof.decide import EQUAL, ORDER, Decider
from kernels_wasm.forge.proof.domains import Numbers
from kernels_wasm.forge.proof.machine import Trap
from kernels_wasm.forge.proof.outcome import Outcome, pairs, run, strange_reads, stray_writes
from kernels_wasm.forge.proof.program import load
from kernels_wasm.forge.proof.replay import Difference, Pair, find_difference
from kernels_wasm.forge.proof.shape import Program
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Undecided

REFUTED, UNDECIDED = "refuted", "undecided"
KINDS = (*ORDER, REFUTED, UNDECIDED)
ROUNDED = tuple(kind for kind in ORDER if kind != EQUAL)
RUNS = 150  # inputs tried for each case where a proof failed
AROUND = 20  # for each size around a threshold
COMPARE = range(0x46, 0x50)
CONSTANT = 0x41


@dataclass(frozen=True)
class Verdict:
    """What is known of a candidate.

    kind: `equal` bit for bit; `reassociated`: equal but for the order of float sums and products; `fused`: but for
    multiply-adds rounded once, too; `refuted`, with inputs on which it differs; `undecided`: tested only.
    n: the largest n for which it was proved (-1: none), also of an undecided one.
    """

    kind: str
    n: int
    seconds: float
    assumptions: tuple[str, ...] = ()
    reason: str = ""
    counterexample: Difference | None = None
    tested: int = 0  # inputs tried in wasmtime
    difference: float | None = None  # the largest measured, of what is equal but for rounding
    engines: dict[str, int] = field(default_factory=dict)

    @property
    def proved(self) -> bool:
        return self.kind in ORDER

    def as_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {"kind": self.kind, "n": self.n, "seconds": round(self.seconds, 2)}
        found |= {"assumptions": list(self.assumptions), "tested": self.tested, "engines": self.engines}
        if self.difference is not None:
            found["difference"] = self.difference
        if self.reason:
            found["reason"] = self.reason
        if self.counterexample:
            found["counterexample"] = self.counterexample.as_dict()
        return found


class Prover:
    """Proofs against one scalar module, which is executed once for all candidates."""

    def __init__(self, spec: Spec, scalar: bytes, *, use_solver: bool = True) -> None:
        self.spec, self.scalar = spec, scalar
        self.terms = Terms()
        self.decider = Decider(self.terms, use_solver)
        self.program = load(scalar)
        self.outcomes: dict[tuple[tuple[str, int], ...], tuple[Case, Outcome]] = {}

    def expected(self, numbers: Numbers, deadline: float) -> tuple[Case, Outcome]:
        key = tuple(numbers.items())
        found = self.outcomes.get(key)
        if found is None:
            case = case_of(self.spec, numbers, self.terms)
            found = self.outcomes[key] = (
                case,
                run(self.program, case, self.terms, deadline, self.decider.impossible),
            )
        return found

    def prove(self, candidate: bytes, max_n: int, deadline_s: float, *, enough: int = 0) -> Verdict:
        """The verdict on `candidate` for n = 0 … max_n, within about `deadline_s` seconds of this process.

        A proof that stops before `enough` is `undecided`. Raises ProfileError for what is no module.
        """
        started = time.process_time()
        deadline = started + deadline_s
        self.decider.used = {}
        max_n = min(max_n, self.spec.domain.most)
        worst, proved, reads, reason = EQUAL, -1, 0, ""
        failed: Numbers = {}
        program: Program | None = None
        try:
            program = load(candidate)
            for n in range(max_n + 1):
                for numbers in self.spec.domain.cases(n):
                    failed = numbers
                    kind, read = self._case(program, numbers, deadline)
                    worst = max(worst, kind, key=ORDER.index)
                    reads = max(reads, read)
                proved = n
        except Undecided as error:
            reason = str(error)
        pair = Pair(self.spec, self.scalar, candidate)
        found, limits, tested = self.tried(pair, program, proved, failed if reason else None)
        kind = REFUTED if found else worst if proved >= max(enough, 0) else UNDECIDED
        difference = None
        if kind in ROUNDED:
            rng = np.random.default_rng(3)
            difference = max(pair.spread(case, RUNS, rng) for case in self._sampled(proved))
        return Verdict(
            kind,
            proved,
            time.process_time() - started,
            self._assumptions(reads, limits) if kind in ORDER else (),
            reason if kind not in ORDER or proved < max_n else "",
            found,
            tested,
            difference,
            dict(self.decider.used),
        )

    def tried(
        self, pair: Pair, program: Program | None, proved: int, failed: Numbers | None
    ) -> tuple[Difference | None, list[int], int]:
        """Random inputs where the proof failed, if it did, and around what the code compares sizes with: a
        difference, those constants above N, and how many inputs it were."""
        tested = 0
        found: Difference | None = None
        if failed is not None:
            sizes = [failed, *self._near(proved + 1)]
            found = find_difference(pair, sizes, RUNS, 1)
            tested += RUNS * len(sizes)
        limits = thresholds(program, max(proved, 0)) if program and not found else []
        sizes = [c for limit in limits for n in (limit - 1, limit, limit + 1) for c in self._sampled(n)]
        if sizes:
            found = find_difference(pair, sizes, AROUND, 2)
            tested += AROUND * len(sizes)
        return found, limits, tested

    def _case(self, program: Program, numbers: Numbers, deadline: float) -> tuple[str, int]:
        """The verdict on one call, and how many bytes were read outside; raises Undecided."""
        case, expected = self.expected(numbers, deadline)
        found = run(program, case, self.terms, deadline, self.decider.impossible)
        if strays := stray_writes(found, case):
            raise Undecided(f"writes to address {strays[0]}, which is no array's, at {numbers}")
        worst = EQUAL
        for place, x, y, width in pairs(expected, found, case):
            kind = self.decider.decide(x, y, width, deadline)
            if kind is None:
                late = time.process_time() > deadline
                raise Undecided("deadline" if late else f"{place} not proved equal at {numbers}")
            worst = max(worst, kind, key=ORDER.index)
        return worst, strange_reads(found, case)

    def _near(self, n: int) -> list[Numbers]:
        """Sizes around the one that failed, and larger ones that reach code which small ones do not."""
        sizes = {n, n + 1, 2 * n + 3, 37, 67} - {0}
        return [c for size in sorted(sizes) for c in self._sampled(size)]

    def _sampled(self, n: int) -> list[Numbers]:
        most = 300 if self.spec.domain.most < 64 else 40_000
        return list(self.spec.domain.cases(n)) if n <= most else []

    def _assumptions(self, reads: int, limits: list[int]) -> tuple[str, ...]:
        found = [
            self.spec.domain.note,
            "arrays do not overlap",
            "words are aligned, bytes lie at odd addresses",
        ]
        if any("f32" in p.type or "f64" in p.type for p in self.spec.params):
            found.append("NaN payloads are not compared")
        if reads:
            found.append(f"up to {reads} bytes past an array may be read")
        if limits:
            found.append(f"thresholds above N only tested: {', '.join(map(str, limits))}")
        return tuple(found)


def thresholds(program: Program, n: int) -> list[int]:
    """Constants above n that the code compares with: sizes at which it may turn to other code."""
    found = set()
    for function in program.functions:
        for (before, value), (op, _) in zip(function.code, function.code[1:], strict=False):
            if before == CONSTANT and op in COMPARE and n < value <= 20_000:
                found.add(value)
    return sorted(found)[:4]


def prove(
    spec: Spec,
    scalar_wasm: bytes,
    candidate_wasm: bytes,
    max_n: int,
    deadline_s: float,
    *,
    enough: int = 0,
    use_solver: bool = True,
) -> Verdict:
    """One candidate against one scalar module; a Prover is faster for several."""
    return Prover(spec, scalar_wasm, use_solver=use_solver).prove(
        candidate_wasm, max_n, deadline_s, enough=enough
    )


__all__ = ["KINDS", "REFUTED", "UNDECIDED", "Prover", "Spec", "Trap", "Verdict", "prove", "thresholds"]
