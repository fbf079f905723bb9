"""The packet: the one record that may leave a browser. Its fields, limits, encoding and strict check."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune import limits, strict
from fleetune.context import (
    ARCHITECTURES,
    BROWSERS,
    CORES,
    DTYPES,
    MAX_BROWSER_VERSION,
    MAX_LOG2_SIZE,
    SYSTEMS,
    UNKNOWN,
)
from fleetune.context import Context as Context
from fleetune.context import Environment as Environment
from fleetune.fields import FIELDS as FIELDS
from fleetune.manifest import BASELINE, Kernel
from fleetune.privacy import (
    MAX_EPSILON,
    STRICT_EPSILON,
    Entropy,
    clip_residual,
    mechanism,
    system_entropy,
)
from fleetune.strict import REASONS as REASONS
from fleetune.strict import PacketError as PacketError

PACKET_VERSION = 2  # with `environment.arch`
WITHOUT_ARCH = 1  # from browsers that do not tell it, and from all before release 0.2
DAY = 86_400  # seconds
MAX_BYTES = 660  # of one encoded packet; a usual one has about 500
MIN_EPSILON = 0.5
MIN_CLIP, MAX_CLIP = 0.1, 2.0
MAX_SPEEDUP = 1e12  # and its inverse the least; a far bound: the legal grid is the real one
MAX_MODEL_VERSION = 10**9
MAX_TIMESTAMP = 1 << 40  # seconds; keeps every integer exact in JavaScript
DIGITS = 4  # significant digits of the speedup

_SIGNATURE = re.compile(r"[0-9a-f]{32}")
_PATTERN = re.compile(limits.PATTERN + limits.COPIED)
_VARIANT = re.compile(limits.VARIANT)

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_TOP = frozenset(field.name.partition(".")[0] for field in FIELDS)


def _names_under(group: str) -> frozenset[str]:
    return frozenset(field.name.removeprefix(group) for field in FIELDS if field.name.startswith(group))


_CONTEXT, _ENVIRONMENT, _PRIVACY = (
    _names_under("context."),
    _names_under("environment."),
    _names_under("privacy."),
)


@dataclass(frozen=True, slots=True)
class Packet:
    """One privatised speedup of one variant in one context, and its envelope."""

    profile_signature: str
    context: Context
    environment: Environment
    variant: str
    speedup: float  # base prediction * exp(noisy clipped residual), four significant digits
    epsilon: float
    clip: float
    model_version: int
    timestamp: int  # seconds; the start of the UTC day
    nonce: str

    def to_wire(self) -> dict[str, Any]:
        """The packet as JSON-able values, in the order in which it is shown and sent."""
        return {
            "v": WITHOUT_ARCH if self.environment.arch == UNKNOWN else PACKET_VERSION,
            "profileSignature": self.profile_signature,
            "contextHash": _context_hash(self.context),
            "context": self.context.to_wire(),
            "environment": self.environment.to_wire(),
            "browserFingerprint": _fingerprint(self.environment),
            "actualSpeedups": {self.variant: _plain(self.speedup)},
            "privacy": {"mechanism": "piecewise", "epsilon": _plain(self.epsilon), "clip": _plain(self.clip)},
            "modelVersion": self.model_version,
            "timestamp": self.timestamp,
            "nonce": self.nonce,
        }


def told_environment(environment: Environment, epsilon: float) -> Environment:
    """The kind of browser that a report at this ε names. Strict leaves the architecture out: fewer kinds, each
    with more people."""
    return environment.any_arch if epsilon == STRICT_EPSILON else environment


def build(
    kernel: Kernel,
    context: Context,
    environment: Environment,
    variant: str,
    base_log: float,
    measured_log: float,
    clip: float,
    epsilon: float,
    model_version: int,
    day: int,
    entropy: Entropy = system_entropy,
) -> Packet:
    """Privatise one measurement: the only road from a measured speedup to the wire.

    `base_log` and `measured_log` are natural logs of speedups over JavaScript, `day` counts UTC days since
    1970. Raises PrivacyError for a measurement that is not finite, PacketError for what a server refuses.
    """
    if variant == BASELINE or (variant not in kernel.variants and variant not in kernel.baselines):
        raise PacketError("out-of-range", "actualSpeedups")
    noise = mechanism(epsilon)
    symbol = noise.draw(clip_residual(measured_log, base_log, clip), entropy)
    return check(
        Packet(
            kernel.signature,
            context,
            environment,
            variant,
            _legal(base_log, clip, noise.decode(symbol)),
            float(epsilon),
            float(clip),
            model_version,
            day * DAY,
            entropy(16).hex(),
        ).to_wire()
    )


def encode(packet: Packet) -> bytes:
    """The exact bytes of a packet on the wire."""
    return _ENCODER.encode(packet.to_wire()).encode()


def check(wire: object) -> Packet:
    """The packet that a parsed JSON value holds; raise PacketError if anything at all is wrong with it."""
    top = strict.keyed(wire, _TOP, "packet")
    if type(top["v"]) is not int:
        raise PacketError("wrong-type", "v")
    if top["v"] not in (WITHOUT_ARCH, PACKET_VERSION):
        raise PacketError("unknown-version", "v")
    context = _check_context(top["context"])
    environment = _check_environment(top["environment"], top["v"])
    if strict.text(top, "contextHash") != _context_hash(context):
        raise PacketError("hash-mismatch", "contextHash")
    if strict.text(top, "browserFingerprint") != _fingerprint(environment):
        raise PacketError("hash-mismatch", "browserFingerprint")
    variant, speedup = _check_speedups(top["actualSpeedups"])
    privacy = strict.keyed(top["privacy"], _PRIVACY, "privacy")
    if strict.text(privacy, "mechanism") != "piecewise":
        raise PacketError("out-of-range", "mechanism")
    timestamp = strict.integer(top, "timestamp", 0, MAX_TIMESTAMP)
    if timestamp % DAY:
        raise PacketError("not-a-day", "timestamp")
    return Packet(
        strict.match(top, "profileSignature", _SIGNATURE),
        context,
        environment,
        variant,
        speedup,
        strict.real(privacy, "epsilon", MIN_EPSILON, MAX_EPSILON),
        strict.real(privacy, "clip", MIN_CLIP, MAX_CLIP),
        strict.integer(top, "modelVersion", 1, MAX_MODEL_VERSION),
        timestamp,
        strict.match(top, "nonce", _SIGNATURE),
    )


def decode(body: bytes) -> Packet:
    """`check` of encoded bytes; raises PacketError."""
    try:
        wire = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PacketError("not-an-object", "packet") from error
    return check(wire)


def legal_values(base_log: float, clip: float, epsilon: float) -> NDArray[np.float64]:
    """The 64 speedups that a report of a cell with this base prediction can carry, ascending: (64,)."""
    return np.array([_legal(base_log, clip, x) for x in mechanism(epsilon).values().tolist()])


def snap(value: float, base_log: float, clip: float, epsilon: float) -> int:
    """The symbol that a reported speedup stands for; PacketError("illegal-value") if it stands for none.

    One unit in the fourth digit is allowed, because the two sides' base predictions agree to about 1e-6.
    """
    noise = mechanism(epsilon)
    if not (isinstance(value, float) and 1 / MAX_SPEEDUP <= value <= MAX_SPEEDUP) or _round(value) != value:
        raise PacketError("illegal-value", "actualSpeedups")
    symbol = round((math.log(value) - base_log) / clip * noise.scale + (noise.n - 1) / 2)
    if 0 <= symbol < noise.n:
        unit = 10.0 ** (math.floor(math.log10(value)) + 1 - DIGITS)
        if abs(value - _legal(base_log, clip, noise.decode(symbol))) < 1.5 * unit:
            return symbol
    raise PacketError("illegal-value", "actualSpeedups")


def _plain(value: float) -> float:
    """2 rather than 2.0: as JavaScript writes it, so that the page shows what is sent."""
    return int(value) if value.is_integer() else value


def _round(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _legal(base_log: float, clip: float, residual_unit: float) -> float:
    return _round(math.exp(base_log + clip * residual_unit))


@lru_cache(maxsize=4096)
def _context_hash(context: Context) -> str:
    return context.hash


@lru_cache(maxsize=4096)
def _fingerprint(environment: Environment) -> str:
    return environment.fingerprint


def _check_context(wire: object) -> Context:
    fields = strict.keyed(wire, _CONTEXT, "context")
    return Context(
        strict.integer(fields, "log2Size", 0, MAX_LOG2_SIZE),
        strict.word(fields, "dtype", DTYPES),
        strict.match(fields, "pattern", _PATTERN),
    )


def _check_environment(wire: object, version: int) -> Environment:
    has_arch = version != WITHOUT_ARCH
    fields = strict.keyed(wire, _ENVIRONMENT if has_arch else _ENVIRONMENT - {"arch"}, "environment")
    for name in ("simd", "relaxedSimd", "threads"):
        if type(fields[name]) is not bool:
            raise PacketError("wrong-type", name)
    return Environment(
        strict.word(fields, "browser", BROWSERS),
        strict.integer(fields, "version", 0, MAX_BROWSER_VERSION),
        strict.word(fields, "os", SYSTEMS),
        fields["simd"],
        fields["relaxedSimd"],
        fields["threads"],
        strict.word(fields, "cores", CORES),
        strict.word(fields, "arch", ARCHITECTURES) if has_arch else UNKNOWN,
    )


def _check_speedups(wire: object) -> tuple[str, float]:
    if not isinstance(wire, dict):
        raise PacketError("wrong-type", "actualSpeedups")
    if len(wire) != 1:
        raise PacketError("one-variant", "actualSpeedups")
    (variant,) = wire
    if (
        not isinstance(variant, str)
        or len(variant) > limits.VARIANT_CHARACTERS
        or not _VARIANT.fullmatch(variant)
    ):
        raise PacketError("bad-format", "actualSpeedups")
    if variant == BASELINE:  # its speedup is 1 by definition
        raise PacketError("out-of-range", "actualSpeedups")
    speedup = strict.real(wire, variant, 1 / MAX_SPEEDUP, MAX_SPEEDUP, "actualSpeedups")
    if _round(speedup) != speedup:
        raise PacketError("too-precise", "actualSpeedups")
    return variant, speedup
