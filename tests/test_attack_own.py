"""Adversarial calls of operators' kernels: memory layouts, names, outputs in part, results that nobody declared."""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import Any

import pytest
from tests.calls.attack import attack
from tests.calls.faults import OWN_FAULTS, Fault, found_in_own
from tests.calls.generate import SCENARIOS, cases
from tests.calls.own import FORMS, KERNEL_NAMES, LAYOUTS, OPTIMISATIONS, own_kernels

SEED = 1
EVERY = 7  # of candidates × ways: no divisor of the 9 ways or the 60 kernels
SHARE = len(LAYOUTS) * len(FORMS) * len(SCENARIOS)


@cache
def share() -> list[dict[str, Any]]:
    return list(islice(cases([own.kernel for own in own_kernels()], SEED), SHARE))


def test_no_call_of_the_share_is_wrong_with_any_memory_and_any_name() -> None:
    own = own_kernels()
    assert {(one.layout, one.form) for one in own} == {(a, b) for a in LAYOUTS for b in FORMS}
    assert set(KERNEL_NAMES) <= {one.kernel.name for one in own}
    assert set(OPTIMISATIONS) <= {name for one in own for name in one.kernel.variants}
    found = attack(SEED, SHARE, own=own, every=EVERY)
    assert found["wrong"] == []
    assert len(found["candidates"]) == sum(len(k.kernel.variants) + len(k.kernel.baselines) for k in own)
    assert len(found["ways"]) == 9
    assert found["calls"] > 2 * SHARE


@pytest.mark.parametrize("fault", OWN_FAULTS, ids=[fault.name for fault in OWN_FAULTS])
def test_a_planted_fault_is_found(fault: Fault) -> None:
    assert found_in_own(fault, share(), own_kernels())
