"""Which candidate a page's own timed calls decide for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import node

CALLS = Path(__file__).parents[1] / "browser" / "web" / "embed" / "confirm_calls.js"
SCRIPT = f"""
import {{ confirmed }} from {json.dumps(CALLS.as_uri())};
const [row, times] = JSON.parse(process.argv[1]);
process.stdout.write(JSON.stringify(confirmed(row, times)));
"""


def choice(times: dict[str, float], default: str = "simd") -> dict[str, object]:
    """The row after timing: ms a call by candidate."""
    row = {"choice": "other", "default": default, "size": 8}
    given = json.dumps([row, {name: {"fast": ms, "median": 1.02 * ms} for name, ms in times.items()}])
    decided = node.evaluate(SCRIPT, given)
    assert isinstance(decided, dict)
    return decided


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"js": 3.0, "simd": 1.0, "other": 0.98}, "simd"),  # by luck, as like as not
        ({"js": 3.0, "simd": 1.0, "other": 0.9}, "other"),
        ({"js": 0.5, "simd": 1.0, "other": 0.9}, "js"),
        ({"js": 1.0, "simd": 1.02}, "simd"),
        ({"js": 3.0, "other": 0.9}, "other"),  # the safe default does not work here
    ],
)
def test_only_what_is_clearly_faster_displaces_the_safe_default(
    times: dict[str, float], expected: str
) -> None:
    decided = choice(times)
    assert decided["choice"] == expected
    assert decided["source"] == "measured"
    assert decided["speedup"] == pytest.approx(times["js"] / times[expected])
