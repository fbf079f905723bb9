"""Honest uncertainty: what the tables promise about unseen cells, set against what held-out rows show."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fleetune.features import Floats, Ints
from fleetune.model import CROSSES, table_keys
from fleetune.wide import Table, backfit, tables_of

# An engine seen in one environment only cannot tell what is the engine's and what the environment's. Then
# this is assumed of the latter (each of its tables), so that what the lab taught carries over elsewhere.
ENVIRONMENT_SD = 0.03
REPLICATED = 1.5  # environments per engine from which the data may tell
BOUNDS = (0.25, 25.0)  # of a correction


def started(codes: Mapping[str, Ints]) -> list[Table]:
    """Empty tables of these rows, with the prior variances to start from.

    Always the same start, not the previous model's: the estimate is not run to convergence, and so equal rows
    give equal effects, and few new rows a small change.
    """
    tables = tables_of(codes, CROSSES)
    if len(np.unique(codes["environment"])) < REPLICATED * len(np.unique(codes["engine"])):
        for table, cross in zip(tables, CROSSES, strict=True):
            if "environment" in cross:
                table.tau2, table.learns = ENVIRONMENT_SD**2, False
    return tables


def corrections(
    target: Floats,
    variance: Floats,
    codes: Mapping[str, Ints],
    contexts: NDArray[np.bool_],
    cells: NDArray[np.bool_],
    sweeps: int,
) -> Floats:
    """A factor for every table's prior variance, (tables,), so that it holds for what was not measured.

    The tables are fitted without the judged rows. Those that single missing cells lack get the factor that
    their errors ask for; the others what whole missing contexts ask for beyond that.
    """
    factors = np.ones(len(CROSSES))
    known = ~(contexts | cells)
    if not cells.any() or not contexts.any() or known.sum() < len(known) / 2:
        return factors
    tables = started({name: column[known] for name, column in codes.items()})
    backfit(tables, target[known], variance[known], sweeps=sweeps)
    tau2 = np.array([table.tau2 for table in tables])
    error, missing = _errors(tables, target, codes, cells)
    fine = missing.mean(axis=1) > 0.5
    promised = (tau2[:, None] * missing).sum(axis=0)
    factors[fine] = _factor(error**2 - variance[cells], promised)
    error, missing = _errors(tables, target, codes, contexts)
    promised = (tau2[:, None] * missing)[~fine].sum(axis=0)
    already = (tau2 * factors)[fine] @ missing[fine]
    factors[~fine] = _factor(error**2 - variance[contexts] - already, promised)
    return factors


def _factor(excess: Floats, promised: Floats) -> float:
    return float(np.clip(excess.mean() / max(promised.mean(), 1e-9), *BOUNDS))


def _errors(
    tables: list[Table], target: Floats, codes: Mapping[str, Ints], rows: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Errors of the tables on these rows (n,), and which tables lack them (tables, n)."""
    keys = table_keys({name: column[rows] for name, column in codes.items()}, CROSSES)
    error, missing = target[rows].copy(), np.ones(keys.shape)
    for number, table in enumerate(tables):
        at = np.minimum(np.searchsorted(table.keys, keys[number]), len(table.keys) - 1)
        found = table.keys[at] == keys[number]
        error -= np.where(found, table.effect[at], 0.0)
        missing[number] = ~found
    return error, missing
