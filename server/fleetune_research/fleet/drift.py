"""How fast the fleet changes its mind: a new kernel, a new browser version, a truth that changes under its
key.

A small catalogue in a fleet of six environments, so that three seeds take minutes; figures count reports of
the
kernel or environment in question, which do not depend on how large the rest is. A change hits whole blocks
(kernel × pattern, all sizes), because an engine changes how it compiles something, not single sizes: in
each block every optimisation's effect moves by N(0, CHANGE²).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.features import Ints
from fleetune.manifest import Manifest
from fleetune_research.fleet.plan import planned
from fleetune_research.fleet.simulate import Fleet, Progress
from fleetune_research.fleet.world import ALIKE, World, build
from fleetune_server.training.fit import Rows

KERNELS = ("dot", "rgb_to_grey", "edit_distance", "memchr", "saxpy")
FLEET = (
    ("chromium", 156, "windows", "8-15", 0.40),
    ("chromium", 156, "android", "8-15", 0.25),
    ("chromium", 156, "macos", "8-15", 0.10),
    ("webkit", 18, "ios", "4-7", 0.10),
    ("firefox", 153, "windows", "8-15", 0.10),
    ("firefox", 153, "linux", "4-7", 0.05),
)
NEW_KERNELS = {
    "dot": tuple(range(1_000, 8_001, 1_000)),
    "rgb_to_grey": tuple(range(1_000, 8_001, 1_000)),
    "edit_distance": tuple(range(1_000, 20_001, 1_000)),
}  # reports at which it is trained: as often as a server does by default
WARM = (5_000, 20_000, 60_000, 150_000)
AFTER = (1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 15_000, 20_000)
CHANGE = 0.4  # deviation of each optimisation's change of ln speedup in a changed block
CHANGED = 0.2  # share of contexts that change
RIGHT, REGRET = 0.95, 0.03


@dataclass(frozen=True)
class Small:
    """The catalogue's part that these scenarios use, and the lab's rows of it."""

    manifest: Manifest
    lab: Rows

    @classmethod
    def of(cls, manifest: Manifest, lab: Rows) -> Small:
        return cls(manifest, lab.take(_of_kernels(lab, KERNELS)))

    def world(self, seed: int) -> World:
        """The fleet; every kernel is as popular as any other, so that all have the reports that are
        counted."""
        return build(self.lab, ALIKE, seed, FLEET)


def drift(
    small: Small,
    seeds: Sequence[int],
    only: Sequence[str],
    progress: Progress,
    kernels: Sequence[str] = tuple(NEW_KERNELS),
    plan: bool = False,
) -> dict[str, Any]:
    """Every scenario for every seed, and the worst seed's figures as the scenario's own.

    `plan`: reports about a new kernel are drawn where most is to be gained, not evenly.
    """
    scenarios: dict[str, Callable[[], dict[str, Any]]] = {
        "new_kernel": lambda: {
            name: _worst([_new_kernel(small, name, seed, progress, plan) for seed in seeds])
            for name in kernels
        },
        "new_version": lambda: _worst([_new_version(warm(seed), seed, progress) for seed in seeds]),
        "same_key": lambda: _worst([_same_key(warm(seed), seed, progress) for seed in seeds]),
    }
    fleets: dict[int, Fleet] = {}

    def warm(seed: int) -> Fleet:
        """A fleet after WARM reports; made once for both scenarios that start from it."""
        if seed not in fleets:
            fleet = fleets[seed] = Fleet(small.world(seed), small.manifest, small.lab, seed=seed)
            for reports in WARM:
                fleet.round(reports - fleet.reports)
                told = fleet.score()
                progress(f"seed {seed}: {reports} reports: {_text(told)}")
        return deepcopy(fleets[seed])

    return {name: scenarios[name]() for name in only}


def _new_kernel(small: Small, name: str, seed: int, progress: Progress, plan: bool) -> dict[str, Any]:
    world = small.world(seed)
    known = replace(small, lab=small.lab.take(~_of_kernels(small.lab, (name,))))
    fleet = Fleet(world, small.manifest, known.lab, seed=seed)
    here = _of_kernels(world.rows, (name,))
    weights = np.where(here, world.traffic, 0.0) / world.traffic[here].sum()
    curve = [_point(0, fleet.score(here))]
    for reports in NEW_KERNELS[name]:
        fleet.round(reports - fleet.reports, planned(fleet, here) if plan else weights)
        curve.append(_point(reports, fleet.score(here)))
        progress(f"new kernel {name}, seed {seed}: {_text(curve[-1])}")
        if _is_right(curve[-1]):
            break
    needed = next((p["reports"] for p in curve if _is_right(p)), None)
    return {"reports_needed": needed, "curve": curve, "refused": fleet.refused}


def _new_version(fleet: Fleet, seed: int, progress: Progress) -> dict[str, Any]:
    old = fleet.world
    f = old.frame
    version = replace(f.environments[0], version=f.environments[0].version + 1)
    environments = [version, *f.environments[1:]]
    changed, truth = _changed(old, seed)
    moved = replace(old.rows, frame=replace(f, environments=environments), target=truth)
    here = f.environment == 0
    before = fleet.score(here)
    fleet.world = replace(old, rows=moved)
    fleet.count[here] = 0
    weights = np.where(here, old.traffic, 0.0) / old.traffic[here].sum()
    curve: list[dict[str, Any]] = []
    for reports in (0, *AFTER):
        if reports:
            fleet.round(reports - curve[-1]["reports"], weights)
        told = {"changed": fleet.score(changed), "unchanged": fleet.score(here & ~changed)}
        curve.append({"reports": reports, **{part: _point(reports, q) for part, q in told.items()}})
        for part, quality in told.items():
            progress(f"new version, seed {seed}, {part}: {_text(quality)}")
    right = (point["reports"] for point in curve if point["changed"]["within_3pct"] >= RIGHT)
    return {
        "reports_needed": next(right, None),
        "changed_at_last": curve[-1]["changed"]["within_3pct"],
        "unchanged_lowest": min(point["unchanged"]["within_3pct"] for point in curve),
        "before": _point(0, before),
        "curve": curve,
        "refused": fleet.refused,
    }


def _same_key(fleet: Fleet, seed: int, progress: Progress) -> dict[str, Any]:
    old = fleet.world
    here = old.frame.environment == 0
    changed, truth = _changed(old, seed)
    fleet.world = replace(old, rows=replace(old.rows, target=truth))
    weights = np.where(here, old.traffic, 0.0) / old.traffic[here].sum()
    curve: list[dict[str, Any]] = []
    for reports in (0, *AFTER):
        if reports:
            fleet.round(reports - int(curve[-1]["reports"]), weights)
        curve.append(_point(reports, fleet.score(changed)))
        progress(f"same key, seed {seed}: {_text(curve[-1])}")
    return {
        "half_life_reports": _half_life([(p["reports"], p["mae"]) for p in curve]),
        "curve": curve,
        "refused": fleet.refused,
    }


def _changed(world: World, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which cells of the commonest environment change, by blocks up to CHANGED of its contexts, and the
    truth of all cells afterwards."""
    rng = np.random.default_rng(seed + 77)
    f = world.frame
    here = f.environment == 0
    pattern = np.array([sorted({c.pattern for c in f.contexts}).index(c.pattern) for c in f.contexts])
    block = np.where(here, f.kernel * 1000 + pattern[f.context], -1)
    contexts = {int(b): len(np.unique(f.context[block == b])) for b in np.unique(block[here])}
    wanted, taken = CHANGED * sum(contexts.values()), 0
    changed = np.zeros(len(f), dtype=bool)
    truth = world.truth.copy()
    for number in rng.permutation(sorted(contexts)):
        if taken >= wanted:
            break
        rows = np.flatnonzero(block == number)
        changed[rows] = True
        truth[rows] += _moved(f.candidates, f.candidate[rows], rng)
        taken += contexts[int(number)]
    return changed, truth


