"""A job that nobody knows, registered and reported by a simulated fleet: how soon is the first guess right?

What is true is drawn: each implementation takes `start + bytes * each` on an engine; the figures are in the
range of what SHA-256 libraries take (BENCHMARKS.md), and engines differ from them at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetune.context import Environment
from fleetune.features import Floats, Frame
from fleetune.manifest import BASELINE, Kernel, Manifest
from fleetune_research.fleet.simulate import Fleet, Progress
from fleetune_research.fleet.world import Parameters, World
from fleetune_server.kernels.job import package, read_job
from fleetune_server.training.fit import Rows
from fleetune_server.training.quality import chosen_rows, decide

# ns to begin a call and ns a byte; the first is the reference.
COSTS = {
    "noble": (400.0, 12.0),
    "hashWasm": (900.0, 4.5),
    "asmCrypto": (1500.0, 8.0),
    "webcrypto": (14_000.0, 0.6),
}
SIZES = (16, 256, 4096, 65536, 1 << 20)
ENGINE = 0.4  # sd of ln time by which an engine differs, by implementation and part of its cost
ENVIRONMENT = 0.05  # and an environment from its engine, by implementation
REPORTED = (
    Environment("chromium", 156, "windows", True, True, False, "8-15"),
    Environment("chromium", 156, "android", True, True, False, "8-15"),
    Environment("webkit", 18, "ios", True, False, False, "4-7"),
    Environment("firefox", 153, "windows", True, True, False, "8-15"),
)
# Nobody reports from these: the guess comes from their engines.
SILENT = (
    Environment("chromium", 156, "macos", True, True, False, "4-7"),
    Environment("firefox", 153, "linux", True, True, False, "2-3"),
)
STEP = 50  # reports of an environment between two trainings
MOST = 500
ENOUGH = 0.03  # regret
DEVICES = 200  # that ask for a first guess, an environment


def described() -> dict[str, Any]:
    """The job as an operator would register it."""
    return {
        "name": "sha256",
        "summary": "SHA-256 of bytes",
        "sizes": list(SIZES),
        "patterns": ["random"],
        "implementations": [{"name": name, "version": "1"} for name in COSTS],
    }


def registered(manifest: Manifest) -> tuple[Manifest, Kernel]:
    """A catalogue with the job."""
    job = package(read_job(described())).entry
    known = Manifest.load({**manifest.raw, "jobs": [job]})
    return known, known.jobs[job["name"]]


@dataclass(frozen=True)
class Truth:
    """What one drawn world is like: reported and silent environments."""

    reported: World
    silent: World

    @classmethod
    def draw(cls, job: Kernel, seed: int) -> Truth:
        rng = np.random.default_rng(seed)
        engines = sorted({e.browser for e in (*REPORTED, *SILENT)})
        factor = {e: np.exp(rng.normal(0, ENGINE, (len(COSTS), 2))) for e in engines}
        return cls(*(_world(job, environments, factor, rng) for environments in (REPORTED, SILENT)))


def _world(
    job: Kernel, environments: Sequence[Environment], factor: dict[str, Floats], rng: np.random.Generator
) -> World:
    cells, truth = [], []
    contexts = list(job.contexts())
    costs = np.array(list(COSTS.values()))
    for environment in environments:
        own = rng.normal(0, ENVIRONMENT, len(COSTS))
        for size, _pattern, _copied, context in contexts:
            start, each = (costs * factor[environment.browser]).T
            log_time = np.log(start + size * each) + own
            for name, value in zip(list(COSTS)[1:], log_time[0] - log_time[1:], strict=True):
                cells.append((job, context, environment, name))
                truth.append(float(value))
    parameters = Parameters()
    rows = Rows(Frame.of(cells), np.array(truth), np.full(len(truth), parameters.noise**2))
    share = np.full(len(environments), 1 / len(environments))
    return World(rows, np.full(len(truth), 1 / len(truth)), share, parameters)


def learn(manifest: Manifest, lab: Rows, seed: int, progress: Progress) -> dict[str, Any]:
    """One world: regret after each training, and the first guess for new devices at the end."""
    known, job = registered(manifest)
    truth = Truth.draw(job, seed)
    fleet = Fleet(truth.reported, known, lab, seed=seed)
    curve = [{"reports": 0, "regret": _regret(fleet, truth.reported)}]
    while fleet.reports < MOST * len(REPORTED):
        fleet.round(STEP * len(REPORTED))
        curve.append({"reports": fleet.reports // len(REPORTED), "regret": _regret(fleet, truth.reported)})
        progress(
            f"seed {seed}: {curve[-1]['reports']} reports an environment, regret {curve[-1]['regret']:.2%}"
        )
    right = [point["regret"] <= ENOUGH for point in curve]
    needed = next((curve[i]["reports"] for i in range(len(curve)) if all(right[i:])), None)
    rng = np.random.default_rng(seed + 1)
    return {
        "seed": seed,
        "reports_needed": needed,
        "curve": curve,
        "first_guess": _first_guess(fleet, truth.reported, rng),
        "first_guess_silent": _first_guess(fleet, truth.silent, rng),
        "refused": fleet.refused,
    }


def _regret(fleet: Fleet, world: World) -> float:
    """Mean over contexts of 1 − speedup of the choice ÷ speedup of the best."""
    contexts, chosen = _chosen(fleet, world)
    return float(np.mean(1 - np.exp(contexts.truth[chosen] - contexts.truth[contexts.best()])))


def _chosen(fleet: Fleet, world: World) -> tuple[Any, Any]:
    assert fleet.model is not None
    contexts = world.contexts()
    return contexts, chosen_rows(contexts, decide(contexts, fleet.model.predict_frame(contexts.frame)))


def _first_guess(fleet: Fleet, world: World, rng: np.random.Generator) -> float:
    """Share of what a device's own best would give, geometric mean over devices that have measured nothing."""
    contexts, chosen = _chosen(fleet, world)
    lost = []
    for _ in range(DEVICES):
        own = np.zeros(len(contexts.truth))
        own[~contexts.is_script] = world.device(rng)[contexts.source[~contexts.is_script]]
        lost.append(own[chosen] - own[contexts.best(own)])
    return float(np.exp(np.mean(lost)))


def summary(worlds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The worst world's figures first: what may be promised."""
    needed = [world["reports_needed"] for world in worlds]
    return {
        "reports_needed_per_environment": None if None in needed else max(needed),
        "first_guess_percent_of_oracle": min(world["first_guess"] for world in worlds),
        "first_guess_percent_of_oracle_silent": min(world["first_guess_silent"] for world in worlds),
        "environments": len(REPORTED),
        "implementations": list(COSTS),
        "reference": BASELINE,
        "worlds": list(worlds),
    }
