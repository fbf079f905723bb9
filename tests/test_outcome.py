"""The result that a run ends with, held to the same figures computed here from the exported table."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import node

WEB = Path(__file__).resolve().parents[1] / "browser" / "web"
SCRIPT = """
globalThis.location = { search: "", href: "https://fleetune.test/" };
globalThis.document = { baseURI: location.href, readyState: "complete", querySelectorAll: () => [], documentElement: {}, querySelector: () => null };
globalThis.fetch = async () => { throw new Error("no network"); };
process.on("unhandledRejection", () => {}); // the page's other parts have no page here
const { outcomeOf, exported } = await import("./page/outcome.js");
const rows = JSON.parse(process.argv[1]);
console.log(JSON.stringify({ outcome: outcomeOf(rows), json: rows.length && exported(rows, "json"), csv: rows.length && exported(rows, "csv") }));
process.exit(0);
"""  # noqa: E501


def found(rows: list[dict[str, Any]]) -> dict[str, Any]:
    answer: dict[str, Any] = node.evaluate(SCRIPT, json.dumps(rows), cwd=WEB)
    return answer


def row(kernel: str, size: int, speeds: dict[str, float], choice: str, usual: str) -> dict[str, Any]:
    candidates = {name: {"measured": speed, "spread": 0.01, "ok": True} for name, speed in speeds.items()}
    return {
        "kernel": kernel,
        "pattern": "random",
        "size": size,
        "candidates": candidates,
        "choice": choice,
        "heuristic": usual,
        "measured": True,
        "headline": True,
    }


def world(seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    rows = []
    for k in range(12):
        for size in (64, 512, 4096)[: draw.randint(1, 3)]:
            speeds = {"js": 1.0, "js-tuned": draw.uniform(0.7, 3), "scalar": draw.uniform(0.5, 4)}
            speeds["vectorization"] = draw.uniform(0.5, 9)
            rows.append(row(f"k{k}", size, speeds, max(speeds, key=lambda n: speeds[n]), "vectorization"))
    return rows


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_headline_is_over_the_better_javascript_and_follows_from_the_exported_table(seed: int) -> None:
    answer = found(world(seed))
    cells: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for record in csv.DictReader(io.StringIO(answer["csv"])):
        cells.setdefault((record["function"], record["size"]), {})[record["candidate"]] = record
    logs: dict[str, list[float]] = {}
    for (kernel, _), candidates in cells.items():
        better = max(float(candidates[name]["speedup"]) for name in ("js", "js-tuned"))
        (chosen,) = (one for one in candidates.values() if one["chosen"] == "true")
        logs.setdefault(kernel, []).append(math.log(float(chosen["speedup"]) / better))
    means = np.array([np.mean(one) for one in logs.values()])
    assert answer["outcome"]["speedup"] == pytest.approx(math.exp(means.mean()))
    low, high = answer["outcome"]["interval"]
    resampled = np.random.default_rng(5).choice(means, (20_000, len(means))).mean(axis=1)
    assert (low, high) == pytest.approx(tuple(np.exp(np.quantile(resampled, [0.025, 0.975]))), rel=0.05)
    assert json.loads(answer["json"])["result"] == answer["outcome"]


def test_functions_that_the_usual_rule_serves_badly_are_counted_once() -> None:
    rows = [
        row("a", 1, {"js": 1, "scalar": 4, "vectorization": 2}, "scalar", "vectorization"),
        row("a", 2, {"js": 1, "scalar": 8, "vectorization": 2}, "scalar", "vectorization"),
        row("b", 1, {"js": 1, "scalar": 1, "vectorization": 2}, "vectorization", "vectorization"),
        row("c", 1, {"js": 1, "scalar": 2.04, "vectorization": 2}, "scalar", "vectorization"),
    ]
    outcome = found(rows)["outcome"]
    assert (outcome["kernels"], outcome["contexts"], outcome["other"]) == (3, 4, 1)
    assert outcome["gain"] == pytest.approx(math.sqrt(2 * 4))


def test_the_result_is_made_of_its_own_contexts_alone() -> None:
    rows = [row(kernel, 1, {"js": 1, "scalar": 2}, "scalar", "scalar") for kernel in "abc"]
    others = [
        row(kernel, 2, {"js": 1, "scalar": 9}, "scalar", "js") | {"headline": False} for kernel in "abcd"
    ]
    assert found(rows + others)["outcome"] == found(rows)["outcome"]
    assert found(others)["outcome"] is None
    exported = list(csv.DictReader(io.StringIO(found(rows + others)["csv"])))
    assert {line["function"] for line in exported if line["headline"] == "true"} == set("abc")


def test_too_few_functions_have_no_interval_and_nothing_measured_no_result() -> None:
    rows = [row("a", 1, {"js": 1, "js-tuned": 2, "scalar": 4}, "scalar", "scalar")]
    assert found(rows)["outcome"]["interval"] is None
    assert found(rows)["outcome"]["speedup"] == pytest.approx(2)
    assert found([])["outcome"] is None


EARLIER = """
const { View } = await import("./page/view.js");
const [seen, oldest] = JSON.parse(process.argv[1]);
const view = new View();
const entry = (choice) => ({ size: 64, choice, source: "predicted", candidates: { js: 1, scalar: 2 }, speedup: 1, low: 1, high: 1 });
const decisions = ([version, choice]) => ({ version, kernels: { dot: { random: [entry(choice)] } } });
view.predict(decisions(seen));
view.measure({ kernel: "dot", size: 64, context: { pattern: "random" }, candidates: {}, choice: "scalar", first: seen[1] });
view.compare(oldest === null ? undefined : decisions(oldest));
console.log(JSON.stringify([view.comparedWith ?? null, view.measuredRows()[0].before ?? null]));
"""  # noqa: E501


@pytest.mark.parametrize(
    ("oldest", "expected"),
    [([2, "js"], [2, "js"]), ([5, "scalar"], [0, None]), (None, [None, None])],
)
def test_an_earlier_model_is_compared_with_unless_the_server_has_none_or_was_not_asked(
    oldest: list[Any] | None, expected: list[Any]
) -> None:
    assert node.evaluate(EARLIER, json.dumps([[5, "scalar"], oldest]), cwd=WEB) == expected


POLICIES = """
const { policies } = await import("./page/view.js");
console.log(JSON.stringify(policies(JSON.parse(process.argv[1]))));
"""


def test_each_way_of_choosing_is_judged_by_what_was_measured() -> None:
    """Speedups as geometric means, shares of the best, and how often a choice is within 3 % of the best."""
    draw, rows = random.Random(9), world(9)
    for one in rows:
        one["first"] = draw.choice(list(one["candidates"]))
    judged = node.evaluate(POLICIES, json.dumps(rows), cwd=WEB)
    picks = {"js": "js", "heuristic": "vectorization"}
    for way in ("js", "heuristic", "first", "choice"):
        speeds = np.array([r["candidates"][picks.get(way) or r[way]]["measured"] for r in rows])
        best = np.array([max(c["measured"] for c in r["candidates"].values()) for r in rows])
        assert judged[way]["speedup"] == pytest.approx(np.exp(np.log(speeds).mean()))
        assert judged[way]["ofBest"] == pytest.approx(np.exp(np.log(speeds / best).mean()))
        assert judged[way]["near"] == (speeds >= 0.97 * best).sum()
    assert judged["choice"]["ofBest"] == judged["best"]["ofBest"] == 1