def _moved(names: Sequence[str], candidate: Ints, rng: np.random.Generator) -> NDArray[np.float64]:
    parts = sorted({part for name in names for part in name.split("+")})
    effect = dict(zip(parts, rng.normal(0, CHANGE, len(parts)), strict=True))
    return np.array([sum(effect[part] for part in name.split("+")) for name in names])[candidate]


def _of_kernels(rows: Rows, names: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([kernel.name in names for kernel in rows.frame.kernels])[rows.frame.kernel]


def _point(reports: int, quality: dict[str, float]) -> dict[str, Any]:
    short = {"within_3pct": "optimal_within_3pct", "regret": "regret", "mae": "mae"}
    return {"reports": reports} | {name: round(quality[long], 4) for name, long in short.items()}


def _is_right(point: dict[str, Any]) -> bool:
    return bool(point["within_3pct"] >= RIGHT or point["regret"] <= REGRET)


def _half_life(points: Sequence[tuple[int, float]]) -> float | None:
    """Reports until the error has fallen to half, interpolated; None if it never does."""
    goal = points[0][1] / 2
    for (n0, e0), (n1, e1) in pairwise(points):
        if e1 <= goal:
            return round(n0 + (n1 - n0) * (e0 - goal) / (e0 - e1))
    return None


def _worst(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The worst seed's figure of each kind, and all seeds."""
    result: dict[str, Any] = {}
    for name in ("reports_needed", "half_life_reports"):
        if name in runs[0]:
            values = [run[name] for run in runs]
            result[name] = None if None in values else max(values)
    for name in ("changed_at_last", "unchanged_lowest"):
        if name in runs[0]:
            result[name] = min(run[name] for run in runs)
    return result | {"seeds": list(runs)}


def _text(quality: dict[str, float]) -> str:
    within = quality.get("within_3pct", quality.get("optimal_within_3pct", float("nan")))
    error = f"regret {quality['regret']:.2%}, MAE {quality['mae']:.3f}"
    return f"{quality['reports']:.0f}: within 3 % {within:.1%}, {error}"
