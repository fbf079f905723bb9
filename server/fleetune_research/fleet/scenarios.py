"""Questions put to the simulated fleet: alone or together, new arrivals, attackers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fleetune.features import Frame, Ints
from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune.personal import PersonalLayer
from fleetune_research.fleet.simulate import Attack, Fleet, Progress
from fleetune_research.fleet.world import World
from fleetune_research.local import adjusted
from fleetune_server.training.fit import Rows, fit
from fleetune_server.training.quality import Contexts, choice_summary, chosen_rows, decide, prediction_quality

AFTER = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0)


def individual(fleet: Fleet, users: int, samples: Sequence[int], seed: int) -> list[dict[str, float]]:
    """For each number of own samples (measured cells of the kernels that a user runs), means over `users`:

    `alone_*`: a model trained on these samples only; `together_*`: the fleet's model, plus the same
    samples in the personal layer. `*_used`: the user's kernels, `*_never`: kernels that this user never
    ran.
    """
    rng = np.random.default_rng(seed)
    model = fleet.model
    assert model is not None
    world = fleet.world
    rows: dict[int, list[dict[str, float]]] = {count: [] for count in samples}
    for _ in range(users):
        environment = int(rng.choice(len(world.environment_share), p=world.environment_share))
        here = np.flatnonzero(world.frame.environment == environment)
        truth = world.device(rng)[here]
        own = Rows(world.frame.take(here), truth, np.full(len(here), world.parameters.noise**2))
        used = _kernels_of_user(world, here, rng)
        mine = np.isin(own.frame.kernel, used)
        for count in samples:
            picked = rng.choice(np.flatnonzero(mine), min(count, int(mine.sum())), replace=False)
            noisy = own.take(picked)
            noisy = replace(noisy, target=noisy.target + rng.normal(0, world.parameters.noise, len(picked)))
            rows[count].append(_one_user(model, own, noisy, mine, seed))
    return [{"samples": float(count), **_means(rows[count])} for count in samples]


def _one_user(model: Model, own: Rows, noisy: Rows, mine: NDArray[np.bool_], seed: int) -> dict[str, float]:
    contexts = Contexts.of(own)
    variants = ~contexts.is_script
    used = mine[contexts.source[variants]]
    layer = PersonalLayer()
    f = noisy.frame
    layer.bind(model, {k.signature: k for k in own.frame.kernels}, f.environments[f.environment[0]])
    for i in range(len(noisy)):
        place = f.kernels[f.kernel[i]], f.contexts[f.context[i]], f.candidates[f.candidate[i]]
        layer.observe(*place, float(noisy.target[i]), 0.02)
    alone, _ = fit(noisy, seed=seed, version=1, clip=0.5, prior="none")
    result: dict[str, float] = {}
    for name, answer in {
        "alone": alone.predict_frame(contexts.frame),
        "together": adjusted(model, layer, contexts),
    }.items():
        for part, mask in (("used", used), ("never", ~used)):
            if mask.any():
                quality = prediction_quality(answer.mean[variants][mask], contexts.truth[variants][mask])
                result[f"{name}_accuracy_{part}"] = quality["accuracy"]
        chosen = chosen_rows(contexts, decide(contexts, answer))
        best = contexts.truth[contexts.best()]
        result[f"{name}_regret"] = choice_summary(contexts.truth[chosen], best)["regret"]
    return result


def _kernels_of_user(world: World, here: Ints, rng: np.random.Generator) -> Ints:
    weight = np.bincount(world.frame.kernel[here], world.traffic[here], len(world.frame.kernels))
    present = np.flatnonzero(weight)
    count = min(world.parameters.kernels_per_user, len(present))
    return rng.choice(present, count, replace=False, p=weight[present] / weight[present].sum())


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in rows[0]}


def evolution(
    world: World, manifest: Manifest, lab: Rows, epsilon: float, seed: int, scale: int, progress: Progress
) -> dict[str, list[dict[str, float]]]:
    """A new engine version, a new variant and a new kernel arrive after `scale` reports: the quality on
    exactly their cells just before the server has heard of them, and after `scale` × AFTER more reports,
    with a training at each.

    The lab knows none of the three. `before` is the quality on all other cells at the arrival.
    """
    arrivals = _arrivals(world)
    late = np.zeros(len(world.frame), dtype=bool)
    for mask in arrivals.values():
        late |= mask
    fleet = Fleet(world.restricted(~late), manifest, _without(lab, world, arrivals), epsilon, seed)
    for share in (0.1, 0.3, 0.6):
        fleet.round(int(scale * share))
    before = fleet.score()
    fleet.grow(world)
    result = {name: [{"after": 0.0, **fleet.score(mask)}] for name, mask in arrivals.items()}
    done = 0
    for share in AFTER:
        fleet.round(int(scale * share) - done)
        done = int(scale * share)
        for name, mask in arrivals.items():
            result[name].append({"after": float(done), **fleet.score(mask)})
        progress(f"evolution: {done} reports after the arrivals")
    result["before"] = [before]
    return result


def _arrivals(world: World) -> dict[str, NDArray[np.bool_]]:
    """Cells of the newest version of the commonest environment, of one SIMD variant, and of one kernel."""
    f = world.frame
    environment = int(np.argmax(world.environment_share))
    counts = np.bincount(f.candidate, minlength=len(f.candidates))
    names = [i for i, name in enumerate(f.candidates) if "vectorization" in name and "relaxed" not in name]
    variant = max(names, key=lambda i: counts[i])
    by_kernel = np.bincount(f.kernel, world.traffic, len(f.kernels))
    kernel = int(np.argsort(by_kernel)[len(by_kernel) // 2])
    return {
        "new_engine_version": f.environment == environment,
        "new_variant": f.candidate == variant,
        "new_kernel": f.kernel == kernel,
    }


def _without(lab: Rows, world: World, arrivals: dict[str, NDArray[np.bool_]]) -> Rows:
    """The lab before the arrivals: without that variant and that kernel (the version is the fleet's
    alone)."""
    if not len(lab):
        return lab
    f = world.frame
    variant = {f.candidates[i] for i in np.unique(f.candidate[arrivals["new_variant"]])}
    kernel = {f.kernels[i].signature for i in np.unique(f.kernel[arrivals["new_kernel"]])}
    g = lab.frame
    gone = np.array([name in variant for name in g.candidates])[g.candidate]
    gone |= np.array([k.signature in kernel for k in g.kernels])[g.kernel]
    return lab.take(~gone)


def attackers(
    world: World, manifest: Manifest, lab: Rows, epsilon: float, seed: int, scale: int, progress: Progress
) -> list[dict[str, float]]:
    """1, 5 and 10 % of reports forged, always the largest legal value: spread over all cells, or all on one
    variant of one kernel in one environment that is far from the best there."""
    target = _target(world)
    result = []
    for share in (0.0, 0.01, 0.05, 0.10):
        for kind in ("spread", "concentrated") if share else ("none",):
            attack = _forge(share, target if kind == "concentrated" else None) if share else None
            fleet = Fleet(world, manifest, lab, epsilon, seed, attack)
            for part in (0.1, 0.2, 0.3, 0.4):
                fleet.round(int(scale * part))
            all_cells, there = fleet.score(), fleet.score(_same_place(world.frame, int(target[0])))
            result.append(
                {
                    "share": share,
                    "concentrated": float(kind == "concentrated"),
                    "accuracy": all_cells["accuracy"],
                    "regret": all_cells["regret"],
                    "target_regret": there["regret"],
                    "target_accuracy": there["accuracy"],
                    "refused": float(len(fleet.refused)),
                }
            )
            progress(f"attackers: {share:.0%} {kind}: regret where they aim {there['regret']:.1%}")
    return result


def _target(world: World) -> Ints:
    """The cells of one middling variant of a common kernel in a rare environment: where little data
    defends."""
    f = world.frame
    environment = int(np.argmin(world.environment_share))
    here = f.environment == environment
    traffic = np.bincount(f.kernel[here], world.traffic[here], len(f.kernels))
    kernel = int(np.argmax(traffic))
    here &= f.kernel == kernel
    means = {int(c): world.truth[here & (f.candidate == c)].mean() for c in np.unique(f.candidate[here])}
    variant = sorted(means, key=lambda c: means[c])[len(means) // 2]
    return np.flatnonzero(here & (f.candidate == variant))


def _same_place(f: Frame, cell: int) -> NDArray[np.bool_]:
    return np.asarray((f.kernel == f.kernel[cell]) & (f.environment == f.environment[cell]))


def _forge(share: float, target: Ints | None) -> Attack:
    def attack(
        cells: Ints, symbols: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[Ints, NDArray[np.uint8]]:
        forged = rng.random(len(cells)) < share
        if target is not None:
            cells = np.where(forged, rng.choice(target, len(cells)), cells)
        return cells, np.where(forged, 63, symbols).astype(np.uint8)

    return attack


def time_to_expertise(
    curve: Sequence[dict[str, float]], level: float, reports_per_day: float
) -> float | None:
    """Days until accuracy reaches `level`, interpolated in log reports; None if it never does."""
    points = [(max(row["reports"], 1.0), row["accuracy"]) for row in curve]
    for (n0, a0), (n1, a1) in pairwise(points):
        if a0 >= level:
            return n0 / reports_per_day if n0 > 1 else 0.0
        if a1 >= level:
            weight = (level - a0) / (a1 - a0)
            return float(np.exp(np.log(n0) * (1 - weight) + np.log(n1) * weight) / reports_per_day)
    return None
