"""A report's life: chosen, fixed at preview, paid for, sent with patience, remembered, withdrawn at once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest
from tests import tiny
from tests.browsers import MANIFEST, REVISION, Browser, Tab, measured, model

from fleetune.app import handlers
from fleetune.app.delivery import MAX_RETRY_AFTER, ReportError
from fleetune.app.ledger import Ledger
from fleetune.app.platform import NetworkError, Response
from fleetune.app.report import draw, reportable
from fleetune.app.session import Session
from fleetune.packet import DAY, decode, legal_values
from fleetune.privacy import system_entropy


async def nothing_leaves(browser: Browser) -> bool:
    shown = await browser.tab.preview(model(), measured())
    with pytest.raises(ReportError):
        await browser.tab.send()
    return shown["packet"] is None and not browser.server.requests


async def test_nothing_leaves_before_consent() -> None:
    browser = Browser()
    assert await nothing_leaves(browser)
    assert browser.store.values == {}, "not even the ledger is written"
    for change in ({"choice": "off"}, {"revision": 2}, {"epsilon": 99}):
        await browser.choose(**{"choice": "on", **change})  # type: ignore[arg-type]
        assert await nothing_leaves(browser)
    await browser.choose()
    browser.gpc = True
    assert await nothing_leaves(browser)
    assert (await browser.tab.preview(model(), measured()))["reason"] == {
        "code": "consent",
        "cause": "gpc",
        "message": "This browser sends the Global Privacy Control signal, so telemetry stays off.",
    }


async def test_the_packet_sent_is_the_packet_shown() -> None:
    browser = Browser()
    await browser.choose()
    shown = await browser.tab.preview(model(), measured())
    assert shown["kept"] is False
    assert {field["name"] for field in shown["fields"]} >= {"actualSpeedups", "nonce"}
    sent = await browser.tab.send()
    assert sent == {"ok": True, "status": 202, "body": '{"accepted":1,"duplicates":0}'}
    assert browser.posts() == [shown["text"].encode()]
    assert json.loads(shown["text"]) == shown["packet"]
    assert browser.server.requests[0][1] == "/api/telemetry"


async def test_strict_leaves_the_architecture_out() -> None:
    for epsilon, arch in ((2.0, "x86"), (1.0, None)):
        browser = Browser()
        await browser.choose(epsilon=epsilon)
        packet = (await browser.tab.preview(model(), measured()))["packet"]
        assert packet["environment"].get("arch") == arch


async def test_looking_again_draws_nothing_new() -> None:
    """In any tab, after a reload, with other measurements, after a change of mind, at either strength."""
    browser = Browser()
    await browser.choose()
    first = (await browser.tab.preview(model(), measured()))["text"]
    for _ in range(5):
        assert (await browser.open().preview(model(), measured()))["text"] == first
    one = dict(list(measured().items())[:1])
    assert (await browser.tab.preview(model(), one))["text"] == first
    await browser.choose(epsilon=1.0)
    strict = (await browser.tab.preview(model(), measured()))["text"]
    assert decode(strict.encode()).epsilon == 1.0
    await browser.choose("off")
    await browser.tab.preview(model(), measured())
    await browser.choose()
    assert (await browser.tab.preview(model(), measured()))["text"] == first
    await browser.choose(epsilon=1.0)
    assert (await browser.tab.preview(model(), measured()))["text"] == strict


async def test_a_draft_shown_on_a_later_day_changes_its_day_alone() -> None:
    browser = Browser()
    await browser.choose()
    first = (await browser.tab.preview(model(), measured()))["packet"]
    browser.time += 2 * DAY
    assert (await browser.tab.preview(None, {}))["packet"] == {
        **first,
        "timestamp": first["timestamp"] + 2 * DAY,
    }


async def test_a_new_model_needs_a_new_draft() -> None:
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())
    packet = (await browser.tab.preview(model(2), measured()))["packet"]
    assert packet["modelVersion"] == 2


async def test_no_raw_timing_is_in_the_packet() -> None:
    browser = Browser()
    await browser.choose()
    text = (await browser.tab.preview(model(), measured()))["text"]
    for sentinel in ("0271828", "0161803", "41421", "55555", "73205"):
        assert sentinel not in text
    packet = decode(text.encode())
    kernel = MANIFEST.by_signature[packet.profile_signature]
    base = model().predict(kernel, packet.context, packet.environment, [packet.variant]).mean[0]
    assert packet.speedup in legal_values(float(base), model().clip_at(kernel, packet.environment), 2.0)
    assert packet.timestamp % DAY == 0


async def test_every_context_and_variant_is_as_likely() -> None:
    choices, draws = reportable(MANIFEST, measured()), 3_000
    assert [(one.kernel.name, one.variant) for one in choices] == [
        ("dot", "scalar"),
        ("dot", "vectorization"),
        ("saxpy", "scalar"),
    ]
    trained = model()
    seen = Counter(
        (kernel.name, packet.variant)
        for kernel, packet in (
            draw(choices, trained, tiny.ENVIRONMENT, 2.0, 20_780, system_entropy) for _ in range(draws)
        )
    )
    chi2 = sum((count - draws / 3) ** 2 / (draws / 3) for count in seen.values())
    assert len(seen) == 3
    assert chi2 < 28, "chi-squared with 2 degrees of freedom: beyond this about once in a million"


async def test_the_budget_allows_one_a_day() -> None:
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())
    assert (await browser.tab.send())["ok"]
    shown = await browser.tab.preview(model(), measured())
    assert shown["packet"] is None
    assert shown["reason"]["code"] == "budget"
    assert "in 1 day." in shown["reason"]["message"]
    with pytest.raises(ReportError, match="look at it first"):
        await browser.tab.send()
    browser.time += DAY
    await browser.tab.preview(model(), measured())
    assert (await browser.tab.send())["ok"]
    assert len(set(browser.posts())) == 2


async def test_five_tabs_that_send_at_once_send_one_packet() -> None:
    browser = Browser()
    await browser.choose()
    tabs = [browser.open() for _ in range(5)]
    shown = await asyncio.gather(*(tab.preview(model(), measured()) for tab in tabs))
    assert len({one["text"] for one in shown}) == 1
    results = await asyncio.gather(*(tab.send() for tab in tabs), return_exceptions=True)
    assert sum(isinstance(result, ReportError) for result in results) == 4
    assert len(browser.posts()) == 1


async def test_a_budget_spent_elsewhere_stops_a_draft() -> None:
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())
    await Ledger(browser.store).spend(browser.time, 2.0, 1)
    with pytest.raises(ReportError, match="budget"):
        await browser.tab.send()
    assert not browser.server.requests


async def test_a_busy_server_is_given_the_time_it_asks_for() -> None:
    browser = Browser()
    await browser.choose()
    shown = await browser.tab.preview(model(), measured())
    answers: list[Response | NetworkError] = [
        Response(503, {"retry-after": "17"}),
        NetworkError("gone"),
        Response(429, {"retry-after": "3"}),
    ]

    async def busy(method: str, path: str, body: bytes) -> Response:
        if not answers:
            return await browser.server.answer(method, path, body)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    browser.answer = busy
    assert (await browser.tab.send())["ok"]
    assert browser.posts() == [shown["text"].encode()] * 4, "the same bytes each time"
    platform = browser.tab.platform
    assert isinstance(platform, Tab)
    assert 17 + 2 + 4 <= sum(platform.slept) <= 17 + 4 + 8, "what it asked for, then doubling with jitter"
    assert (await browser.tab.history())["budget"]["spent"] == 2.0, "retries cost nothing"


async def test_a_server_that_asks_for_long_is_left_alone_and_the_packet_waits() -> None:
    browser = Browser()
    await browser.choose()
    shown = await browser.tab.preview(model(), measured())

    async def closed(method: str, path: str, body: bytes) -> Response:
        return Response(503, {"retry-after": str(int(MAX_RETRY_AFTER) + 1)}, b"closed")

    browser.answer = closed
    assert await browser.tab.send() == {"ok": False, "status": 503, "body": "closed"}
    assert len(browser.posts()) == 1
    browser.answer = browser.server.answer
    reloaded = browser.open()
    browser.time += DAY
    assert (await reloaded.preview(model(2), {}))["text"] == shown["text"]
    assert (await reloaded.send())["ok"]
    assert (await reloaded.history())["budget"]["spent"] == 2.0, "paid for once"


async def test_an_unreachable_server_keeps_the_packet() -> None:
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())

    async def gone(method: str, path: str, body: bytes) -> Response:
        raise NetworkError("no route")

    browser.answer = gone
    with pytest.raises(NetworkError, match="the packet is kept"):
        await browser.tab.send()
    assert (await browser.tab.preview(model(), measured()))["kept"] is True
    browser.answer = browser.server.answer
    assert (await browser.tab.send())["ok"]
    assert len(set(browser.posts())) == 1


async def test_a_refused_packet_is_not_sent_again() -> None:
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())

    async def refuse(method: str, path: str, body: bytes) -> Response:
        return Response(422, {}, b'{"error":{"code":"stale"}}')

    browser.answer = refuse
    assert (await browser.tab.send())["status"] == 422
    with pytest.raises(ReportError):
        await browser.tab.send()
    assert [entry["state"] for entry in (await browser.tab.history())["sent"]] == ["refused"]


async def test_history_keeps_everything_ever_sent() -> None:
    browser = Browser()
    await browser.choose()
    texts = []
    for _ in range(3):
        texts.append((await browser.tab.preview(model(), measured()))["text"])
        await browser.tab.send()
        browser.time += DAY
    history = await browser.open().history()
    assert [entry["text"] for entry in history["sent"]] == texts[::-1]
    newest = history["sent"][0]
    packet = decode(texts[-1].encode())
    assert (newest["nonce"], newest["candidate"], newest["value"]) == (
        packet.nonce,
        packet.variant,
        packet.speedup,
    )
    assert (newest["day"], newest["state"]) == ("2026-11-25", "sent")


async def test_the_page_reaches_all_this_through_the_operations() -> None:
    browser = Browser()
    session = Session(browser.tab.platform, MANIFEST, tiny.ENVIRONMENT, {"policyRevision": REVISION})
    assert (await handlers.call(session, "preview", {}))["value"]["reason"]["cause"] == "undecided"
    assert (await handlers.call(session, "send", {}))["error"]["name"] == "ReportError"
    await browser.choose()
    session.measured = measured()
    assert (await handlers.call(session, "preview", {}))["value"]["reason"]["code"] == "model", "no model yet"
    shown = await browser.tab.preview(model(), measured())
    assert (await handlers.call(session, "preview", {}))["value"]["text"] == shown["text"]
    assert (await handlers.call(session, "send", {}))["value"]["ok"]
    assert len((await handlers.call(session, "history", {}))["value"]["sent"]) == 1
    assert (await handlers.call(session, "withdraw", {}))["value"] == {"removed": 1, "late": 0}
    assert (await handlers.call(session, "satisfaction", {"good": 1}))["error"]["name"] == "RequestError"
    await browser.store.set("ledger", "broken")
    await browser.store.delete("reports")
    assert (await handlers.call(session, "preview", {}))["error"]["name"] == "LedgerError"
