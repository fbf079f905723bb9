"""What the page says about telemetry before Python runs, held to what Python itself counts and keeps."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests import node
from tests.browsers import REVISION, Browser, measured, model

from fleetune.app.delivery import StoppedError
from fleetune.app.ledger import Ledger
from fleetune.app.outbox import Box
from fleetune.app.platform import Response
from fleetune.packet import DAY
from fleetune_research.fleet.http import MemoryStore

WEB = Path(__file__).resolve().parents[1] / "browser" / "web"
KEYS = ("consent", "ledger", "reports", "answers", "feedbackLedger", "measurements")
GARBAGE: tuple[Any, ...] = (
    "",
    "text",
    0,
    7,
    True,
    [],
    [1],
    {},
    {"a": 1},
    {"spent": 3},
    {"history": 5},
    [None],
)


def page(
    stores: list[dict[str, Any]], now: float, revision: int | str | None = REVISION
) -> list[dict[str, Any]]:
    """For each store: the page's state and its sentences; a revision that is a text was not asked for yet."""
    script = """
    globalThis.location = { search: "" };
    const { understand, statements } = await import("./page/privacy_state.js");
    const [stores, now, revision] = JSON.parse(process.argv[1]);
    console.log(JSON.stringify(stores.map((stored) => {
      const state = understand(stored, now);
      return { state, says: statements(state, revision === "unasked" ? undefined : revision) };
    })));"""
    found: list[dict[str, Any]] = node.evaluate(script, json.dumps([stores, now, revision]), cwd=WEB)
    return found


async def kept(browser: Browser) -> dict[str, Any]:
    return {key: await browser.store.get(key) for key in KEYS}


async def test_the_page_counts_the_budget_as_python_does() -> None:
    """Random ledgers: clocks set back, days at the edge of the window, nearly full."""
    draw = random.Random(23)
    stores: list[dict[str, Any]] = []
    expected = []
    today = 20_000
    for _ in range(200):
        latest = today + draw.choice([-45, -30, -29, -1, 0, 0, 3])
        count = draw.choice([0, 1, 5, 29, 40])
        spent = [[latest - draw.randint(0, 33), draw.choice([1.0, 2.0])] for _ in range(count)]
        epsilon = draw.choice([1.0, 2.0])
        consent = {"choice": "on", "revision": REVISION, "epsilon": epsilon, "perDay": 1, "at": 0}
        stores.append({"consent": consent, "ledger": {"day": latest, "spent": spent}})
        memory = MemoryStore()
        await memory.set("ledger", stores[-1]["ledger"])
        budget = await Ledger(memory).budget(today * DAY + 5, epsilon, 1)
        expected.append((budget.spent, budget.cap, budget.today))
    found = [one["state"]["budget"] for one in page(stores, today * DAY + 5)]
    assert [(one["spent"], one["cap"], one["today"]) for one in found] == expected
    assert any(one["full"] for one in found)


async def test_the_page_tells_every_stage_of_a_report_as_the_store_has_it() -> None:
    browser = Browser()
    await browser.choose()
    stages = [await kept(browser)]
    await browser.store.set("measurements", {"cells": [{}]})
    shown = await browser.tab.preview(model(), measured())
    stages.append(await kept(browser))
    await browser.tab._pay()
    stages.append(await kept(browser))
    await browser.tab.send()
    stages.append(await kept(browser))
    await browser.tab.withdraw()
    stages.append(await kept(browser))
    await browser.choose("off")
    stages.append(await kept(browser))
    said = page(stages, browser.time)
    assert [one["says"]["packet"][0] for one in said] == [
        "packet.hint", "packet.prepare", "packet.kept", "packet.spent", "packet.spent", "packet.needConsent",
    ]  # fmt: skip
    assert said[2]["state"]["kept"] == shown["text"] == said[3]["state"]["sent"][0]["text"]
    assert [[item["state"] for item in one["state"]["sent"]] for one in said] == [
        [], [], ["sending"], ["sent"], ["withdrawn"], ["withdrawn"],
    ]  # fmt: skip
    assert [one["says"]["budget"][0] for one in said] == ["budget.empty"] * 2 + ["budget.text"] * 4
    assert said[-1]["says"]["withdrawal"] == ["withdraw.done", {"removed": 1, "late": 0}]
    assert [one["says"]["on"] for one in said] == [True] * 5 + [False]


