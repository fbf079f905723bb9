"""What kind of mistake a wrong call shows: one name for all kernels and candidates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

Wrong = dict[str, Any]


def _tagged(pattern: str) -> Callable[[Wrong], bool]:
    return lambda wrong: any(re.search(pattern, tag) for tag in wrong["tags"])


def _says(pattern: str) -> Callable[[Wrong], bool]:
    return lambda wrong: re.search(pattern, wrong["problem"]) is not None


# The first that fits, from the most particular on.
KINDS: dict[str, Callable[[Wrong], bool]] = {
    "a call larger than the memory is not made by its module": lambda w: (
        w["way"] == "growing" and _says("^no module")(w)
    ),
    "modules are set aside where memory is little": lambda w: (
        w["way"] == "growing" and _says("set aside")(w)
    ),
    "no module runs, whatever was chosen": _says("module ran$|^explain"),
    "bytes behind what the call is about change": _says("^changed byte"),
    "scratch is too short and believed": _tagged("^scratch is too short"),
    "arrays of another type are taken": _tagged("^wrong type"),
    "arrays of a class with its own methods": _tagged("^own class"),
    "shared and resizable buffers": _tagged("^unusual buffers"),
    "a byte or index outside": _tagged("^wanted is|^index outside|^counts is too short"),
    "prices that are none": _tagged("^no price"),
    "numbers that are none or outside their range": _tagged(r"^(?!scratch)\w+ is (-|nan|inf|None|\d)"),
    "arrays that are too short": _tagged("is too short"),
    "arrays that share elements": _tagged("lies across|^\\w+ is "),
    "single precision overflows or drifts": _tagged("^(long|large|far|wide|tiny|biased|special)$"),
    "a failure that reaches the page": _says("^throws"),
    "image data gives another result": _tagged("^clamped$"),
}  # fmt: skip


def kind(wrong: Wrong) -> str:
    """Its name in KINDS, or what was unusual about the call."""
    found = next((name for name, test in KINDS.items() if test(wrong)), None)
    return found or f"another: {wrong['problem']}"


def first_of(wrongs: Iterable[Wrong]) -> dict[str, Wrong]:
    """The first wrong call of each kind."""
    first: dict[str, Wrong] = {}
    for wrong in wrongs:
        first.setdefault(kind(wrong), wrong)
    return first
