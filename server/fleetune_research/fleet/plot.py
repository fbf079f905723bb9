"""A small line chart as SVG, written by hand: accuracy over reports on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 190, 30, 50
COLOURS = ("#0b6e4f", "#b3261e", "#3a5bd9", "#8a5a00", "#6b3fa0")


def chart(title: str, series: Mapping[str, Sequence[tuple[float, float]]], y_label: str) -> str:
    """An SVG of one line per series of (x > 0, y in 0 … 1); y below 0 is drawn at 0. Raises ValueError if
    empty."""
    xs = [x for points in series.values() for x, _ in points if x > 0]
    if not xs:
        raise ValueError("nothing to plot")
    low, high = math.floor(math.log10(min(xs))), math.ceil(math.log10(max(xs)))
    span = max(high - low, 1)

    def at(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low) / span * (WIDTH - LEFT - RIGHT)
        return LEFT + across, TOP + (1 - min(max(y, 0.0), 1.0)) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for tick in range(0, 101, 20):
        _, y = at(10**low, tick / 100)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick} %</text>')
    for power in range(low, high + 1):
        x, _ = at(10.0**power, 0)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 28}" text-anchor="middle">{10**power:,}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">reports (logarithmic) · {escape(y_label)}</text>')
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in points if x > 0)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = TOP + 14 + 18 * number
        parts.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{y - 9}" width="12" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 30}" y="{y}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
