"""The benchmark: workloads within a time budget, their results, and the operations that run and steer it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fleetune.app import decide
from fleetune.app import workloads as catalogue
from fleetune.app.control import Control, Stopped, TimeBudget
from fleetune.app.measure import (
    EXACT_ROUNDS,
    FIXED,
    QUICK,
    BaselineError,
    Measurement,
    OutOfTime,
    Rules,
    WorkloadRun,
)
from fleetune.app.session import Args, Operation, RequestError, Session
from fleetune.app.workloads import Workload
from fleetune.choose import safe_default
from fleetune.context import short_hash
from fleetune.manifest import BASELINE, Kernel
from fleetune.stats import Timed, contenders, noisy

MEMORY_LIMIT = 256 << 20  # bytes held by modules before the bench worker is replaced
FIRST_WORKLOAD_MS = 600.0  # what a workload is expected to take before any was measured
PATIENCE = 2.75  # budgets that the headline may take: 55 s of the usual 20, with OVERRUN a minute
LEAST_SHARE = 0.6  # a workload is begun only if this share of a usual workload's time is left
QUICK_MS = 60_000.0  # budgets up to this are quick ones
MIN_BUDGET_MS, MAX_BUDGET_MS = 100.0, 3_600_000.0

Result = dict[str, Any]
Progress = Callable[[dict[str, Any]], None]


@dataclass
class Benchmark:
    """One run over some workloads. Results come in the order of measurement."""

    session: Session
    control: Control
    budget: TimeBudget
    rules: Rules = field(default_factory=Rules)
    seed: int = 1
    on_progress: Progress = lambda _: None
    on_result: Progress = lambda _: None
    results: list[Result] = field(default_factory=list)
    headline: Collection[
        Workload
    ] = ()  # what the result is made of: they may take longer, and are more exact
    stopped: bool = False
    skipped: int = 0  # workloads that could not be measured at all
    _warm: set[tuple[str, str, bool]] = field(default_factory=set)
    _memory: int = 0

    async def run(self, queue: Sequence[Workload]) -> list[Result]:
        """Measure workloads until they are done, the budget is spent, or the control says stop."""
        bench = self.session.platform.bench
        if self.session.benched:
            await bench.restart()  # call sites that saw an earlier run's modules would be slow
        self.session.benched = True
        clock = await bench.open()
        try:
            for workload in queue:
                await self.control.gate()
                self.budget.stretch = PATIENCE if workload in self.headline else 1.0
                if self.budget.left_ms < LEAST_SHARE * self._usual_ms():
                    break
                if BASELINE in self.session.set_aside.get(workload.kernel, {}):
                    self.skipped += 1
                    continue
                self.on_progress(self._progress(workload, len(queue)))
                if self._memory > MEMORY_LIMIT:
                    await bench.restart()
                    self._warm.clear()
                await self._one(workload, clock.step)
                await self.session.remember()  # a page that is left in the middle loses one context
        except Stopped:
            self.stopped = True
        except OutOfTime:
            pass  # the workload under way is dropped: too few batches are no measurement
        return self.results

    async def _one(self, workload: Workload, clock_step: float) -> None:
        session = self.session
        kernel = session.kernel(workload.kernel)
        exact = workload in self.headline
        run = WorkloadRun(
            session.platform.bench,
            workload,
            list(session.candidates(kernel)),
            replace(self.rules, exact=True, rounds=EXACT_ROUNDS) if exact else self.rules,
            clock_step,
            int(short_hash([self.seed, workload.kernel, workload.size, workload.pattern], 8), 16),
            self.control,
            self.budget,
            self._warm,
            lambda candidate, reason: session.put_aside(kernel.name, candidate, reason),
        )
        began = self.control.used_ms()
        try:
            measurement = await run.measure()
            if not exact and _disturbed(measurement) and self.budget.left_ms > self.control.used_ms() - began:
                again = await run.again()
                measurement = min(measurement, again, key=_disturbance)
        except BaselineError as error:
            session.put_aside(kernel.name, BASELINE, str(error))
            self.skipped += 1
            return
        finally:
            self._memory = run.memory
        result = self._result(workload, measurement)
        result["seconds"] = (self.control.used_ms() - began) / 1000
        self.results.append(result)
        session.show(result)
        self.on_result(result)

    def _usual_ms(self) -> float:
        if not self.results:
            return FIRST_WORKLOAD_MS
        return self.control.used_ms() / len(self.results)

    def _progress(self, workload: Workload, total: int) -> dict[str, Any]:
        done = len(self.results) + self.skipped
        usual = self._usual_ms()
        left = max(self.budget.usual_left_ms, (len(self.headline) - done) * usual)
        if self.budget.limit_ms is not None:
            total = min(total, max(done + 1, done + round(left / usual)))
        return {
            "done": done,
            "total": total,
            "kernel": workload.kernel,
            "size": workload.size,
            "pattern": workload.pattern,
            "copied": workload.copied,
            "secondsLeft": max(min((total - done) * usual, left), 0) / 1000,
        }

    def _result(self, workload: Workload, measurement: Measurement) -> Result:
        session = self.session
        kernel = session.kernel(workload.kernel)
        context = workload.context(kernel.dtype)
        baseline = measurement.series[BASELINE]
        timed = {name: Timed.of(one, baseline) for name, one in measurement.series.items()}
        predictions = decide.predicted(session, kernel, context)
        session.measured[kernel.name, context] = timed
        for name, one in decide.as_measured(timed).items():
            session.personal.observe(kernel, context, name, one.log_speedup, one.spread)
        choice = decide.decide(session, kernel, context, predictions)
        known = (
            zip(predictions.candidates, predictions.mean.tolist(), strict=True) if session.verified else ()
        )
        return {
            "kernel": kernel.name,
            "context": context.to_wire(),
            "size": workload.size,
            "pattern": workload.pattern,
            "copied": workload.copied,
            "candidates": self._candidates(kernel, timed, {name: math.exp(ln) for name, ln in known}),
            "noisy": _disturbed(measurement),
            "choice": choice.candidate,
            "source": choice.source,
            "why": choice.why,
            "first": decide.first(session, kernel, context, predictions).candidate,
            "heuristic": safe_default(kernel, session.environment.features),
            "headline": workload in self.headline,
            "modelVersion": decide.version(session),
        }

    def _candidates(
        self, kernel: Kernel, timed: Mapping[str, Timed], speedups: Mapping[str, float]
    ) -> dict[str, dict[str, Any]]:
        """Everything that this browser can run, measured or set aside."""
        aside = self.session.set_aside.get(kernel.name, {})
        table: dict[str, dict[str, Any]] = {}
        for name in kernel.candidates(self.session.environment.features):
            one = timed.get(name)
            row = {"ok": True, **asdict(one)} if one else {"ok": False, "error": aside.get(name, "not timed")}
            table[name] = {**row, "predicted": speedups.get(name)}
        return table


def _disturbance(measurement: Measurement) -> float:
    """The largest spread among the candidates that matter: the baseline and the contenders."""
    names = {BASELINE, *contenders(measurement.series)}
    return max(measurement.series[name].spread for name in names)


def _disturbed(measurement: Measurement) -> bool:
    names = {BASELINE, *contenders(measurement.series)}
    return noisy(measurement.series[name] for name in names)


def _queue(session: Session, workloads: object, kernels: object, seed: int) -> list[Workload]:
    if workloads is None:
        wanted = _wanted(session, kernels)
        return [
            workload for workload in catalogue.spread(session.manifest, seed) if workload.kernel in wanted
        ]
    if workloads == "all":
        return catalogue.every_workload(session.manifest)
    if not isinstance(workloads, Iterable) or isinstance(workloads, (str, bytes)):
        raise RequestError('workloads: a list of {kernel, size, pattern, copied}, or "all"')
    return catalogue.parse(session.manifest, workloads)


def _wanted(session: Session, kernels: object) -> set[str]:
    if kernels is None:
        return set(session.manifest.kernels)
    if not isinstance(kernels, Iterable) or isinstance(kernels, (str, bytes)):
        raise RequestError("kernels: a list of names")
    return {session.kernel(name).name for name in kernels}


async def benchmark(session: Session, args: Args) -> Mapping[str, Any]:
    """Run a benchmark.

    `budgetMs`: its time; `workloads`: which (default: chosen, spread over all kernels and sizes);
    `kernels`: only these; `fixed`: the
    lab's protocol, the same treatment for every workload; `seed`: of inputs and orders; `headline`: first, and
    for up to PATIENCE budgets, what a result is made of.

    Emits `progress`, `result` and `setAside`; gives {stopped, seconds, results, setAside, skipped}.
    """
    if session.control:
        raise RequestError("a benchmark is running already: stop it first")
    limit = args.get("budgetMs")
    if limit is not None and not MIN_BUDGET_MS <= limit <= MAX_BUDGET_MS:
        raise RequestError(f"budgetMs: between {MIN_BUDGET_MS:.0f} and {MAX_BUDGET_MS:.0f}")
    seed = int(args.get("seed", 1))
    queue = _queue(session, args.get("workloads"), args.get("kernels"), seed)
    headline = catalogue.headline(session.manifest) if args.get("headline") else []
    queue = [*headline, *(workload for workload in queue if workload not in headline)]
    rules = FIXED if args.get("fixed") else QUICK if (limit or math.inf) <= QUICK_MS else Rules()
    control = session.control = Control(session.platform.clock)
    emit = session.platform.emit
    run = Benchmark(
        session,
        control,
        TimeBudget(control, limit),
        replace(rules, batch_ms=float(args.get("batchMs", rules.batch_ms))),
        seed,
        lambda data: emit("progress", data),
        lambda data: emit("result", data),
        headline=headline,
    )
    try:
        results = await run.run(queue)
    finally:
        session.control = None
    await session.remember()
    return {
        "stopped": run.stopped,
        "seconds": control.used_ms() / 1000,
        "results": results,
        "setAside": session.set_aside,
        "skipped": run.skipped,
    }


async def stop(session: Session, args: Args) -> bool:
    """End the benchmark under way, keeping what was measured; whether there was one."""
    if session.control:
        session.control.stop()
    return session.control is not None


async def pause(session: Session, args: Args) -> bool:
    """Hold the benchmark under way; its budget waits too."""
    if session.control:
        session.control.pause()
    return session.control is not None


async def resume(session: Session, args: Args) -> bool:
    if session.control:
        session.control.resume()
    return session.control is not None


OPS: dict[str, Operation] = {"benchmark": benchmark, "stop": stop, "pause": pause, "resume": resume}
