"""A chart as inline SVG, read without scripts: the chosen build's speed by size, a line for each engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Protocol

from fleetune.manifest import Kernel
from fleetune_server.http.pages import function_words
from fleetune_server.http.pages.public_words import count, factor, place_name, say, times
from fleetune_server.training.public import Answer, Place

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 28, 60
LINES = 8  # colours, --line-1 …
DODGE = 7  # pixels between the points of one size
TICKS = tuple(step * 10**power for power in range(-2, 4) for step in (1, 2, 5))


class Told(Protocol):
    """An answer of today or of an earlier version."""

    @property
    def candidate(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def reports(self) -> int: ...
    @property
    def speedup(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def source_words(answer: Told, language: str) -> str:
    """Where a figure comes from."""
    return say(language, f"source.{answer.source}", count=count(answer.reports, language))


def cell(kernel: Kernel, row: Told, language: str) -> str:
    """The chosen build in plain words, its speed with the interval, and what that comes from."""
    words = escape(function_words.build(kernel, row.candidate, language))
    speed = times(row.speedup, language)
    between = f" ({factor(row.low, language)}–{factor(row.high, language)})" if row.low < row.high else ""
    return (
        f'<span title="{escape(row.candidate)}">{words}</span><small><strong>{speed}</strong>{between}</small>'
        f'<small class="source {row.source}">{source_words(row, language)}</small>'
    )


def chart(kernel: Kernel, rows: Sequence[Answer], language: str, number: int) -> str:
    """The chart of one kind of data; `number` tells the charts of a page apart."""
    sizes = sorted({row.size for row in rows})
    places = sorted({row.place for row in rows})
    low = min(0.8, *(row.low for row in rows)) / 1.06
    high = max(1.25, *(row.high for row in rows)) * 1.06

    def x(size: int, line: int = 0) -> float:
        step = (WIDTH - LEFT - RIGHT) / len(sizes)
        return LEFT + step * (sizes.index(size) + 0.5) + (line - (len(places) - 1) / 2) * DODGE

    def y(speed: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(speed / low) / math.log(high / low)

    parts = [_grid(x, y, sizes, low, high, language)]
    for line, place in enumerate(places):
        own = sorted((row for row in rows if row.place == place), key=lambda row: row.size)
        points = [(x(row.size, line), y(row.speedup), row) for row in own]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py, _ in points)
        colour = line % LINES + 1
        parts.append(f'<g class="line-{colour}"><polyline points="{path}"/>')
        for px, py, row in points:
            parts.append(
                f'<path d="M{px:.1f} {y(row.high):.1f}V{y(row.low):.1f}"/>{_mark(px, py, row, kernel, language)}'
            )
        parts.append("</g>")
    label = escape(
        say(language, "function.chart", pattern=function_words.pattern(rows[0].context.pattern, language))
    )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="chart-{number}">'
        f'<title id="chart-{number}">{label}</title>{"".join(parts)}</svg>{_legend(places, language)}'
    )


def _grid(
    x: Callable[[int], float],
    y: Callable[[float], float],
    sizes: Sequence[int],
    low: float,
    high: float,
    language: str,
) -> str:
    """Axes with their labels, a line at every tick, and where plain JavaScript is."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    ticks = [tick for tick in TICKS if low <= tick <= high]
    while len(ticks) > 9:
        ticks = [tick for i, tick in enumerate(ticks) if tick == 1 or i % 2]
    parts = [
        f'<path class="{"one" if tick == 1 else "grid"}" d="M{LEFT} {y(tick):.1f}H{right}"/>'
        f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}×</text>'
        for tick in ticks
    ]
    parts += [
        f'<text x="{x(size):.1f}" y="{bottom + 20}" text-anchor="middle">{count(size, language)}</text>'
        for size in sizes
    ]
    middle = (TOP + bottom) / 2
    parts += [
        f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>',
        f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{say(language, "chart.x")}</text>',
        f'<text x="14" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 14 {middle:.0f})">'
        f"{say(language, 'chart.y')}</text>",
        f'<text class="one" x="{right}" y="{y(1.0) - 5:.1f}" text-anchor="end">{say(language, "chart.one")}</text>',
    ]
    return "".join(parts)


def _mark(px: float, py: float, row: Answer, kernel: Kernel, language: str) -> str:
    words = say(
        language,
        "chart.point",
        place=place_name(row.place, language),
        size=count(row.size, language),
        build=function_words.build(kernel, row.candidate, language),
        speed=times(row.speedup, language),
        low=times(row.low, language),
        high=times(row.high, language),
        source=source_words(row, language),
    )
    title = f"<title>{escape(words)}</title>"
    if row.source == "reports":
        return f'<rect x="{px - 5:.1f}" y="{py - 5:.1f}" width="10" height="10">{title}</rect>'
    kind = ' class="empty"' if row.source == "prediction" else ""
    return f'<circle{kind} cx="{px:.1f}" cy="{py:.1f}" r="5">{title}</circle>'


def _legend(places: Sequence[Place], language: str) -> str:
    items = "".join(
        f'<li><svg class="chart swatch line-{line % LINES + 1}" viewBox="0 0 24 12" aria-hidden="true">'
        f'<path d="M0 6H24"/><circle cx="12" cy="6" r="4"/></svg>{escape(place_name(place, language))}</li>'
        for line, place in enumerate(places)
    )
    return f'<ul class="legend">{items}</ul><p class="hint">{say(language, "chart.legend")}</p>'
