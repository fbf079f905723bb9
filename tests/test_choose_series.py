"""One rule in two languages, over the same series, recorded on a busy machine.

`python tests/benchmarks/choose.py --record --jobs sha256,fft,deflate` made them in three engines: 30 interleaved
batches of everything, at a load of 18 on two cores. What the rule chooses is judged by the faster half of all batches,
most of which it did not ask for.
"""

from __future__ import annotations

import json
import math
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests import node

from fleetune.rounds import FIRST, MOST, Rounds
from fleetune.stats import Series

HERE = Path(__file__).parent
Recorded = dict[str, dict[str, Any]]
RECORDED: dict[str, Recorded] = json.loads((HERE / "recorded" / "choose_series.json").read_text())
ALIKE = 1.05
RULES: dict[str, dict[str, Any]] = {
    "choose": {"first": FIRST, "most": MOST},
    "benchmark": {"first": 5, "most": 15},  # Python's in a page: everybody has five batches, for reports
}


def made_up(seed: int) -> Recorded:
    """Series with drifts, slow starts, changes for the worse, jumps of a coarse clock, and times of nothing."""
    rng = random.Random(seed)
    step = rng.choice((0.0, 0.001, 0.05, 1.0))
    series: Recorded = {}
    for i in range(rng.randint(1, 6)):
        ms, noise = rng.choice((1.0, 1.02, 1.2, 5.0, 0.3)), rng.choice((0.0, 0.01, 0.3))
        late, worse = rng.choice((0, 0, 4)), rng.choice((40, 40, 9))
        batches = [
            ms * (4 if k < late else 1) * (3 if k >= worse else 1) * (1 + noise * rng.expovariate(1))
            for k in range(40)
        ]
        if step:
            batches = [max(0.0, math.floor(one / step + rng.random()) * step) for one in batches]
        series[f"c{i}"] = {"ms": batches, "quantum": step}
    return series


@cache
def everything() -> dict[str, Recorded]:
    return RECORDED | {f"made up {seed}": made_up(seed) for seed in range(150)}


@cache
def javascript(rule: str) -> dict[str, Any]:
    """What shared/rounds.js says, with the first as the reference and the last as the one in use."""
    asked = json.dumps({"series": everything(), "options": RULES[rule]})
    answers: dict[str, Any] = json.loads(node.run(HERE / "rounds_in_node.mjs", input=asked))
    return answers


def python(rule: str, series: Recorded, current: str) -> dict[str, Any]:
    """What fleetune.rounds says."""
    names = list(series)
    made = {name: Series([], one["quantum"]) for name, one in series.items()}
    used = dict.fromkeys(names, 0)
    rounds = Rounds(made, random.Random(7).shuffle, names[0], current, **RULES[rule])
    while order := rounds.order():
        for name in order:
            ms = series[name]["ms"]
            made[name].add(ms[used[name] % len(ms)])
            used[name] += 1
    answer = rounds.answer()
    return {
        "choice": answer.choice,
        "verdict": answer.verdict,
        "ratio": answer.ratio,
        "error": answer.error,
        "used": used,
    }


@pytest.mark.parametrize("rule", RULES)
def test_both_languages_ask_for_the_same_batches_and_give_one_answer(rule: str) -> None:
    verdicts = set()
    for place, series in everything().items():
        for current in (next(iter(series)), list(series)[-1]):
            ours, theirs = python(rule, series, current), javascript(rule)[place][current]
            assert ours["used"] == theirs["used"], (place, current)
            assert (ours["choice"], ours["verdict"]) == (theirs["choice"], theirs["verdict"]), (
                place,
                current,
            )
            for key in ("ratio", "error"):
                other = math.inf if theirs[key] is None else theirs[key]
                assert ours[key] == pytest.approx(other, rel=1e-9, abs=1e-12), (place, current)
            verdicts.add(ours["verdict"])
    assert verdicts == {"changed", "unchanged", "unsure"}


def cost(series: Recorded, chosen: str) -> float:
    """Time of the one chosen ÷ that of the fastest, over everything that was recorded."""
    times = {name: sorted(one["ms"])[: len(one["ms"]) // 2] for name, one in series.items()}
    means = {name: sum(faster) / len(faster) for name, faster in times.items()}
    return float(means[chosen] / min(means.values()))


@pytest.mark.parametrize(("rule", "least"), [("choose", 34), ("benchmark", 32)])
def test_the_rule_finds_the_fastest_in_series_of_a_busy_machine(rule: str, least: int) -> None:
    chosen = {place: python(rule, series, next(iter(series)))["choice"] for place, series in RECORDED.items()}
    costs = {place: cost(RECORDED[place], one) for place, one in chosen.items()}
    assert len(costs) == 36
    assert sum(one <= ALIKE for one in costs.values()) >= least, {k: v for k, v in costs.items() if v > ALIKE}


def test_it_chooses_what_is_clearly_the_fastest() -> None:
    clear = []
    for place, series in RECORDED.items():
        every = {name: sorted(one["ms"]) for name, one in series.items()}
        best = min(every, key=lambda name: every[name][15])
        # Two thirds of its batches are faster than every batch of any other.
        if all(every[best][20] < every[name][0] for name in every if name != best):
            clear.append((place, best))
    assert len(clear) >= 3
    for rule in RULES:
        assert [
            (place, python(rule, RECORDED[place], next(iter(RECORDED[place])))["choice"])
            for place, _ in clear
        ] == clear
