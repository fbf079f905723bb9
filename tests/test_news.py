"""What a new model changed here: only changed choices are news, with the gain that this device measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests import node

WEB = Path(__file__).resolve().parents[1] / "browser" / "web"
SCRIPT = """
globalThis.location = { search: process.argv[2], href: "https://fleetune.test/" };
const [log, version] = [[], []];
globalThis.HTMLElement = class {
  parts = [];
  constructor(name) { this.name = name; }
  setAttribute() {}
  append(...parts) { this.parts.push(...parts); }
  prepend(item) { log.push(item); }
  replaceChildren(...parts) { version.push(parts); }
};
globalThis.document = { querySelector: () => new HTMLElement(), createElement: (name) => new HTMLElement(name) };
const { View } = await import("./page/view.js");
const { liveSwap } = await import("./page/news.js");
const { models, measured } = JSON.parse(process.argv[1]);
const view = new View();
view.predict(models[0]);
for (const result of measured) view.measure(result);
const news = view.predict(models[1]);
liveSwap({ from: models[0].version, to: models[1].version }, news);
const block = (node) => node.name === "ul"; // each of its items has a line, and so has it itself
const between = (node) => ([node, ...node.parts].some(block) ? "\\n" : "");
const text = (node) => (typeof node === "string" ? node : node.parts.map(text).join(between(node)));
console.log(JSON.stringify({ news, log: log.map(text), version }));
"""


def model(version: int, **choices: str) -> dict[str, Any]:
    """A model's decisions for one size each: `a` is as fast as JavaScript, `b` twice and `c` three times."""
    speedups = {"js": 1, "a": 1, "b": 2, "c": 3}
    kernels = {
        name: {
            "random": [
                {"size": 4096, "choice": choice, "speedup": speedups[choice], "low": 1, "high": 4}
                | {"source": "predicted", "candidates": speedups}
            ]
        }
        for name, choice in choices.items()
    }
    return {"version": version, "kernels": kernels}


def measured(kernel: str, choice: str, **speedups: float) -> dict[str, Any]:
    candidates = {name: {"ok": True, "speedup": speed, "spread": 0.0} for name, speed in speedups.items()}
    context = {"pattern": "random"}
    return {"kernel": kernel, "size": 4096, "context": context, "candidates": candidates} | {
        "choice": choice, "source": "measured", "first": "a", "heuristic": "a", "why": ""
    }  # fmt: skip


def told(
    before: dict[str, Any], after: dict[str, Any], *results: dict[str, Any], language: str = "en"
) -> dict[str, Any]:
    world = {"models": [before, after], "measured": results}
    answer: dict[str, Any] = node.evaluate(SCRIPT, json.dumps(world), f"?lang={language}", cwd=WEB)
    return answer


def test_a_version_that_changes_no_choice_is_no_news() -> None:
    same = told(model(3, sort="a", dot="b"), model(4, sort="a", dot="b"))
    assert same["log"] == []
    assert same["version"] == [["3 → 4"]]


def test_changed_choices_are_named_with_what_the_new_model_expects() -> None:
    (entry,) = told(model(3, sort="a", dot="b"), model(4, sort="c", dot="b"))["log"]
    assert "model 3 → 4. 1 of 2 choices changed for your browser." in entry
    assert "sort, random, size 4,096: a → c, which the new model expects to be 3.00× as fast." in entry
    assert "dot" not in entry


def test_where_this_device_measured_both_its_own_figure_is_given() -> None:
    result = measured("sort", "b", js=1.0, a=2.0, b=3.0, c=2.5)
    (entry,) = told(model(3, sort="a"), model(4, sort="c"), result)["log"]
    assert "a → c, which you measured to be 1.25× as fast. What you measured stays in use." in entry
    (unmeasured,) = told(model(3, sort="a"), model(4, sort="c"), measured("sort", "b", js=1.0, b=3.0))["log"]
    assert "size 4,096: a → c." in unmeasured, "c was not measured here, so nothing is said of its speed"


def test_the_greatest_differences_come_first_and_the_rest_is_counted() -> None:
    names = [f"kernel{i}" for i in range(7)]
    old = dict.fromkeys(names, "a") | {"slow": "b"}
    new = dict.fromkeys(names, "b") | {"slow": "c"}
    (entry,) = told(model(3, **old), model(4, **new), language="ru")["log"]
    lines = entry.splitlines()
    assert lines[-1] == "И ещё 3."
    assert len(lines) == 1 + 5 + 1
    assert "slow" not in entry, "3 over 2 is less than 2 over 1"
