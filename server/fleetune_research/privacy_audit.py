"""The statistical audit: serialised packets, drawn as browsers draw them, against what they claim.

It knows nothing of the mechanism. For pairs of neighbouring measurements it looks for the set of answers that
tells them apart best (on a quarter of the draws) and bounds its likelihood ratio from below (on the rest, by
Clopper-Pearson); everything but the value and the nonce must be the same bytes, every value one of 64, every
nonce new. Mutants, with a fault each, show that it would notice.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binomtest

from fleetune.context import Context, Environment
from fleetune.manifest import Kernel, Variant
from fleetune.packet import DAY, Packet, PacketError, build, decode, encode, legal_values
from fleetune.privacy import clip_residual, mechanism

ALPHA = 1e-4  # chance that an honest mechanism fails the audit, at most
BATCH = 20_000  # packets of one task

# Measurements are ln speedups, as distances from the base prediction in units of the clip. One person's
# measurement may be anything, so any two are neighbours; the far ones must look like the clipped ones.
PAIRS: Sequence[tuple[float, float, int]] = (  # (one, other, weight)
    (-1.0, 1.0, 7),
    (-50.0, 50.0, 1),
    (0.0, 1.0, 1),
    (-0.3, 0.4, 1),
)
BASE, CLIP, VERSION, TODAY = 1.6, 0.35, 7, 20_780
CONTEXT = Context(12, "f32", "random")
ENVIRONMENT = Environment("firefox", 153, "linux", True, True, False, "2-3")
VARIANT = "inlining+vectorization"

Maker = Callable[[float, float], bytes]  # (measurement, ε) → one serialised packet

_PARTS = re.compile(rb'(.*"actualSpeedups":\{"[^"]*":)([^}]*)(\}.*"nonce":")([^"]*)("\})', re.DOTALL)


def _kernel() -> Kernel:
    variant = Variant("audited", VARIANT, (), frozenset(), "base", 0, 8, "0" * 64, {})
    return Kernel(
        name="audited",
        family="",
        summary="",
        dtype="f32",
        params=(),
        returns=None,
        sizes=(4096,),
        patterns=("random",),
        copied=False,
        relative_tolerance=0,
        absolute_tolerance=0,
        data_end=0,
        baselines=("js",),
        profile={},
        signature="ab" * 16,
        variants={VARIANT: variant},
    )


KERNEL = _kernel()


def _build(measurement: float, epsilon: float) -> Packet:
    log = BASE + CLIP * measurement
    return build(KERNEL, CONTEXT, ENVIRONMENT, VARIANT, BASE, log, CLIP, epsilon, VERSION, TODAY)


def shipped(measurement: float, epsilon: float) -> bytes:
    """The code that browsers run."""
    return encode(_build(measurement, epsilon))


def overspend(measurement: float, epsilon: float) -> bytes:
    """Mutant: the draw uses 5 % more ε than the packet says."""
    unit = clip_residual(BASE + CLIP * measurement, BASE, CLIP)
    symbol = mechanism(1.05 * epsilon).draw(unit)
    value = float(legal_values(BASE, CLIP, epsilon)[symbol])
    return encode(dataclasses.replace(_build(measurement, epsilon), speedup=value))


def reused_nonce(measurement: float, epsilon: float) -> bytes:
    """Mutant: one packet in a thousand repeats an earlier nonce."""
    packet = _build(measurement, epsilon)
    if int(packet.nonce[:8], 16) % 1000 == 0:
        packet = dataclasses.replace(packet, nonce="5eed" * 8)
    return encode(packet)


def float_leak(measurement: float, epsilon: float) -> bytes:
    """Mutant: the digits after the fourth still depend on the measurement."""
    packet = _build(measurement, epsilon)
    return encode(dataclasses.replace(packet, speedup=packet.speedup * (1 + 1e-5 * math.tanh(measurement))))


def time_leak(measurement: float, epsilon: float) -> bytes:
    """Mutant: the second of the day travels, and a slow benchmark makes it later."""
    packet = _build(measurement, epsilon)
    return encode(
        dataclasses.replace(packet, timestamp=packet.timestamp + 37 + round(3 * math.tanh(measurement)))
    )


def day_leak(measurement: float, epsilon: float) -> bytes:
    """Mutant: still a whole day, but which one depends on the measurement."""
    packet = _build(measurement, epsilon)
    return encode(dataclasses.replace(packet, timestamp=packet.timestamp - DAY * (measurement < 0)))


MUTANTS: dict[str, Maker] = {
    "overspend": overspend,
    "reused-nonce": reused_nonce,
    "float-leak": float_leak,
    "time-leak": time_leak,
    "day-leak": day_leak,
}


@dataclass
class Sample:
    """What was seen of the packets of one measurement; adds up."""

    values: Counter[bytes] = field(default_factory=Counter)
    envelopes: set[bytes] = field(default_factory=set)
    nonces: list[bytes] = field(default_factory=list)

    def add(self, other: Sample) -> None:
        self.values += other.values
        self.envelopes |= other.envelopes
        self.nonces += other.nonces


def take(maker: Maker, measurement: float, epsilon: float, draws: int) -> Sample:
    """Draw packets and split each into its value, its nonce, and the rest."""
    sample = Sample()
    nonces = bytearray()
    for _ in range(draws):
        parts = _PARTS.fullmatch(maker(measurement, epsilon))
        if parts is None:
            raise ValueError("a packet does not look like one")
        before, value, between, nonce, after = parts.groups()
        sample.values[value] += 1
        sample.envelopes.add(b"\0".join((before, between, after)))
        nonces += bytes.fromhex(nonce.decode())
    sample.nonces = [bytes(nonces)]
    return sample


@dataclass(frozen=True)
class Finding:
    """The result of one audit."""

    lower_bound: float  # of ε, at confidence 1 - ALPHA
    violations: tuple[str, ...]


def audit(maker: Maker, epsilon: float, draws: int, workers: int = 1) -> Finding:
    """Draw `draws` packets in all and look for whatever breaks the claim `epsilon`."""
    unit = draws // (2 * sum(weight for _, _, weight in PAIRS))
    if unit < 100:
        raise ValueError("an audit needs at least 2000 draws")
    samples: dict[tuple[float, int], Sample] = {}
    tasks = [
        (maker, measurement, epsilon, part, size)
        for one, other, weight in PAIRS
        for measurement in (one, other)
        for part, total in ((0, unit * weight // 4), (1, unit * weight - unit * weight // 4))
        for size in _batches(total)
    ]
    for (_, measurement, _, part, _), sample in zip(tasks, _run(tasks, workers), strict=True):
        samples.setdefault((measurement, part), Sample()).add(sample)
    bounds = [
        _log_ratio([samples[one, 0], samples[one, 1]], [samples[other, 0], samples[other, 1]])
        for one, other, _ in PAIRS
    ]
    violations = list(_structure(samples.values(), epsilon))
    if max(bounds) > epsilon:
        violations.append(f"overspend: the packets show ε > {max(bounds):.4f}, and claim {epsilon:g}")
    return Finding(max(bounds), tuple(violations))


def _batches(total: int) -> Iterable[int]:
    yield from [BATCH] * (total // BATCH)
    if total % BATCH:
        yield total % BATCH


def _take(task: tuple[Maker, float, float, int, int]) -> Sample:
    maker, measurement, epsilon, _part, size = task
    return take(maker, measurement, epsilon, size)


def _run(tasks: Sequence[tuple[Maker, float, float, int, int]], workers: int) -> Iterable[Sample]:
    if workers == 1:
        yield from map(_take, tasks)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_take, tasks)


def _log_ratio(one: Sequence[Sample], other: Sequence[Sample]) -> float:
    """A lower bound on the largest log likelihood ratio, either way round, valid for all pairs together."""
    level = ALPHA / (2 * len(PAIRS) * 2)  # two directions, two bounds
    best = -math.inf
    for a, b in ((one, other), (other, one)):
        chosen = _telling(a[0].values, b[0].values)
        hits_a, hits_b = (sum(s[1].values[value] for value in chosen) for s in (a, b))
        n_a, n_b = a[1].values.total(), b[1].values.total()
        if hits_a:
            low = binomtest(hits_a, n_a).proportion_ci(1 - 2 * level, method="exact").low
            high = binomtest(hits_b, n_b).proportion_ci(1 - 2 * level, method="exact").high
            best = max(best, math.log(low / high))
    return best


def _telling(a: Counter[bytes], b: Counter[bytes]) -> list[bytes]:
    """The answers whose joint ratio, less its sampling error, is largest: a prefix by falling ratio."""
    ranked = sorted(a.keys() | b.keys(), key=lambda value: (a[value] + 1) / (b[value] + 1), reverse=True)
    hits = np.cumsum([(a[value], b[value]) for value in ranked], axis=0) + 1.0
    score = np.log(hits[:, 0] / hits[:, 1]) - 4 * np.sqrt(1 / hits[:, 0] + 1 / hits[:, 1])
    return ranked[: int(np.argmax(score)) + 1]


def _structure(samples: Iterable[Sample], epsilon: float) -> Iterable[str]:
    """What is wrong whatever the statistics say."""
    everything = Sample()
    for sample in samples:
        everything.add(sample)
    joined = b"".join(everything.nonces)
    if len(joined) % 16:
        yield "nonce: not always 16 bytes"
    elif len(np.unique(np.frombuffer(joined, dtype="V16"))) != len(joined) // 16:
        yield "nonce: at least one was used twice"
    if len(everything.envelopes) != 1:
        yield "envelope: fields beside the value and the nonce depend on the draw or the measurement"
    values = {float(value) for value in everything.values}
    if not values <= set(legal_values(BASE, CLIP, epsilon).tolist()):
        yield "value: not one of the 64 that the mechanism can produce"
    for envelope in everything.envelopes:
        before, between, after = envelope.split(b"\0")
        try:
            decode(before + b"5.0" + between + b"0" * 32 + after)
        except PacketError as error:
            yield f"packet: the strict reader refuses it ({error})"
            return
