"""Contexts and environments: coarse, stable, hashed the same everywhere, and the same in JavaScript."""

from __future__ import annotations

import json
import math
import platform
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import node

from fleetune.context import (
    ARCHITECTURES,
    BROWSERS,
    CORES,
    SYSTEMS,
    UNKNOWN,
    Context,
    Environment,
    canonical_json,
    log2_bucket,
)

WEB = Path(__file__).parents[1] / "browser" / "web"
ENVIRONMENT = Environment("firefox", 153, "linux", True, True, False, "2-3")

environments = st.builds(
    Environment,
    st.sampled_from(BROWSERS),
    st.integers(0, 9999),
    st.sampled_from(SYSTEMS),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(CORES),
    st.sampled_from([*ARCHITECTURES, UNKNOWN]),
)


def in_node(expression: str) -> Any:
    """The JSON value of an expression over environment.js."""
    browser = "globalThis.location = { search: '' }; globalThis.navigator ??= { languages: [] };"
    show = f"console.log(JSON.stringify({expression}))"
    return node.evaluate(f"{browser} const e = await import('./shared/environment.js'); {show}", cwd=WEB)


@given(st.integers(2, 2**31))
def test_a_size_goes_to_the_nearest_power_of_two_on_the_log_scale(size: int) -> None:
    bucket = log2_bucket(size)
    assert abs(bucket - math.log2(size)) <= 0.5 + 1e-9


@pytest.mark.parametrize(("size", "bucket"), [(0, 0), (1, 0), (2, 1), (3, 2), (5, 2), (6, 3), (2**40, 31)])
def test_buckets_at_the_edges(size: int, bucket: int) -> None:
    assert log2_bucket(size) == bucket


@pytest.mark.parametrize("copied", [False, True])
def test_a_context_keeps_its_pattern_and_says_whether_it_copies(copied: bool) -> None:
    context = Context.of(4096, "f32", "random", copied=copied)
    assert (context.log2_size, context.base_pattern, context.copied) == (12, "random", copied)
    assert Context.from_wire(context.to_wire()) == context


def test_copying_is_another_context() -> None:
    assert Context.of(64, "f32", "random").hash != Context.of(64, "f32", "random", copied=True).hash


@given(environments)
def test_an_environment_survives_the_wire_and_its_fingerprint_is_of_the_wire_fields(
    environment: Environment,
) -> None:
    again = Environment.from_wire(json.loads(canonical_json(environment.to_wire())))
    assert again == environment
    assert again.fingerprint == environment.fingerprint
    assert len(environment.fingerprint) == 16


@given(environments, environments)
def test_only_equal_environments_share_a_fingerprint(one: Environment, other: Environment) -> None:
    assert (one.fingerprint == other.fingerprint) == (one == other)


def test_hashes_are_pinned_because_stored_aggregates_are_keyed_by_them() -> None:
    assert Context(12, "f32", "random").hash == "3c7f357b65c887bd"
    assert ENVIRONMENT.fingerprint == "22b96afccd8b9ed6"


def test_features_are_those_that_modules_ask_for() -> None:
    assert ENVIRONMENT.features == {"simd", "relaxedSimd"}


def test_not_a_number_has_no_canonical_form() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": math.nan})


def test_the_page_buckets_cores_as_the_wire_names_them() -> None:
    buckets = in_node("[1, 2, 3, 4, 7, 8, 15, 16, 40].map(e.coresBucket)")
    assert buckets == ["1", "2-3", "2-3", "4-7", "4-7", "8-15", "8-15", "16+", "16+"]
    assert set(buckets) == set(CORES)


def test_the_sign_of_not_a_number_tells_the_architecture() -> None:
    """Of this machine: Node's engine must say what the system says."""
    expected = {"x86_64": "x86", "AMD64": "x86", "aarch64": "arm", "arm64": "arm"}.get(platform.machine())
    assert in_node("[e.architecture() ?? null]") == [expected]
    assert in_node("e.detectEnvironment()").get("arch") == expected
    assert list(in_node("Object.keys(e.detectEnvironment())")) == [*ENVIRONMENT.to_wire(), "arch"]


AGENTS = {
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36": (
        "chromium", 156, "linux",
    ),
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/155.0.0.0 Safari/537.36 Edg/155.0": (
        "chromium", 155, "windows",
    ),
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:153.0) Gecko/20100101 Firefox/153.0": (
        "firefox", 153, "windows",
    ),
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.3 Safari/605.1.15": (
        "webkit", 18, "macos",
    ),
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 CriOS/156.0 Safari/604.1": (
        "webkit", 18, "ios",
    ),
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/156.0.0.0 Mobile Safari/537.36": (
        "chromium", 156, "android",
    ),
    "curl/8.0": ("other", 0, "other"),
    # Since Safari 26 the system's version stays at 18.
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.3 "
    "Mobile/15E148 Safari/604.1": ("webkit", 26, "ios"),
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.7.2 "
    "Mobile/15E148 Safari/604.1": ("webkit", 18, "ios"),
    "Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 "
    "Mobile/15E148 Safari/604.1": ("webkit", 26, "ios"),
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 "
    "Safari/605.1.15": ("webkit", 26, "macos"),
    "Mozilla/5.0 (iPad; CPU OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0.7390.41 "
    "Mobile/15E148 Safari/604.1": ("webkit", 26, "ios"),
    "Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/143.0 "
    "Mobile/15E148 Safari/605.1.15": ("webkit", 18, "ios"),
    # On an iPad these ask for desktop pages; Chrome says a Safari of 2018.
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_13_5) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/93 "
    "Version/11.1.1 Safari/605.1.15": ("webkit", 0, "ios"),
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_4) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/143.0 "
    "Safari/605.1.15": ("webkit", 0, "ios"),
    # In an app: no version but the system's.
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148":
    ("webkit", 18, "ios"),
}  # fmt: skip


def test_user_agents_are_reduced_to_family_major_version_and_system() -> None:
    agents = list(AGENTS)
    found = in_node(f"{json.dumps(agents)}.map(a => [...e.family(a), e.system(a)])")
    assert [tuple(row) for row in found] == list(AGENTS.values())
    assert {row[0] for row in found} <= set(BROWSERS)
    assert {row[2] for row in found} <= set(SYSTEMS)


def test_decisions_are_asked_for_with_exactly_the_wire_fields() -> None:
    path = in_node(
        f"(await import('./dashboard/heat_map.js')).decisionsPath({json.dumps(ENVIRONMENT.to_wire())})"
    )
    assert path == (
        "api/decisions?browser=firefox&version=153&os=linux&simd=1&relaxedSimd=1&threads=0&cores=2-3"
    )
