"""What intake takes and what it refuses, packet by packet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests import tiny

from fleetune.context import Context, Environment
from fleetune.manifest import Kernel
from fleetune.packet import DAY, build, legal_values
from fleetune_server.common.errors import PACKETS, RefusedError
from fleetune_server.telemetry.check import CLOCK_SLACK, Checker

NOW = 20_000 * DAY + 3 * CLOCK_SLACK
BASE, CLIP = 0.7, 0.35
MANIFEST = tiny.manifest()
NO_SIMD = Environment("webkit", 26, "linux", False, False, False, "1")
DOT = MANIFEST.kernels["dot"]


class FixedRounds:
    """Versions 3 and 4, the same base prediction for whatever can run; version 4 has a wide clip here."""

    def keeps(self, version: int) -> bool:
        return version in (3, 4)

    def clips(self, version: int, kernel: Kernel, environment: Environment) -> tuple[float, ...]:
        return (CLIP, CLIP) if version == 3 else (1.0, 0.25)

    def base(
        self, version: int, kernel: Kernel, context: Context, environment: Environment, candidate: str
    ) -> float | None:
        return BASE if candidate in kernel.candidates(environment.features) else None


def checker(now: float = NOW) -> Checker:
    return Checker(
        lambda: MANIFEST.by_signature, FixedRounds(), 2, lambda nonce: nonce[0] == "0", lambda: now
    )


def wire(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "kernel": DOT,
        "context": tiny.CONTEXT,
        "environment": tiny.ENVIRONMENT,
        "variant": "vectorization",
        "base_log": BASE,
        "measured_log": 0.8,
        "clip": CLIP,
        "epsilon": 2.0,
        "model_version": 3,
        "day": NOW // DAY,
    }
    return build(**(arguments | changes)).to_wire()


def code(packet: object, now: float = NOW) -> str:
    with pytest.raises(RefusedError) as caught:
        checker(now).accept(packet)
    return caught.value.code


def test_a_good_packet_becomes_its_symbol() -> None:
    legal = legal_values(BASE, CLIP, 2.0).tolist()
    for _ in range(200):
        packet = wire()
        stored = checker().accept(packet)
        assert legal[stored.symbol] == packet["actualSpeedups"]["vectorization"]
        assert stored.nonce == packet["nonce"]
        assert stored.heldout == (packet["nonce"][0] == "0")
        assert (stored.cell.base_log, stored.cell.clip, stored.cell.version) == (BASE, CLIP, 3)
        assert stored.cell.candidate == "vectorization"


def test_a_report_may_carry_its_place_s_clip_or_as_older_pages_do_the_version_s_and_no_other() -> None:
    for clip in (1.0, 0.25):
        stored = checker().accept(wire(model_version=4, clip=clip))
        assert stored.cell.clip == clip, "it is decoded by the clip that it was made with"
    for clip in (0.5, CLIP):
        assert code(wire(model_version=4, clip=clip)) == "wrong-clip"


def _other_kernel(packet: dict[str, Any]) -> dict[str, Any]:
    return packet | {"profileSignature": "f" * 32}


def _off_grid(packet: dict[str, Any]) -> dict[str, Any]:
    legal = legal_values(BASE, CLIP, 2.0)
    return packet | {"actualSpeedups": {"vectorization": float(f"{(legal[31] + legal[32]) / 2:.4g}")}}


REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("not-an-object", lambda: [1]),
    ("unknown-kernel", lambda: _other_kernel(wire())),
    ("unknown-context", lambda: wire(context=Context(30, "f32", "random"))),
    ("unknown-context", lambda: wire(context=Context(8, "f64", "random"))),
    ("unknown-context", lambda: wire(context=Context(8, "f32", "sorted"))),
    (
        "unknown-variant",
        lambda: wire(environment=Environment("webkit", 26, "linux", False, False, False, "1")),
    ),
    ("unknown-variant", lambda: wire() | {"actualSpeedups": {"tiling": 1.5}}),
    ("unknown-model", lambda: wire(model_version=2)),
    ("wrong-epsilon", lambda: wire(epsilon=3.0)),
    ("wrong-clip", lambda: wire(model_version=4)),
    ("illegal-value", lambda: _off_grid(wire())),
    ("illegal-value", lambda: wire(base_log=3.0)),
]


@pytest.mark.parametrize(("expected", "make"), REFUSED)
def test_what_does_not_fit_is_refused_by_name(expected: str, make: Callable[[], object]) -> None:
    assert code(make()) == expected


def test_sizes_between_those_of_the_catalogue_are_taken() -> None:
    assert checker().accept(wire(context=Context(9, "f32", "random+copied"))).cell.context.log2_size == 9


def test_days_are_taken_for_as_long_as_promised() -> None:
    packet = wire(day=20_000)
    start = 20_000 * DAY
    assert code(packet, start - CLOCK_SLACK - 1) == "future"
    assert checker(start - CLOCK_SLACK).accept(packet)
    assert checker(start + 3 * DAY - 1).accept(packet)
    assert code(packet, start + 3 * DAY) == "stale"


def test_every_refusal_says_what_it_means() -> None:
    for expected, make in REFUSED:
        with pytest.raises(RefusedError) as caught:
            checker().accept(make())
        assert len(str(caught.value)) > 15
        assert caught.value.code == expected
    assert set(PACKETS) <= {expected for expected, _make in REFUSED} | {"stale", "future"}


def test_checking_is_fast_enough_for_thousands_a_second() -> None:
    packet, check = wire(), checker()
    start = time.process_time()
    for _ in range(2000):
        check.accept(packet)
    assert (time.process_time() - start) / 2000 < 1e-3


def test_a_kind_of_browser_that_cannot_be_counts_for_its_engine() -> None:
    def bounded(environment: Environment, now: float) -> Environment:
        assert now == NOW
        return replace(environment, version=0) if environment.version > 200 else environment

    strict = Checker(
        lambda: MANIFEST.by_signature, FixedRounds(), 2, lambda nonce: False, lambda: NOW, bounded
    )
    forged = [replace(tiny.ENVIRONMENT, version=version) for version in (201, 5000, 9999)]
    cells = {strict.accept(wire(environment=environment)).cell for environment in forged}
    assert {cell.environment for cell in cells} == {replace(tiny.ENVIRONMENT, version=0)}
    assert len(cells) == 1, "a thousand versions make one cell"
    honest = strict.accept(wire()).cell
    assert honest.environment == tiny.ENVIRONMENT
    assert honest.base_log == cells.pop().base_log, "the value that the sender measured against"
