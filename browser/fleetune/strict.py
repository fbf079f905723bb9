"""Strict reading of JSON that strangers send: exact keys, exact types, bounds, a reason for each refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REASONS: Mapping[str, str] = {
    "not-an-object": "a JSON object was expected",
    "unknown-field": "a field that packets do not have",
    "missing-field": "a field that every packet has is absent",
    "wrong-type": "a field of the wrong JSON type",
    "out-of-range": "a number or word that is not allowed there",
    "unknown-version": "a packet version that this server does not read",
    "bad-format": "text that is not of the form its field requires",
    "hash-mismatch": "a hash that is not that of the packet's own coarse fields",
    "one-variant": "exactly one variant must be reported",
    "too-precise": "a speedup with more than four significant digits",
    "not-a-day": "a timestamp that is not the start of a UTC day",
    "illegal-value": "a speedup that is none of the 64 values the mechanism can produce",
}


class PacketError(ValueError):
    """A packet that is refused: `reason` is a key of REASONS, `field` the dotted name of the culprit."""

    def __init__(self, reason: str, field: str) -> None:
        super().__init__(f"{field}: {REASONS[reason]}")
        self.reason = reason
        self.field = field


def keyed(wire: object, names: frozenset[str], field: str) -> dict[str, Any]:
    """The JSON object with exactly these keys."""
    if not isinstance(wire, dict):
        raise PacketError("not-an-object", field)
    if wire.keys() != names:
        # Values and unknown names of a refused packet are the sender's text: they are not repeated.
        raise PacketError("unknown-field" if wire.keys() - names else "missing-field", field)
    return wire


def text(fields: Mapping[str, Any], name: str) -> str:
    """The text in a field."""
    value = fields[name]
    if type(value) is not str:
        raise PacketError("wrong-type", name)
    return value


def match(fields: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    """The text in a field, wholly of the given form."""
    value = text(fields, name)
    if not form.fullmatch(value):
        raise PacketError("bad-format", name)
    return value


def word(fields: Mapping[str, Any], name: str, words: tuple[str, ...]) -> str:
    """The text in a field, one of the given words."""
    value = text(fields, name)
    if value not in words:
        raise PacketError("out-of-range", name)
    return value


def integer(fields: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """The integer in a field, within bounds; neither a bool nor a float."""
    value = fields[name]
    if type(value) is not int:  # a bool is an int to isinstance
        raise PacketError("wrong-type", name)
    if not least <= value <= most:
        raise PacketError("out-of-range", name)
    return value


def real(fields: Mapping[str, Any], name: str, least: float, most: float, field: str = "") -> float:
    """The finite number in a field, within bounds, as a float."""
    value = fields[name]
    if type(value) is not float and type(value) is not int:
        raise PacketError("wrong-type", field or name)
    if not least <= value <= most:  # also refuses NaN, infinities and integers too large for a float
        raise PacketError("out-of-range", field or name)
    return float(value)
