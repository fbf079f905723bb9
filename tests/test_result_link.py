"""The result in a link and in a picture: what went in comes out, and what a stranger made up is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests import node

WEB = Path(__file__).resolve().parents[1] / "browser" / "web"
LINKS = """
const { linkOf, resultIn } = await import("./page/result_link.js");
const { links = [], results = [] } = JSON.parse(process.argv[1]);
const made = results.map((result) => linkOf(result));
const read = [...made, ...links].map((link) => resultIn(new URL(link, "https://fleetune.test/").hash));
console.log(JSON.stringify({ made, read }));
"""
PICTURE = """
globalThis.location = { search: "?lang=" + process.argv[2], href: "https://fleetune.test/" };
globalThis.document = { baseURI: location.href, readyState: "complete", querySelectorAll: () => [], documentElement: {}, querySelector: () => null };
globalThis.fetch = async () => { throw new Error("no network"); };
process.on("unhandledRejection", () => {}); // the page's other parts have no page here
const { picture } = await import("./page/result_picture.js");
process.stdout.write(JSON.stringify(picture(JSON.parse(process.argv[1]))), () => process.exit(0));
"""  # noqa: E501
GOOD = "#result=1;7;156;dot:2.41,sort:1.2:1.6;chromium"


def result(seed: int, functions: int) -> dict[str, Any]:
    draw = random.Random(seed)
    figures: list[dict[str, Any]] = []
    for k in range(functions):
        figures.append({"name": f"k{k}_{seed}", "speedup": 10 ** draw.uniform(-2, 3)})
        if draw.random() < 0.5:
            figures[-1]["gain"] = 10 ** draw.uniform(0.02, 2)
    contexts = functions * draw.randint(1, 18)
    return {
        "figures": figures,
        "contexts": contexts,
        "browser": draw.choice(["chromium", "firefox", "webkit", "other"]),
        "version": draw.choice([0, 26, 156]),
    }


def test_a_link_gives_back_what_it_was_made_of_and_stays_short() -> None:
    results = [result(seed, functions) for seed, functions in enumerate((1, 3, 28, 60))]
    answer = node.evaluate(LINKS, json.dumps({"results": results}), cwd=WEB)
    for before, link, after in zip(results, answer["made"], answer["read"], strict=True):
        assert [one["name"] for one in after["figures"]] == [one["name"] for one in before["figures"]]
        for old, new in zip(before["figures"], after["figures"], strict=True):
            del old["name"], new["name"]
            assert new == pytest.approx(old, rel=1e-4)
        assert {key: after[key] for key in after if key != "figures"} == {
            key: before[key] for key in before if key != "figures"
        }
        assert len(link) < 40 + 30 * len(before["figures"])


BROKEN = {
    "empty": "#result=",
    "no version": "#result=dot:2;chromium",
    "a version that never was": "#result=0;7;156;dot:2.41;chromium",
    "no functions": "#result=1;7;156;;chromium",
    "cut off in the browser": GOOD[:-3],
    "cut off in a figure": GOOD[: GOOD.index(";chromium")],
    "cut off in a name": GOOD[: GOOD.index("ort")],
    "something behind it": GOOD + ";more",
    "a foreign browser": GOOD.replace("chromium", "netscape"),
    "a prototype's name": GOOD.replace("chromium", "constructor"),
    "the same function twice": GOOD.replace("sort", "dot"),
    "no speed at all": GOOD.replace("2.41", "0"),
    "a negative speed": GOOD.replace("2.41", "-2"),
    "not a number": GOOD.replace("2.41", "NaN"),
    "for ever": GOOD.replace("2.41", "Infinity"),
    "an exponent": GOOD.replace("2.41", "1e9"),
    "a gain of nothing": GOOD.replace("1.6", "0"),
    "three numbers": GOOD.replace("1.6", "1.6:1.7"),
    "markup": GOOD.replace("dot", "<img src=x onerror=alert(1)>"),
    "markup, encoded": GOOD.replace("dot", "%3Cscript%3E"),
    "a percent sign that encodes nothing": GOOD.replace("dot", "%E0%A4%A"),
    "fewer contexts than functions": GOOD.replace("1;7", "1;1"),
    "contexts that are no number": GOOD.replace("1;7", "1;7.5"),
    "far too long": "#result=1;7;156;" + ",".join(f"f{i}:2" for i in range(5_000)) + ";chromium",
}


def test_broken_and_foreign_links_are_told_apart_and_none_is_believed() -> None:
    others = ["", "#", "#benchmark", "#results", "#resultlike=1"]
    newer = [GOOD.replace("#result=1", f"#result={version}") for version in (2, 10, 999)]
    encoded = GOOD.replace(";", "%3B").replace(":", "%3A").replace(",", "%2C")
    links = [GOOD, encoded, *others, *newer, *BROKEN.values()]
    read = node.evaluate(LINKS, json.dumps({"links": links}), cwd=WEB)["read"]
    assert read[0] == {
        "figures": [{"name": "dot", "speedup": 2.41}, {"name": "sort", "speedup": 1.2, "gain": 1.6}],
        "contexts": 7,
        "version": 156,
        "browser": "chromium",
    }
    assert read[1] == read[0], "some programs encode the signs of an address"
    assert read[2:7] == [None] * 5
    assert read[7:10] == ["newer"] * 3
    assert dict(zip(BROKEN, read[10:], strict=True)) == dict.fromkeys(BROKEN, "broken")


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_picture_is_an_image_by_itself_with_the_headline_and_a_bar_a_function(language: str) -> None:
    shown = result(3, 28)
    drawn = node.evaluate(PICTURE, json.dumps(shown), language, cwd=WEB)
    svg = ElementTree.fromstring(drawn)
    texts = ["".join(node.itertext()) for node in svg.iter("{http://www.w3.org/2000/svg}text")]
    means = [one["speedup"] for one in shown["figures"]]
    product = 1.0
    for mean in means:
        product *= mean ** (1 / len(means))
    headline = (f"{product:.2f}" if product < 10 else f"{product:.1f}") + "×"
    assert headline.replace(".", "," if language == "ru" else ".") in texts
    assert {one["name"] for one in shown["figures"]} <= set(texts)
    width, height = 1200, 630
    for node_ in svg.iter():
        assert 0 <= float(node_.get("x", 0)) < width
        assert 0 <= float(node_.get("y", 0)) < height
        assert not {"href", "onload", "src"} & set(node_.keys())
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
