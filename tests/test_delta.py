"""Deltas: the same bytes as the full file, small for small changes, and strict."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import releases

from fleetune.delta import MAX_CHAIN, MAX_SIZE, DeltaError, apply
from fleetune_server.publish.diff import chain, diff
from fleetune_server.publish.release import applies


def weights(seed: int, count: int = 60_000) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(0, 30, count), -127, 127).astype(np.int8)


@settings(deadline=None)
@given(
    st.binary(max_size=200),
    st.binary(max_size=60),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=8),
)
def test_any_two_files_give_a_delta_thatapplies(
    old: bytes, fresh: bytes, cuts: list[tuple[int, int]]
) -> None:
    source = old * 3
    new = fresh + b"".join((source + fresh)[start : start + length] for start, length in cuts)
    assert apply(source, diff(source, new), len(new)) == new


@settings(deadline=None)
@given(st.data())
def test_rows_inserted_cut_and_changed_anywhere_apply(data: st.DataObject) -> None:
    old = weights(1, 4000)
    new = old.copy()
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(new) - 1))
        kind = data.draw(st.sampled_from(["insert", "cut", "change"]))
        length = data.draw(st.integers(1, 300))
        if kind == "insert":
            new = np.insert(new, at, weights(at, length))
        elif kind == "cut":
            new = np.delete(new, slice(at, at + length))
        else:
            new[at : at + length] += 1
        if len(new) == 0:
            break
    assert apply(old.tobytes(), diff(old.tobytes(), new.tobytes()), len(new)) == new.tobytes()


@settings(deadline=None)
@given(st.data())
def test_sixteen_bit_numbers_that_moved_apply_wherever_they_begin(data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    old = random.integers(-3000, 3000, data.draw(st.integers(0, 4000))).astype("<i2")
    new = old + random.integers(-400, 400, len(old)).astype("<i2")
    before, after = (b"x" * data.draw(st.integers(0, 3)) for _ in range(2))
    source, target = before + old.tobytes(), after + new.tobytes()
    assert apply(source, diff(source, target), len(target)) == target


def test_sixteen_bit_numbers_that_moved_a_little_cost_less_than_their_bytes() -> None:
    random = np.random.default_rng(7)
    old = np.cumsum(random.integers(-100, 100, 20_000)).astype("<i2")
    new = old + random.integers(-2, 3, len(old)).astype("<i2")
    # Five equally likely steps: log2(5) bits each is the least that any coding can reach.
    least = len(old) * np.log2(5) / 8
    assert len(diff(b"x" + old.tobytes(), b"x" + new.tobytes())) < 1.25 * least


def test_a_sparse_change_costs_next_to_nothing_and_a_dense_one_less_than_the_file() -> None:
    old = weights(2)
    sparse = old.copy()
    sparse[3000:4000] += 2
    dense = np.clip(old + np.random.default_rng(3).normal(0, 1, len(old)).round(), -127, 127).astype(np.int8)
    full = len(gzip.compress(dense.tobytes()))
    assert len(diff(old.tobytes(), sparse.tobytes())) < 0.01 * full
    assert len(diff(old.tobytes(), dense.tobytes())) < 0.45 * full


def test_over_fifty_versions_every_pair_gives_the_same_checksum_by_delta_and_in_full() -> None:
    versions = [releases.first()]
    for number in range(2, 51):
        versions.append(releases.changed(versions[-1], number, seed=number))
    hashes = [hashlib.sha256(version).hexdigest() for version in versions]
    steps = [diff(old, new) for old, new in itertools.pairwise(versions)]
    for begin in range(len(versions)):
        reached = versions[begin]
        for end in range(begin + 1, len(versions)):
            # As a client would: the last step alone, or up to five of them in one file.
            reached = apply(reached, steps[end - 1], len(versions[end]))
            assert hashlib.sha256(reached).hexdigest() == hashes[end]
            if 2 <= end - begin <= MAX_CHAIN:
                whole = chain(steps[begin:end])
                assert apply(versions[begin], whole, len(versions[end])) == versions[end]


@settings(deadline=None)
@given(st.data())
def test_a_delta_altered_anywhere_is_refused(data: st.DataObject) -> None:
    old, new = weights(4, 3000).tobytes(), weights(4, 3000)
    new[100:900] += 3
    delta = bytearray(diff(old, new.tobytes()))
    at = data.draw(st.integers(0, len(delta) - 1))
    delta[at] ^= data.draw(st.integers(1, 255))
    try:
        assert apply(old, bytes(delta), len(new)) == new.tobytes(), "only a change without effect may pass"
    except DeltaError:
        return


def test_another_base_a_cut_and_a_longer_delta_are_refused() -> None:
    old, new = weights(5, 2000).tobytes(), weights(6, 2000).tobytes()
    delta = diff(old, new)
    for wrong_old, wrong_delta in (
        (new, delta),
        (b"", delta),
        (old, delta[:-1]),
        (old, delta + b"\0"),
        (old, b""),
        (old, delta[:40]),
        (old, b"XXXX" + delta[4:]),
    ):
        with pytest.raises(DeltaError):
            apply(wrong_old, wrong_delta, len(new))


def bomb(sizes: tuple[int, int, int], size: int, parts: tuple[bytes, bytes, bytes]) -> bytes:
    """A well-formed file with these operations, differences and literals, and sizes that need not be true."""
    old, packed = b"base", []
    blocks = bytes(-(-sizes[1] // 1024))
    for part in (parts[0], blocks, b"", parts[1], b"", b"", b"", b"", parts[2]):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed.append(packer.compress(part) + packer.flush())
    whole = (sizes[0], len(blocks), 0, sizes[1], 0, 0, 0, 0, sizes[2])
    pairs = [number for pair in zip(whole, map(len, packed), strict=True) for number in pair]
    name = hashlib.sha256(old).digest()[:16]
    return struct.pack("<4s16s16sI18I", b"FTD2", name, name, size, *pairs) + b"".join(packed)


@pytest.mark.parametrize(
    "delta",
    [
        bomb((0, 0, 2**32 - 1), 2**32 - 1, (b"", b"", b"")),
        bomb((0, 0, MAX_SIZE + 1), MAX_SIZE + 1, (b"", b"", bytes(MAX_SIZE + 1))),
        bomb((0, 0, 10), 10, (b"", b"", bytes(50_000_000))),
        bomb((2**31, 0, 0), 0, (b"", b"", b"")),
        bomb((3, 0, 4), 4, (bytes([5, 0, 0]), b"", b"abcd")),
        bomb((3, 4, 0), 4, (bytes([0, 9, 4]), b"abcd", b"")),
        bomb((6, 0, 4), 4, (b"\xff" * 6, b"", b"abcd")),
        bomb((2, 0, 4), 4, (bytes([0, 0]), b"", b"abcd")),
        bomb((1, 0, 4), 4, (b"\x80", b"", b"abcd")),
    ],
    ids=[
        "4 GiB",
        "over the limit",
        "bomb",
        "operations",
        "insert",
        "skip",
        "varint",
        "cut off",
        "open varint",
    ],
)
def test_a_bomb_is_refused_before_memory_is_spent(delta: bytes) -> None:
    with pytest.raises(DeltaError):
        apply(b"base", delta, struct.unpack_from("<I", delta, 36)[0])


def test_chains_are_two_to_five_whole_deltas() -> None:
    versions = [bytes([number]) * 50 for number in range(7)]
    steps = [diff(old, new) for old, new in itertools.pairwise(versions)]
    assert apply(versions[0], chain(steps[:5]), 50) == versions[5]
    for wrong in (steps[:1], steps):
        with pytest.raises(DeltaError):
            chain(wrong)
    whole = chain(steps[:2])
    six = b"FTC1" + b"".join(struct.pack("<I", len(step)) + step for step in steps)
    nested = b"FTC1" + b"".join(struct.pack("<I", len(link)) + link for link in (whole, steps[2]))
    for wrong_chain in (whole[:-1], whole + b"\0", b"FTC1", whole[: 8 + len(steps[0])], six, nested):
        with pytest.raises(DeltaError):
            apply(versions[0], wrong_chain, 50)
    with pytest.raises(DeltaError):
        diff(b"", bytes(MAX_SIZE + 1))


def test_what_is_not_of_the_signed_size_is_refused_before_anything_is_unpacked() -> None:
    old, new = weights(5, 2000).tobytes(), weights(6, 2100).tobytes()
    delta = diff(old, new)
    for size in (0, 1, len(new) - 1, len(new) + 1, MAX_SIZE, MAX_SIZE + 1, 2**32 - 1):
        with pytest.raises(DeltaError, match="signed"):
            apply(old, delta, size)


def inflating(size: int, **raw: int) -> bytes:
    """A delta that is small on the wire and whose named parts expand to so many bytes of 0."""
    names = ("operations", "modes", "m1", "v1", "m2", "v2", "m3", "v3", "literals")
    lengths = {**dict.fromkeys(names, 0), "modes": -(-(size - raw.get("literals", 0)) // 1024), **raw}
    packed = []
    for name in names:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed.append(packer.compress(bytes(lengths[name])) + packer.flush())
    pairs = [number for pair in zip(lengths.values(), map(len, packed), strict=True) for number in pair]
    base = hashlib.sha256(b"base").digest()[:16]
    return struct.pack("<4s16s16sI18I", b"FTD2", base, base, size, *pairs) + b"".join(packed)


@pytest.mark.parametrize("size", [4_000, 1_000_000])
def test_no_delta_takes_more_than_a_small_multiple_of_the_signed_size(size: int) -> None:
    """Each part at its most, and a chain of five of them: memory stays in proportion, whatever is promised."""
    most = size // 4
    hostile = [
        inflating(size, operations=15 * size),
        inflating(size, operations=most, m1=size, v1=size, m2=size, v2=size, m3=size, v3=size),
        inflating(size, operations=most, v1=size),
        inflating(size, operations=most, m1=size // 8, v1=size),
        inflating(size, literals=size),
        inflating(MAX_SIZE, literals=MAX_SIZE),
        inflating(MAX_SIZE, v1=MAX_SIZE),
    ]
    links = [struct.pack("<I", len(delta)) + delta for delta in hostile]
    for delta in (*hostile, b"FTC1" + b"".join(links[:5]), b"FTC1" + links[-1] * 4 + links[4]):
        tracemalloc.start()
        try:
            with pytest.raises(DeltaError):
                apply(b"base", delta, size)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 30 * size + 200_000, len(delta)


def test_a_chain_through_a_model_that_is_far_larger_is_neither_taken_nor_published() -> None:
    small, large = weights(8, 2000).tobytes(), weights(9, 9000).tobytes()
    detour = chain([diff(small, large), diff(large, small[:-1])])
    with pytest.raises(DeltaError, match="impossible sizes"):
        apply(small, detour, len(small) - 1)
    assert not applies(small, detour, small[:-1])
    near = chain([diff(small, large[:3000]), diff(large[:3000], small[:-1])])
    assert applies(small, near, small[:-1])
