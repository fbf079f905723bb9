"""The packet: what a strict reader takes and refuses, the legal values, and the field table."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import tiny

from fleetune.context import ARCHITECTURES, BROWSERS, CORES, DTYPES, SYSTEMS, UNKNOWN, Context, Environment
from fleetune.fields import COVERS, FIELDS, HONESTY, NEVER_SENT
from fleetune.packet import (
    DAY,
    MAX_BYTES,
    MAX_CLIP,
    MIN_CLIP,
    REASONS,
    Packet,
    PacketError,
    build,
    check,
    decode,
    encode,
    legal_values,
    snap,
)
from fleetune.privacy import PrivacyError, mechanism

MANIFEST = tiny.manifest()
DOT = MANIFEST.kernels["dot"]
VARIANT = "vectorization"


def packet(**changes: Any) -> Packet:
    terms = {
        "base_log": 1.6,
        "measured_log": 1.7,
        "clip": 0.35,
        "epsilon": 2.0,
        "model_version": 7,
        "day": 20_780,
    }
    return build(DOT, tiny.CONTEXT, tiny.ENVIRONMENT, VARIANT, **{**terms, **changes})


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, dict) and path != ("actualSpeedups",):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    return [path]


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    wire = copy.deepcopy(packet().to_wire())
    inner = wire
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return wire


def test_the_packet_has_exactly_the_fields_that_the_table_explains() -> None:
    assert [".".join(path) for path in leaves(packet().to_wire())] == [field.name for field in FIELDS]
    assert [field.name for field in FIELDS if field.cover == "noised"] == ["actualSpeedups"]
    for texts in [t for field in FIELDS for t in (field.what, field.why)] + [HONESTY, *COVERS.values()]:
        assert texts.keys() == {"en", "ru"}
        assert all(texts.values())
    assert len(NEVER_SENT["en"]) == len(NEVER_SENT["ru"])


def test_encoding_and_decoding_return_the_same_packet() -> None:
    one = packet()
    assert decode(encode(one)) == one
    assert len(encode(one)) < 520
    assert one.timestamp % DAY == 0
    assert one.environment == tiny.ENVIRONMENT


def test_javascript_would_write_the_same_bytes() -> None:
    """Numbers without a fraction have none on the wire, so JSON.stringify(JSON.parse(x)) is x."""
    text = encode(packet(clip=1.0)).decode()
    assert '"epsilon":2,' in text
    assert '"clip":1}' in text


def test_the_longest_packet_fits() -> None:
    environment = Environment("chromium", 9999, "windows", False, False, False, "8-15")
    longest = Packet(
        "f" * 32,
        Context(31, "f32", "x" * 32 + "+copied"),
        environment,
        "+".join(["v" * 15] * 5),
        1.234e-07,
        0.6234567890123456,
        0.1234567890123456,
        10**9,
        DAY * (1 << 23),
        "f" * 32,
    )
    assert len(encode(decode(encode(longest)))) <= MAX_BYTES


def test_every_nonce_is_new() -> None:
    assert len({packet().nonce for _ in range(500)}) == 500


@pytest.mark.parametrize("path", leaves(packet().to_wire()), ids=".".join)
@pytest.mark.parametrize(
    "value", [None, True, [], {}, "x", -1, 10**400, math.nan, math.inf, 1.5, "\0", b"x"], ids=repr
)
def test_a_wrong_value_in_any_field_is_refused(path: tuple[str, ...], value: Any) -> None:
    if path[-1] in ("simd", "relaxedSimd", "threads") and value is True:
        value = 1
    if path[-1] in ("epsilon", "clip") and value == 1.5:
        value = "1.5"
    with pytest.raises(PacketError) as refusal:
        check(changed(path, value))
    assert refusal.value.reason in REASONS


@pytest.mark.parametrize("group", ["", "context", "environment", "privacy"])
def test_unknown_and_missing_fields_are_refused(group: str) -> None:
    wire = packet().to_wire()
    inner = wire[group] if group else wire
    inner["userAgent"] = "Mozilla/5.0"
    with pytest.raises(PacketError) as refusal:
        check(wire)
    assert refusal.value.reason == "unknown-field"
    assert "Mozilla" not in str(refusal.value)
    assert "userAgent" not in str(refusal.value)
    del inner["userAgent"]
    inner.pop(next(iter(inner)))
    with pytest.raises(PacketError) as refusal:
        check(wire)
    assert refusal.value.reason == "missing-field"


REFUSALS = [
    (("v",), 3, "unknown-version"),
    (("v",), 1, "unknown-field"),
    (("environment", "arch"), "other", "out-of-range"),
    (("v",), 1.0, "wrong-type"),
    (("contextHash",), "0" * 16, "hash-mismatch"),
    (("browserFingerprint",), "0" * 16, "hash-mismatch"),
    (("context", "log2Size"), 9, "hash-mismatch"),
    (("environment", "cores"), "16+", "hash-mismatch"),
    (("environment", "browser"), "firefox-baseline", "out-of-range"),
    (("environment", "version"), True, "wrong-type"),
    (("environment", "simd"), 1, "wrong-type"),
    (("profileSignature",), "A" * 32, "bad-format"),
    (("nonce",), "0" * 31, "bad-format"),
    (("nonce",), "0" * 32 + "\n", "bad-format"),
    (("timestamp",), 20_780 * DAY + 1, "not-a-day"),
    (("timestamp",), float(20_780 * DAY), "wrong-type"),
    (("privacy", "mechanism"), "laplace", "out-of-range"),
    (("privacy", "epsilon"), 9, "out-of-range"),
    (("privacy", "epsilon"), math.nan, "out-of-range"),
    (("privacy", "clip"), 10**400, "out-of-range"),
    (("actualSpeedups",), {}, "one-variant"),
    (("actualSpeedups",), {"scalar": 1.0, "vectorization": 2.0}, "one-variant"),
    (("actualSpeedups",), [5.1], "wrong-type"),
    (("actualSpeedups",), {"js": 1.0}, "out-of-range"),
    (("actualSpeedups",), {"<script>": 1.0}, "bad-format"),
    (("actualSpeedups",), {"v" * 300: 1.0}, "bad-format"),
    (("actualSpeedups",), {"scalar": 5.1234}, "too-precise"),
    (("actualSpeedups",), {"scalar": True}, "wrong-type"),
    (("actualSpeedups",), {"scalar": 0}, "out-of-range"),
    (("actualSpeedups",), {"scalar": -2.0}, "out-of-range"),
    (("actualSpeedups",), {"scalar": math.inf}, "out-of-range"),
    (("actualSpeedups",), {"scalar": 10**400}, "out-of-range"),
]


@pytest.mark.parametrize(("path", "value", "reason"), REFUSALS, ids=lambda part: str(part)[:40])
def test_each_refusal_has_its_reason(path: tuple[str, ...], value: Any, reason: str) -> None:
    with pytest.raises(PacketError) as refusal:
        check(changed(path, value))
    assert refusal.value.reason == reason


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(JSON_VALUES)
def test_arbitrary_json_is_refused_and_nothing_else_happens(wire: Any) -> None:
    with pytest.raises(PacketError):
        check(wire)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(leaves(packet().to_wire())), JSON_VALUES)
def test_a_packet_with_one_field_replaced_is_refused_or_means_the_same_on_the_wire(
    path: tuple[str, ...], value: Any
) -> None:
    wire = changed(path, value)
    try:
        read = check(wire)
    except PacketError:
        return
    assert json.loads(encode(read)) == wire


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"null", b"NaN"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(PacketError):
        decode(body)


@pytest.mark.parametrize("variant", ["js", "tiling", "", "Scalar"])
def test_only_variants_of_the_kernel_are_reported(variant: str) -> None:
    with pytest.raises(PacketError):
        build(DOT, tiny.CONTEXT, tiny.ENVIRONMENT, variant, 0.0, 0.0, 0.35, 2.0, 7, 20_780)


def test_a_lab_only_browser_makes_no_packet() -> None:
    lab = Environment("firefox-baseline", 153, "linux", True, True, False, "2-3")
    with pytest.raises(PacketError):
        build(DOT, tiny.CONTEXT, lab, VARIANT, 0.0, 0.0, 0.35, 2.0, 7, 20_780)


@pytest.mark.parametrize("measured", [math.nan, math.inf, -math.inf])
def test_a_measurement_that_is_not_finite_makes_no_packet(measured: float) -> None:
    with pytest.raises(PrivacyError):
        packet(measured_log=measured)


BASES, CLIPS = st.floats(-3, 4), st.sampled_from([0.1, 0.2, 0.25, 0.35, 0.5, 1.0, 2.0])


@settings(max_examples=100, deadline=None)
@given(BASES, CLIPS, st.sampled_from([0.5, 1.0, 2.0, 4.0]))
def test_the_legal_values_are_64_distinct_and_snap_back(base: float, clip: float, epsilon: float) -> None:
    values = legal_values(base, clip, epsilon)
    assert values.shape == (64,)
    assert (np.diff(values) > 0).all()
    for symbol, value in enumerate(values.tolist()):
        assert float(f"{value:.3e}") == value, "four significant digits"
        for drift in (-1e-6, 0, 1e-6):  # between the two sides' predictions
            assert snap(value, base + drift, clip, epsilon) == symbol


@settings(max_examples=100, deadline=None)
@given(BASES, st.sampled_from([0.2, 0.35, 0.5]), st.floats(-1, 1))
def test_a_built_packet_is_legal(base: float, clip: float, residual: float) -> None:
    built = packet(base_log=base, measured_log=base + residual * clip, clip=clip)
    assert built.speedup in legal_values(base, clip, 2.0)
    assert 0 <= snap(built.speedup, base, clip, 2.0) < mechanism(2.0).n


@pytest.mark.parametrize("value", [4.953032, 5.0, 0.0, -1.0, math.nan, math.inf, 1e300, True, "5"])
def test_a_value_off_the_grid_is_refused(value: Any) -> None:
    """4.953032 = e^1.6 has too many digits, and 5.0 lies between two legal values."""
    with pytest.raises(PacketError) as refusal:
        snap(value, 1.6, 0.35, 2.0)
    assert refusal.value.reason == "illegal-value"


def test_beyond_the_ends_of_the_grid_nothing_is_legal() -> None:
    values = legal_values(1.6, 0.35, 2.0).tolist()
    step = values[1] / values[0]
    for value in (values[0] / step, values[-1] * step):
        with pytest.raises(PacketError):
            snap(float(f"{value:.3e}"), 1.6, 0.35, 2.0)


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        Environment,
        st.sampled_from(BROWSERS),
        st.integers(0, 9999),
        st.sampled_from(SYSTEMS),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from(CORES),
        st.sampled_from([*ARCHITECTURES, UNKNOWN]),
    ),
    st.builds(
        Context, st.integers(0, 31), st.sampled_from(DTYPES), st.sampled_from(["random", "sorted+copied"])
    ),
    st.floats(MIN_CLIP, MAX_CLIP),
)
def test_every_coarse_environment_and_context_can_be_reported(
    environment: Environment, context: Context, clip: float
) -> None:
    built = build(DOT, context, environment, VARIANT, 1.0, 1.1, clip, 2.0, 7, 20_780)
    assert decode(encode(built)) == built


def test_the_two_hashes_are_of_the_fields_beside_them_and_of_nothing_else() -> None:
    wire = packet().to_wire()
    for name, group in (("contextHash", "context"), ("browserFingerprint", "environment")):
        fields = json.dumps(wire[group], sort_keys=True, separators=(",", ":"))
        assert wire[name] == hashlib.sha256(fields.encode()).hexdigest()[:16]


def test_packets_without_an_architecture_are_read_as_they_always_were() -> None:
    """Old pages send them, strict ones, and browsers that do not show it."""
    environment = tiny.ENVIRONMENT.any_arch
    old = build(DOT, tiny.CONTEXT, environment, VARIANT, 1.0, 1.1, 0.35, 2.0, 7, 20_780)
    wire = old.to_wire()
    assert wire["v"] == 1
    assert "arch" not in wire["environment"]
    assert wire["browserFingerprint"] == "22b96afccd8b9ed6"
    assert decode(encode(old)).environment == environment
    with pytest.raises(PacketError, match="packets do not have"):
        check(wire | {"environment": tiny.ENVIRONMENT.to_wire()})
    with pytest.raises(PacketError, match="absent"):
        check(wire | {"v": 2})


@pytest.mark.parametrize("flag", ["simd", "relaxedSimd", "threads"])
def test_each_flag_of_the_environment_decides_which_variants_can_run(flag: str) -> None:
    able = Environment("firefox", 153, "linux", True, True, True, "2-3")
    unable = Environment.from_wire(able.to_wire() | {flag: False})
    scalar = DOT.variants["scalar"]
    needy = replace(scalar, name="needy", features=frozenset({flag}))
    kernel = replace(DOT, variants={"scalar": scalar, "needy": needy})
    assert kernel.candidates(able.features) == ("js", "scalar", "needy")
    assert kernel.candidates(unable.features) == ("js", "scalar")
