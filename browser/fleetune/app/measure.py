"""Measure one workload: load, check against JavaScript, warm up, calibrate, and time in interleaved rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fleetune.app.control import Control, TimeBudget
from fleetune.app.platform import Bench, BenchError, BenchTimeout
from fleetune.app.workloads import Workload, shuffler
from fleetune.manifest import BASELINE, TUNED
from fleetune.rounds import Rounds
from fleetune.stats import Plan, Series, suspect


@dataclass(frozen=True)
class Rules:
    """The protocol's numbers; times in ms. Two engines tick at 1 ms on pages that are not isolated."""

    batch_ms: float = 4.0
    clock_steps: int = 50  # a batch lasts at least this many steps of the clock
    rounds: int = 15
    loser_rounds: int = 5
    early: bool = True  # stop once the fastest is known (fleetune.rounds)
    exact: bool = False  # and not before its time and JavaScript's are precise
    warm_ms: float = 16.0  # per candidate, the first time that its loop runs
    max_warm_ms: float = 120.0
    stable: float = 0.1  # warm once a batch is not faster than the one before by more than this share
    hang_ms: float = 3000.0  # beyond what a call may be expected to take

    def target_ms(self, clock_step: float) -> float:
        """How long a batch should last."""
        return max(self.batch_ms, self.clock_steps * clock_step)


FIXED = Rules(early=False, warm_ms=30.0)  # the lab: every workload gets the same, patient treatment
# A short budget: more workloads, each a little less certain. Where the clock's step is 1 ms, 50 of them in a
# batch make one workload last 10 s and more, and pages that embed us would measure nothing in their budgets.
# Batches begin and end with a step, so a few steps are enough.
QUICK = Rules(warm_ms=8.0, clock_steps=8)
EXACT_ROUNDS = 30  # of what two runs have to agree on: on a quiet machine a few are enough


MESSAGE_MS = 500.0  # of batches in one message to the bench worker, which cannot be stopped meanwhile
FULL_BATCHES = 3  # while one is timed, a compiler may still be at work in another thread


class OutOfTime(Exception):  # noqa: N818 (not an error)
    """The budget ended before this workload had enough batches."""


class BaselineError(BenchError):
    """The JavaScript baseline itself failed, so there is nothing to compare with."""


@dataclass
class Measurement:
    """Times of one workload; candidates found wrong while measuring it."""

    series: dict[str, Series]
    wrong: dict[str, str] = field(default_factory=dict)
    memory: int = 0  # bytes that the bench worker holds


@dataclass
class _Warmth:
    iterations: int = 1
    per_call: float = math.inf  # ms, the least so far
    last: float = math.inf  # ms per call in the last full batch
    total: float = 0.0  # ms
    full: int = 0  # batches of full length so far