@pytest.mark.parametrize("key", KEYS)
def test_nothing_that_is_stored_breaks_the_page_nor_makes_it_claim_what_it_cannot_know(key: str) -> None:
    for said, garbage in zip(page([{key: one} for one in GARBAGE], 1e9), GARBAGE, strict=True):
        assert said["says"]["on"] is False, garbage
        if key == "ledger":
            assert said["says"]["budget"] == ["budget.unreadable"], garbage
        if key == "reports" and garbage not in ({}, {"a": 1}, {"spent": 3}, "", 0):
            assert said["state"]["dropped"] > 0, garbage


def entry(nonce: str, state: str) -> dict[str, Any]:
    texts = {"day": "2026-11-23", "kernel": "dot", "candidate": "scalar", "text": "{}"}
    return {"nonce": nonce, "state": state, "value": 1.5, "epsilon": 2.0, **texts}


def test_stored_entries_that_do_not_fit_are_left_out_and_the_others_stay() -> None:
    good = entry("a", "sent")
    several: tuple[Any, ...] = (None, 5, [], {}, {**good, "value": "fast"}, {**good, "text": None})
    for broken in several:
        assert Box({"history": [broken, good], "drafts": broken, "waiting": broken}).to_json() == {
            "drafts": {},
            "waiting": None,
            "history": [good],
        }


YES = {"choice": "on", "revision": REVISION, "epsilon": 2.0, "perDay": 1, "at": 0}
DATE = 20_000


@pytest.mark.parametrize(
    ("record", "revision", "words", "on"),
    [
        (None, REVISION, "consent.undecided", False),
        (YES, REVISION, "consent.on", True),
        ({**YES, "choice": "off"}, REVISION, "consent.off", False),
        ({**YES, "epsilon": 9}, REVISION, "consent.malformed", False),
        (YES, REVISION + 1, "consent.revised", False),
        (YES, "unasked", "consent.checking", False),
        (YES, None, "consent.unknown", False),
    ],
)
def test_the_page_says_why_telemetry_is_on_or_off(
    record: dict[str, Any] | None, revision: int | str | None, words: str, on: bool
) -> None:
    (said,) = page([{"consent": record}], DATE * DAY, revision)
    assert (said["says"]["consent"][0], said["says"]["on"]) == (words, on)
    if not on:
        assert said["says"]["packet"] == ["packet.needConsent"]


def test_a_full_month_is_said_and_frees_a_report_when_its_oldest_day_leaves_it() -> None:
    spent = [[DATE - 29 + n, 2.0] for n in range(29)] + [[DATE - 1, 2.0]]  # of a time with two a day
    stored = {"consent": YES, "ledger": {"day": DATE, "spent": spent}, "measurements": {"cells": [{}]}}
    (full,), (freed,) = page([stored], DATE * DAY), page([stored], (DATE + 1) * DAY)
    assert full["says"]["packet"] == ["packet.full"]
    assert freed["says"]["packet"] == ["packet.prepare"]


# What the server says to a report that is not simply taken; one of them while telemetry is switched off.
REPLIES = {
    "sending": Response(503, {"retry-after": "100000"}),
    "stopped": Response(503, {"retry-after": "1"}),
    "refused": Response(422, {}, b"{}"),
}


async def ended(fate: str) -> Browser:
    """A browser whose one report came to this, by what Python does."""
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())

    async def reply(method: str, path: str, body: bytes) -> Response:
        if fate == "stopped":
            await browser.choose("off")
        return REPLIES[fate]

    if fate in REPLIES:
        browser.answer = reply
    if fate == "dropped":
        await browser.tab._pay()
    else:
        with contextlib.suppress(StoppedError):
            await browser.tab.send()
    if fate == "late":
        browser.server.folded |= browser.server.kept.keys()
        browser.server.kept.clear()
    if fate in ("withdrawn", "late", "dropped"):
        await browser.tab.withdraw()
    return browser


async def test_every_fate_of_a_report_is_told_in_words_of_its_own() -> None:
    words = node.evaluate("console.log(JSON.stringify((await import('./words/en.js')).default))", cwd=WEB)
    fates = [key.removeprefix("fate.") for key in words if key.startswith("fate.")]
    browsers = [await ended(fate) for fate in fates]
    said = page([await kept(browser) for browser in browsers], browsers[0].time)
    assert [[item["state"] for item in one["state"]["sent"]] for one in said] == [[fate] for fate in fates]
    held = [len(browser.server.kept) for browser in browsers]
    assert dict(zip(fates, held, strict=True))["sent"] == 1
    assert sum(held) == 1, "what was withdrawn or refused is not there"
