"""What copying costs: where JavaScript takes less than the copy, no module is promised a gain."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.synthetic import catalogue

from fleetune.choose import capped
from fleetune.context import Context
from fleetune.copying import ARRAY_NS, BYTE_NS, copy_ns, most
from fleetune.manifest import Parameter
from fleetune.model import Predictions

PLAIN = catalogue().kernels["kernel1"]
ARRAYS = (Parameter("a", "f32[]", "in"), Parameter("b", "u8[]", "inout"), Parameter("s", "i32[]", "scratch"))
KERNEL = replace(PLAIN, params=(*ARRAYS, Parameter("n", "i32", "in")))
COPIED, RESIDENT = Context(10, "f32", "random+copied"), Context(10, "f32", "random")


def test_what_goes_in_and_comes_back_counts_and_scratch_and_numbers_do_not() -> None:
    assert KERNEL.moved == (4 + 2 * 1, 3)
    assert copy_ns(KERNEL, COPIED) == pytest.approx(3 * ARRAY_NS + 6 * 1024 * BYTE_NS)
    assert copy_ns(KERNEL, RESIDENT) == 0


def test_modules_are_capped_by_the_copy_and_scripts_and_resident_calls_are_not() -> None:
    names = (*KERNEL.baselines, "js-tuned", "scalar", "inlining")
    kernel = replace(KERNEL, baselines=("js", "js-tuned"))
    told = Predictions(names, np.array([0.0, 0.9, 0.9, -2.0]), np.full(4, 0.1))
    reference = copy_ns(kernel, COPIED) / 2  # JavaScript takes half of the copy's time
    here = capped(kernel, COPIED, told, reference)
    np.testing.assert_allclose(here.mean, [0.0, 0.9, -math.log(2), -2.0])
    np.testing.assert_array_equal(capped(kernel, RESIDENT, told, reference).mean, told.mean)
    assert most(kernel, COPIED, 1e9) > 0.9