@dataclass
class WorkloadRun:
    """One workload being measured. `warm` is shared by all workloads of one bench worker: loops compiled hot."""

    bench: Bench
    workload: Workload
    candidates: list[str]
    rules: Rules
    clock_step: float
    seed: int
    control: Control
    budget: TimeBudget
    warm: set[tuple[str, str, bool]]
    put_aside: Callable[[str, str], None]
    reference_ms: float = 0.0
    memory: int = 0
    iterations: dict[str, int] = field(default_factory=dict)
    per_call: dict[str, float] = field(default_factory=dict)

    async def measure(self) -> Measurement:
        """Raises Stopped, OutOfTime, or BaselineError; anything else that is wrong is set aside and named."""
        aside: dict[str, str] = {}
        await self._load(aside)
        await self._check(aside)
        await self._warm_up(aside)
        return await self._rounds(aside)

    async def again(self) -> Measurement:
        """Time the same workload once more, with everything loaded, checked and warm."""
        self.seed += 1
        return await self._rounds({})

    async def _rounds(self, aside: dict[str, str]) -> Measurement:
        plan = self._plan()
        while order := plan.order():
            await self.control.gate()
            if self.budget.spent and plan.usable:
                break
            if self.budget.overrun:
                raise OutOfTime
            for name, ms in (await self._run(order, aside)).items():
                plan.series[name].add(ms / self.iterations[name])
            for name in aside:
                plan.remove(name)
        return Measurement(plan.series, aside, self.memory)

    def _plan(self) -> Plan | Rounds:
        """Reports are drawn evenly among what was timed, and speedups are over JavaScript's time: so everybody gets
        `loser_rounds`, and JavaScript all."""
        rules, shuffle = self.rules, shuffler(self.seed)
        series = {name: Series([], self.clock_step / self.iterations[name]) for name in self.candidates}
        if not rules.early:
            return Plan(series, shuffle, BASELINE, rules.rounds, rules.loser_rounds)
        exact = (BASELINE, TUNED) if rules.exact else ()
        return Rounds(
            series,
            shuffle,
            BASELINE,
            BASELINE,
            rules.loser_rounds,
            rules.rounds,
            lambda name: name in exact or suspect(series, name, BASELINE),
            exact,
        )

    def _aside(self, aside: dict[str, str], candidate: str, reason: str) -> None:
        if candidate == BASELINE:
            raise BaselineError(f"{self.workload.kernel}: the JavaScript baseline {reason}")
        aside[candidate] = reason
        self.candidates.remove(candidate)
        self.put_aside(candidate, reason)

    async def _load(self, aside: dict[str, str]) -> None:
        workload = self.workload
        try:
            loaded = await self.bench.load(
                workload.kernel, self.candidates, workload.size, workload.pattern, workload.copied, self.seed
            )
        except BenchTimeout as error:
            raise BaselineError(f"{workload.kernel}: inputs and baseline took too long ({error})") from error
        self.reference_ms, self.memory = loaded.reference_ms, loaded.memory
        for name, reason in loaded.failed.items():
            self._aside(aside, name, f"could not be loaded: {reason}")

    async def _reload(self, aside: dict[str, str]) -> None:
        """After the bench worker was ended: a new one, with the candidates that are left."""
        await self.bench.restart()
        self.warm.clear()
        await self._load(aside)

    async def _check(self, aside: dict[str, str]) -> None:
        limit = self.rules.hang_ms + 50 * self.reference_ms
        for name in [name for name in self.candidates if name != BASELINE]:
            await self.control.gate()
            if self.budget.overrun:
                raise OutOfTime
            if name in aside:
                continue
            try:
                error = await self.bench.check(name, limit)
            except BenchTimeout:
                self._aside(aside, name, f"did not end within {limit / 1000:.0f} s")
                await self._reload(aside)
            else:
                if error:
                    self._aside(aside, name, error)

    async def _warm_up(self, aside: dict[str, str]) -> None:
        """Run each loop until the engine's compilers are done with it, growing it to a full batch."""
        target = self.rules.target_ms(self.clock_step)
        cold = {name: _Warmth() for name in self.candidates}
        while cold:
            await self.control.gate()
            if self.budget.overrun:
                raise OutOfTime
            for name, state in cold.items():
                self.iterations[name] = state.iterations
            times = await self._run(list(cold), aside)
            for name in list(cold):
                if name not in times or self._is_warm(name, cold[name], times[name], target):
                    del cold[name]
        for name in self.candidates:
            self.iterations[name] = max(1, math.ceil(target / self.per_call[name]))

    def _is_warm(self, name: str, state: _Warmth, ms: float, target: float) -> bool:
        per_call = ms / state.iterations
        state.total += ms
        if ms < 0.75 * target:
            growth = target / max(ms, self.clock_step, target / 16)
            state.iterations = math.ceil(state.iterations * max(growth, 1.5))
            state.per_call = min(state.per_call, max(per_call, 1e-9))
            return False
        state.full += 1
        stable = per_call > (1 - self.rules.stable) * state.last
        state.last = per_call
        # Early, slow calls must not set the length of a batch: only full batches count from here on.
        state.per_call = per_call if state.full == 1 else min(state.per_call, per_call)
        self.per_call[name] = max(state.per_call, 1e-9)
        key = (self.workload.kernel, name, self.workload.copied)
        if state.total >= max(self.rules.max_warm_ms, 3 * ms) or key in self.warm:
            self.warm.add(key)
            return True
        if stable and state.full >= FULL_BATCHES and state.total >= self.rules.warm_ms:
            self.warm.add(key)
            return True
        state.iterations = max(1, math.ceil(target / per_call))
        return False

    async def _run(self, order: list[str], aside: dict[str, str]) -> Mapping[str, float]:
        """ms of one batch of each; who fails or hangs is set aside and has no entry."""
        times: dict[str, float] = {}
        for part in self._parts(order):
            times |= await self._message(part, aside)
        return times

    def _parts(self, order: list[str]) -> list[list[str]]:
        """What one message times: a round, or one candidate where batches are long, to stop in time."""
        return [order] if sum(map(self._batch_ms, order)) < MESSAGE_MS else [[name] for name in order]

    async def _message(self, order: list[str], aside: dict[str, str]) -> Mapping[str, float]:
        while True:
            await self.control.gate()
            if self.budget.overrun:
                raise OutOfTime
            batches = [(name, self.iterations[name]) for name in order]
            expected = sum(map(self._batch_ms, order))
            try:
                times = await self.bench.run(batches, self.rules.hang_ms + 10 * expected)
                return dict(zip(order, times, strict=True))
            except BenchTimeout:
                await self._find_hung(batches, aside)
            except BenchError as error:
                if error.candidate not in order:
                    raise
                self._aside(aside, error.candidate, f"failed while it was timed: {error}")
            order = [name for name in order if name not in aside]

    def _batch_ms(self, name: str) -> float:
        """How long a batch may take: on a coarse clock a call's time is not known before a whole one."""
        target = self.rules.target_ms(self.clock_step)
        return max(target, self.iterations[name] * self._expected_ms(name))

    def _expected_ms(self, name: str) -> float:
        return self.per_call.get(name, self.reference_ms)

    async def _find_hung(self, batches: list[tuple[str, int]], aside: dict[str, str]) -> None:
        """A round did not end: run each batch alone to see whose it was."""
        await self._reload(aside)
        for name, iterations in batches:
            if name in aside:
                continue
            limit = self.rules.hang_ms + 10 * self._batch_ms(name)
            try:
                await self.bench.run([(name, iterations)], limit)
            except BenchTimeout:
                self._aside(aside, name, f"did not end within {limit / 1000:.0f} s")
                await self._reload(aside)
