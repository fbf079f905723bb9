"""Adversarial calls: the share that every run makes, and the faults that it must find."""

from __future__ import annotations

import itertools
from functools import cache
from itertools import islice
from typing import Any

import pytest
from kernels_wasm.profile import profile
from kernels_wasm.profile.instructions import Instruction
from tests.calls.attack import attack, kernels, run_in_node
from tests.calls.faults import FAULTS, Fault, found_by
from tests.calls.generate import case, cases
from tests.kernel_runner import manifest, module_bytes

SEED = 1
EVERY = 13  # of candidates × ways, one in so many: no divisor of the 9 ways or the 28 kernels
SHARE = 28 * 56  # cases
# unreachable, table access, division and remainder of integers, truncation of floats that traps.
DIVISIONS = {*range(0x6D, 0x71), *range(0x7F, 0x83)}
TRAPPING = {0x00, 0x11, *DIVISIONS, *range(0xA8, 0xAC), *range(0xAE, 0xB2)}
DIVIDING = {"sieve"}  # by its primes
CONSTANT = 0x41  # of i32: what is divided by may be one


@cache
def share() -> list[dict[str, Any]]:
    return list(islice(cases(kernels(), SEED), SHARE))


def test_no_call_of_the_share_is_wrong_and_every_candidate_is_called_by_every_way() -> None:
    found = attack(SEED, SHARE, given=kernels(), every=EVERY)
    assert found["wrong"] == []
    assert len(found["candidates"]) == sum(len(k.variants) + len(k.baselines) for k in kernels())
    assert len(found["ways"]) == 9
    assert found["calls"] > 7 * SHARE


@pytest.mark.parametrize("number", [1782], ids=["partial sums of nbody overflow"])
def test_a_case_beyond_the_share_that_was_wrong_once_is_right(number: int) -> None:
    assert run_in_node([case(kernels(), SEED, number)])["wrong"] == []


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_planted_fault_is_found(fault: Fault) -> None:
    assert found_by(fault, share(), EVERY)


def test_modules_have_no_instruction_that_traps_but_loads_and_stores() -> None:
    """So that a call whose lengths were checked cannot fail half-way (kernels_wasm/build/binder.py)."""

    def traps(before: Instruction, item: Instruction) -> bool:
        constant = before.code == CONSTANT and before.argument not in (0, -1)
        return item.code in TRAPPING and not (
            item.code in DIVISIONS and (constant or kernel.name in DIVIDING)
        )

    for kernel in manifest().kernels.values():
        for variant in kernel.variants.values():
            for body in profile.parse(module_bytes(variant)).bodies:
                wrong = [item for pair in itertools.pairwise(body) if traps(*pair) for item in pair]
                assert not wrong, f"{kernel.name}/{variant.name}"
