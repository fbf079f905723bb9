"""How measured rows are divided for evaluation: what the model has seen, and what it is asked about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fleetune.features import BASELINE_TIER, Ints
from fleetune.manifest import Manifest
from fleetune.privacy import Mechanism, mechanism
from fleetune_server.training.fit import Rows
from fleetune_server.training.lab import LabRow
from fleetune_server.training.sources import lab_rows

FOLDS = 5
KERNEL_GROUP = 4  # kernels left out together
RARE_CLIP = 0.5
RARE_REPORTS = 10  # a rare context has fewer reports than this, over all its variants


@dataclass(frozen=True)
class Fold:
    """One division: `train` and `test` rows; `engine` is the browser family left out, if one was."""

    train: Rows
    test: Rows
    engine: str = ""


def families(rows: Rows) -> NDArray[np.str_]:
    """The browser family of every row; a switched-off compiler tier belongs to its browser."""
    names = [environment.browser.removesuffix(BASELINE_TIER) for environment in rows.frame.environments]
    return np.array(names)[rows.frame.environment]


def main_engine(rows: Rows) -> NDArray[np.bool_]:
    """Rows of browsers as people have them: no tier switched off, and SIMD on."""
    main = [e.simd and not e.browser.endswith(BASELINE_TIER) for e in rows.frame.environments]
    return np.array(main, dtype=bool)[rows.frame.environment]


def of_people(rows: Rows) -> Rows:
    """Only rows of browsers as people have them."""
    return rows.take(main_engine(rows))


def known_cell(lab: Sequence[LabRow], manifest: Manifest) -> Iterator[Fold]:
    """Trained on all repeats but the last, asked about the last; nothing if there is only one."""
    repeats = sorted({row.repeat for row in lab})
    if len(repeats) > 1:
        train = lab_rows(lab, manifest, repeats=frozenset(repeats[:-1]))
        yield Fold(train, _seen(lab_rows(lab, manifest, repeats=frozenset(repeats[-1:])), train))


def heldout_cell(rows: Rows, seed: int) -> Iterator[Fold]:
    """Whole contexts left out (every variant of one kernel in one context and environment), five folds."""
    group = context_groups(rows)
    fold = np.random.default_rng(seed).integers(0, FOLDS, int(group.max()) + 1)[group]
    for number in range(FOLDS):
        yield Fold(rows.take(fold != number), rows.take(fold == number))


def strict_context(rows: Rows, seed: int) -> Iterator[Fold]:
    """Whole call patterns left out: one kernel, size and data pattern in every engine, copied or not; five
    folds."""
    f = rows.frame
    patterns = [(c.log2_size, c.base_pattern) for c in f.contexts]
    index = {pattern: i for i, pattern in enumerate(dict.fromkeys(patterns))}
    call = np.array([index[pattern] for pattern in patterns])[f.context]
    group = np.unique(f.kernel * len(index) + call, return_inverse=True)[1]
    fold = np.random.default_rng(seed).integers(0, FOLDS, int(group.max()) + 1)[group]
    for number in range(FOLDS):
        yield Fold(rows.take(fold != number), rows.take(fold == number))


def heldout_kernel(rows: Rows, seed: int) -> Iterator[Fold]:
    """Kernels left out in groups of KERNEL_GROUP, so that each is left out once."""
    kernels = np.random.default_rng(seed).permutation(np.unique(rows.frame.kernel))
    for start in range(0, len(kernels), KERNEL_GROUP):
        out = np.isin(rows.frame.kernel, kernels[start : start + KERNEL_GROUP])
        if not out.all():
            yield Fold(rows.take(~out), rows.take(out))


def heldout_engine(rows: Rows) -> Iterator[Fold]:
    """Each browser family left out with all its switched-off forms, asked about the browser as people
    have it."""
    family = families(rows)
    main = main_engine(rows)
    for name in sorted(set(family[main].tolist())):
        if (family != name).any():
            yield Fold(rows.take(family != name), rows.take((family == name) & main), name)


def forged(rows: Rows, asked: Rows) -> Iterator[Fold]:
    """Trained on the whole lab, asked about kernels of another making."""
    if len(asked):
        yield Fold(rows, asked)


def rare_cell(rows: Rows, seed: int) -> Iterator[Fold]:
    """One context in five has only 1 … 9 privatised reports (ε = 2), spread over its variants at random."""
    rng = np.random.default_rng(seed)
    group = context_groups(rows)
    rare = rng.random(int(group.max()) + 1)[group] < 1 / FOLDS
    rest, asked = rows.take(~rare), rows.take(rare)
    yield Fold(Rows.join([rest, _reported(asked, context_groups(asked), rest, rng)]), asked)


def context_groups(rows: Rows) -> Ints:
    """A number of the (kernel, context, environment) of every row."""
    f = rows.frame
    place = (f.kernel * len(f.contexts) + f.context) * len(f.environments) + f.environment
    return np.asarray(np.unique(place, return_inverse=True)[1])


def _seen(test: Rows, train: Rows) -> Rows:
    """Test rows of cells that training has."""
    known = {_cell(train, i) for i in range(len(train))}
    return test.take(np.array([_cell(test, i) in known for i in range(len(test))], dtype=bool))


def _cell(rows: Rows, i: int) -> tuple[object, ...]:
    f = rows.frame
    return (
        f.kernels[f.kernel[i]].signature,
        f.contexts[f.context[i]],
        f.environments[f.environment[i]],
        f.candidates[f.candidate[i]],
    )


def _reported(asked: Rows, group: Ints, rest: Rows, rng: np.random.Generator) -> Rows:
    """Privatised reports about rare contexts, made against a base model trained on the rest."""
    from fleetune_server.training.fit import fit

    base = fit(rest, seed=0, version=1, clip=RARE_CLIP)[0].predict_frame(asked.frame)[0]
    noise = mechanism(2.0)
    reports = rng.integers(1, RARE_REPORTS, int(group.max()) + 1)
    count = np.zeros(len(asked))
    for number in range(len(reports)):
        members = np.flatnonzero(group == number)
        np.add.at(count, rng.choice(members, reports[number]), 1)
    told = np.flatnonzero(count)
    residual = (asked.target - base) / RARE_CLIP
    mean = np.array([_mean_report(noise, residual[i], int(count[i])) for i in told])
    variance = RARE_CLIP**2 * float(noise.variance(0.0)) / count[told]
    return replace(asked.take(told), target=base[told] + RARE_CLIP * mean, variance=variance)


def _mean_report(noise: Mechanism, residual: float, count: int) -> float:
    return float(np.mean([noise.decode(noise.draw(float(residual))) for _ in range(count)]))
