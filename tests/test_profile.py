"""The module reader and the profiles made from it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from typing import Any

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_wasm.profile import profile
from kernels_wasm.profile.opcodes import OPS
from tests.kernel_runner import manifest, module_bytes

SCALAR = {kernel.name: module_bytes(kernel.variants["scalar"]) for kernel in manifest().kernels.values()}
MODULES = [module_bytes(v) for kernel in manifest().kernels.values() for v in kernel.variants.values()]


def wat(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


LOOP = """(module (import "env" "memory" (memory 1)) {helper}
  (func (export "run") (param $p i32) (param $n i32) (result i32) (local $sum i32)
    (loop $next
      {body}
      (local.set $p (i32.add (local.get $p) (i32.const 4)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum)))"""
ADD = "(local.set $sum (i32.add (local.get $sum) (i32.load (local.get $p))))"


def quick(function: Any) -> Any:
    return settings(max_examples=150, deadline=None, derandomize=True, database=None)(function)


def test_a_loop_is_counted_as_written() -> None:
    cost = profile.variant_profile(wat(LOOP.format(helper="", body=ADD)))
    # add, load; add for the pointer; sub, br_if
    assert (cost["instructions"], cost["loads"], cost["branches"], cost["calls"]) == (5, 1, 1, 0)
    assert (cost["bytes"], cost["loopDepth"], cost["loops"], cost["lanes"], cost["unroll"]) == (4, 1, 1, 1, 1)


def test_what_a_callee_does_counts_in_the_loop_that_calls_it() -> None:
    helper = "(func $load (param i32) (result i32) (i32.load (local.get 0)))"
    body = "(local.set $sum (i32.add (local.get $sum) (call $load (local.get $p))))"
    cost = profile.variant_profile(wat(LOOP.format(helper=helper, body=body)))
    assert (cost["instructions"], cost["loads"], cost["calls"]) == (6, 1, 1)


def test_code_after_the_last_way_back_is_not_in_the_loop() -> None:
    text = """(module (func (export "run") (param $n i32) (result i32)
      (loop $outer
        (br_if $outer (local.tee $n (i32.sub (local.get $n) (i32.const 8))))
        (loop $tail (br_if $tail (local.tee $n (i32.add (local.get $n) (i32.const 1))))))
      (local.get $n)))"""
    cost = profile.variant_profile(wat(text))
    assert (cost["loops"], cost["loopDepth"]) == (2, 1)


def test_a_loop_block_without_a_way_back_is_no_loop() -> None:
    cost = profile.variant_profile(wat('(module (func (export "run") (loop (nop))))'))
    assert cost["loops"] == 0


def test_every_branch_form_finds_its_target() -> None:
    text = """(module (func (export "run") (param $n i32) (result i32)
      (block $out
        (loop $next
          (block $a (block $b (br_table $a $b $next $out (local.get $n))))
          (if (i32.eqz (local.get $n)) (then (br $next)) (else (return (i32.const 7))))))
      (if (result i32) (local.get $n) (then (i32.const 1)) (else (unreachable)))))"""
    cost = profile.variant_profile(wat(text))
    assert (cost["loops"], cost["branches"]) == (1, 3)  # the return leaves; br_table, if and br stay


def test_the_module_reader_takes_every_section_of_the_text_format() -> None:
    text = """(module (import "env" "memory" (memory 1))
      (import "env" "f" (func $f (param i64) (result f32 f64)))
      (table 2 funcref) (elem (i32.const 0) $g $g) (global (mut i32) (i32.const 1024)) (start $g)
      (func $g) (func (export "run") (local i32 i32 f64) (drop (drop (call $f (i64.const -5)))))
      (data (i32.const 2048) "abc"))"""
    module = profile.parse(wat(text))
    assert module.imports == [("env", "memory", 2), ("env", "f", 0)]
    assert module.exports == {"run": (0, 2)}
    assert (module.imported_functions, module.data_bytes, module.data_end) == (1, 3, 2051)


def test_each_vector_instruction_ends_where_the_next_begins() -> None:
    """Immediates of every shape, between two markers that would be lost if one were read short or long."""
    body = """(v128.store (i32.const 0) (v128.load offset=300 align=1 (i32.const 0)))
      (v128.store (i32.const 0) (v128.load8_lane offset=9 7 (i32.const 0) (v128.const i64x2 1 2)))
      (v128.store (i32.const 0) (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 31
        (v128.const i32x4 1 2 3 4) (v128.const i32x4 1 2 3 4)))
      (drop (i8x16.extract_lane_s 11 (v128.const i32x4 11 11 11 11)))
      (drop (f32x4.relaxed_madd (f32x4.splat (f32.const 1)) (f32x4.splat (f32.const 1))
        (f32x4.splat (f32.const 1))))
      (memory.copy (i32.const 0) (i32.const 0) (i32.const 0))
      (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))
      (drop (i32.trunc_sat_f64_s (f64.const 1e300))) (drop (select (result i64) (i64.const 1) (i64.const 2)
        (i32.const 0)))"""
    module = profile.parse(wat(f'(module (import "env" "memory" (memory 1)) (func (export "run") {body}))'))
    kinds = [item.op.kind for item in module.bodies[0]]
    assert kinds.count("load") == 2
    assert kinds.count("store") == 3
    assert kinds.count("fma") == 1
    assert kinds.count("bulk") == 2
    assert kinds[-1] == "end"


def test_the_table_agrees_with_an_independent_engine_on_simd_opcodes() -> None:
    """Opcodes without operands of their own: wasmtime either knows one (a type error at most) or does not."""
    config = wasmtime.Config()
    config.wasm_relaxed_simd = True
    engine = wasmtime.Engine(config)
    for index in range(0x140):
        leb = bytes([index & 0x7F | 0x80, index >> 7])
        body = b"\0" + b"\x00\xfd" + leb + b"\0" * 20 + b"\x0b"  # unreachable: operands may be anything
        code = b"\x01" + bytes([len(body)]) + body
        module = b"\0asm\1\0\0\0\1\4\1\x60\0\0\3\2\1\0\x0a" + bytes([len(code)]) + code
        try:
            wasmtime.Module.validate(engine, module)
            known = True
        except wasmtime.WasmtimeError as error:
            known = "unknown 0xfd subopcode" not in str(error)
        assert ((0xFD << 16 | index) in OPS) == known, hex(index)


@pytest.mark.parametrize("name", sorted(SCALAR))
def test_symbol_names_do_not_change_the_signature(name: str) -> None:
    plain = SCALAR[name]
    names = b"\x04name\x01\x06\x01\x00\x03abc"
    renamed = plain + b"\x00" + bytes([len(names)]) + names
    assert profile.kernel_profile(renamed) == profile.kernel_profile(plain)


def test_signatures_are_stable_and_tell_the_kernels_apart() -> None:
    found = {name: profile.signature(profile.kernel_profile(data)) for name, data in SCALAR.items()}
    assert len(set(found.values())) == len(SCALAR)
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in found.values())
    assert found == {name: kernel.signature for name, kernel in manifest().kernels.items()}
    assert profile.signature({"b": 1, "a": 2}) == profile.signature({"a": 2, "b": 1})


def test_profiles_are_whole_numbers_and_variant_profiles_share_their_keys() -> None:
    for data in SCALAR.values():
        assert all(type(value) is int for value in profile.kernel_profile(data).values())
    keys = {tuple(profile.variant_profile(data)) for data in MODULES}
    assert len(keys) == 1


def test_an_unknown_opcode_is_named_with_its_offset() -> None:
    module = bytearray(wat('(module (func (export "run") (nop)))'))
    place = module.rindex(b"\x01\x0b")
    module[place] = 0x27
    with pytest.raises(profile.ProfileError, match=rf"unknown opcode 0x27 at offset {place}$"):
        profile.parse(bytes(module))


@pytest.mark.parametrize(
    ("kind", "segment"),
    [
        (0, "(elem (i32.const 0) $f $f)"),
        (1, "(elem func $f $f)"),
        (2, "(elem (table $other) (i32.const 1) func $f)"),
        (3, "(elem declare func $f)"),
        (4, "(elem (i32.const 0) funcref (ref.func $f) (ref.null func))"),
        (5, "(elem funcref (ref.func $f) (ref.null func))"),
        (6, "(elem (table $other) (i32.const 0) funcref (ref.func $f))"),
        (7, "(elem declare funcref (ref.func $f))"),
    ],
)
def test_every_kind_of_element_segment_is_read(kind: int, segment: str) -> None:
    text = f'(module (table 4 funcref) (table $other 4 funcref) (func $f) {segment} (func (export "run") (call $f)))'
    data = wat(text)
    section = data.index(b"\x09", data.index(b"run"))
    assert data[section + 3] == kind, "what the test means to try"
    assert len(profile.parse(data).bodies) == 2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("(func $f) (func (return_call $f))", "tail calls"),
        ("(table 1 funcref) (func (return_call_indirect (i32.const 0)))", "tail calls"),
        ("(tag $t) (func (throw $t))", "exceptions"),
        ("(type (struct (field i32))) (func)", "garbage collection"),
        ("(type (array i32)) (func)", "garbage collection"),
        ("(memory 1 1 shared) (func (drop (i32.atomic.load (i32.const 0))))", "atomics"),
    ],
)
def test_what_is_not_supported_is_refused_by_its_name(text: str, name: str) -> None:
    with pytest.raises(profile.ProfileError, match=rf"\({name}: not supported\) at offset"):
        profile.parse(wat(f"(module {text})"))


def test_an_unknown_vector_opcode_is_named_too() -> None:
    module = wat('(module (func (export "run") (nop) (nop) (nop)))')
    place = module.rindex(b"\x01\x01\x01\x0b")
    broken = module[:place] + b"\xfd\x9a\x01" + module[place + 3 :]
    with pytest.raises(profile.ProfileError, match=rf"unknown opcode 0xFD 0x9A at offset {place}$"):
        profile.parse(broken)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "wrong magic number"),
        (b"\0asm\2\0\0\0", "wrong magic number"),
        (b"\0asm\1\0\0\0\x0e\0", "unknown section 14 at offset 8"),
        (b"\0asm\1\0\0\0\1\x7f", "truncated"),
        (b"\0asm\1\0\0\0\3\1\0\1\1\0", "section 1 out of order"),
        (b"\0asm\1\0\0\0\3\2\1\0", "1 functions but 0 bodies"),
        (b"\0asm\1\0\0\0\1\2\0\0", "1 bytes too many in section 1"),
        (b"\0asm\1\0\0\0\1\6\xff\xff\xff\xff\xff\0", "number over 32 bits"),
        (b"\0asm\1\0\0\0\1\5\xff\xff\xff\xff\x0f", "4294967295 entries"),
    ],
)
def test_a_malformed_module_says_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(profile.ProfileError, match=message):
        profile.parse(data)


def test_a_module_without_run_or_with_recursion_has_no_profile() -> None:
    with pytest.raises(profile.ProfileError, match="no function run"):
        profile.variant_profile(wat("(module (func nop))"))
    with pytest.raises(profile.ProfileError, match="recursion"):
        profile.kernel_profile(wat('(module (func $run (export "run") (call $run)))'))


def attempt(data: bytes) -> None:
    """Any bytes either have a profile or raise ProfileError; nothing else."""
    for read in (profile.parse, profile.kernel_profile, profile.variant_profile):
        with contextlib.suppress(profile.ProfileError):
            read(data)


@quick
@given(st.sampled_from(MODULES), st.data())
def test_a_mutated_module_never_breaks_the_reader(module: bytes, data: st.DataObject) -> None:
    changed = bytearray(module)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(8, len(module) - 1))] = data.draw(st.integers(0, 255))
    attempt(bytes(changed))


@quick
@given(st.sampled_from(MODULES), st.floats(0, 1), st.binary(max_size=20))
def test_a_truncated_module_never_breaks_the_reader(module: bytes, share: float, tail: bytes) -> None:
    attempt(module[: int(share * len(module))] + tail)


def test_every_truncation_of_a_module_is_refused() -> None:
    module = SCALAR["dot"]
    for length in range(8, len(module)):
        with pytest.raises(profile.ProfileError):
            profile.variant_profile(module[:length])


def test_anyone_can_look_up_in_the_public_catalogue_which_function_a_signature_is() -> None:
    for kernel in manifest().raw["kernels"]:
        entry = json.dumps(kernel["profile"], sort_keys=True, separators=(",", ":"))
        assert kernel["profileSignature"] == hashlib.sha256(entry.encode()).hexdigest()[:32]


def test_no_build_needs_threads_or_anything_else_that_reports_do_not_name() -> None:
    needed = {
        feature
        for kernel in manifest().kernels.values()
        for v in kernel.variants.values()
        for feature in v.features
    }
    assert needed == {"simd", "relaxedSimd"}
