"""Every variant of every kernel against its reference, and against what its name promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernels_wasm.profile import profile
from tests.kernel_references import REFERENCES
from tests.kernel_runner import DTYPES, Instance, assert_close, manifest, module_bytes
from tests.node_kernels import run_in_node

from fleetune.manifest import Kernel, Variant

KERNELS = list(manifest().kernels.values())
ROWS = [(kernel, variant) for kernel in KERNELS for variant in kernel.variants.values()]
every_variant = pytest.mark.parametrize(
    ("kernel", "variant"), ROWS, ids=[f"{kernel.name}-{variant.name}" for kernel, variant in ROWS]
)
every_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=[kernel.name for kernel in KERNELS])
CALL, CALL_INDIRECT, RELAXED = 0x10, 0x11, 0xFD << 16 | 0x100


def instructions(variant: Variant) -> list[profile.Instruction]:
    return [item for body in profile.parse(module_bytes(variant)).bodies for item in body]


@every_variant
def test_a_variant_computes_what_the_reference_says(kernel: Kernel, variant: Variant) -> None:
    reference, instance = REFERENCES[kernel.name], Instance(kernel, variant)

    @settings(max_examples=12, deadline=None, derandomize=True, database=None)
    @given(st.sampled_from(reference.sizes), st.integers(0, 2**32 - 1), st.booleans(), st.integers(0, 15))
    @example(reference.sizes[0], 1, False, 0)
    @example(reference.large, 2, False, 3)
    def check(size: int, seed: int, special: bool, shift: int) -> None:
        arguments = reference.make(size, np.random.default_rng(seed), special)
        expected = reference.compute(*[copied(argument) for argument in arguments])
        assert_close(kernel, instance.run(arguments, shift), expected)

    check()


def copied(argument: Any) -> Any:
    return argument.copy() if isinstance(argument, np.ndarray) else argument


@every_variant
def test_a_variant_uses_exactly_the_instructions_its_name_promises(kernel: Kernel, variant: Variant) -> None:
    used, on = instructions(variant), set(variant.optimisations)
    assert any(item.op.vector for item in used) == ("vectorization" in on)
    assert any(item.code >= RELAXED for item in used) == ("relaxedSimd" in on)
    assert any(item.op.kind == "bulk" for item in used) == ("bulkMemory" in on)
    calls = sum(item.code in (CALL, CALL_INDIRECT) for item in used)
    assert (calls == 0) == ("inlining" in on), f"{calls} calls"


def rolled(variant: Variant) -> str:
    """The name of the variant that differs only in not being unrolled."""
    return "+".join(sorted(set(variant.optimisations) - {"loopUnrolling"})) or "scalar"


UNROLLED = [
    pytest.param(kernel.variants[rolled(variant)], variant, id=f"{kernel.name}-{variant.name}")
    for kernel, variant in ROWS
    if "loopUnrolling" in variant.optimisations and rolled(variant) in kernel.variants
]


@pytest.mark.parametrize(("plain", "variant"), UNROLLED)
def test_unrolling_puts_more_work_into_an_iteration(plain: Variant, variant: Variant) -> None:
    before, after = (profile.variant_profile(module_bytes(each)) for each in (plain, variant))
    longer = after["instructions"] > before["instructions"]
    assert longer or after["loops"] < before["loops"], "neither a longer innermost loop nor one loop fewer"


def test_the_catalogue_is_broad_enough() -> None:
    assert len(KERNELS) >= 24
    assert len(ROWS) >= 5 * len(KERNELS)
    assert {kernel.name for kernel in KERNELS} == set(REFERENCES)


def test_different_kernels_have_different_signatures() -> None:
    by_signature: dict[str, str] = {}
    for kernel in KERNELS:
        assert by_signature.setdefault(kernel.signature, kernel.name) == kernel.name


def test_a_module_imports_nothing_but_memory_and_exports_run() -> None:
    for _, variant in ROWS:
        module = profile.parse(module_bytes(variant))
        assert module.imports == [("env", "memory", 2)]
        assert list(module.exports) == ["run"]


@every_kernel
def test_javascript_and_every_loop_agree_with_the_reference(kernel: Kernel) -> None:
    """Through Node: makeInput's arguments fit the parameters; js, js-tuned and each variant in both loops."""
    odd = tuple(size for size in (0, 7, 33) if size in REFERENCES[kernel.name].sizes)
    for case in run_in_node(kernel.name, odd):
        arguments = case.arguments
        assert len(arguments) == len(kernel.params)
        for parameter, value in zip(kernel.params, arguments, strict=True):
            if parameter.is_array:
                assert value.dtype == DTYPES[parameter.type], parameter
        expected = REFERENCES[kernel.name].compute(*[copied(argument) for argument in arguments])
        candidates = {name for name, _ in case.outcomes}
        assert candidates == {*kernel.baselines, *kernel.variants}
        for (name, mode), found in case.outcomes.items():
            try:
                assert_close(kernel, found, expected)
            except AssertionError as error:
                raise AssertionError(f"{kernel.name}/{name}, {mode}, size {case.size}") from error
