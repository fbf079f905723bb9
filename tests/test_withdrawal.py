"""Withdrawal: at once, in every tab, in flight too; the server is asked to remove what it still can."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time

import pytest
from tests.browsers import Browser, Tab, measured, model

from fleetune.app.delivery import ReportError, StoppedError
from fleetune.app.platform import Response
from fleetune.app.report import APART
from fleetune.packet import DAY


async def send_some(browser: Browser, days: int) -> None:
    """A report a day; the last one today."""
    for number in range(days):
        browser.time += DAY if number else 0
        await browser.tab.preview(model(), measured())
        await browser.tab.send()


def deleted(browser: Browser) -> list[list[str]]:
    """The nonces of each request to delete."""
    bodies = [body for method, _path, body in browser.server.requests if method == "DELETE"]
    return [json.loads(body)["nonces"] for body in bodies]


async def test_withdrawal_removes_what_it_can_and_counts_what_it_cannot() -> None:
    browser = Browser()
    await browser.choose()
    await send_some(browser, 3)
    newest = list(browser.server.kept)[-1]
    await browser.choose("off")
    assert await browser.tab.withdraw() == {"removed": 1, "late": 2}
    assert deleted(browser) == [[newest]], "the others are sums by now: the server hears nothing of them"
    requests = len(browser.server.requests)
    assert await browser.tab.withdraw() == {"removed": 0, "late": 0}
    assert len(browser.server.requests) == requests, "nothing is left to ask"


@pytest.mark.parametrize("known", [True, False])
async def test_what_the_server_folded_before_its_time_is_late(known: bool) -> None:
    browser = Browser()
    await browser.choose()
    await send_some(browser, 1)
    (nonce,) = browser.server.kept
    del browser.server.kept[nonce]
    browser.server.folded = {nonce} if known else set()
    assert await browser.tab.withdraw() == {"removed": 0, "late": 1}


async def test_nothing_on_the_wire_joins_reports_that_are_withdrawn() -> None:
    """One request a report, each at a time of its own, and none about a report that is a sum by now."""
    browser = Browser()
    await browser.choose(perDay=10)
    await send_some(browser, 10)
    for _ in range(3):
        await browser.tab.preview(model(), measured())
        await browser.tab.send()
    mine = list(browser.server.kept)[-4:]
    tab = browser.open()
    assert isinstance(tab.platform, Tab)
    assert await tab.withdraw() == {"removed": 4, "late": 9}
    assert deleted(browser) == [[nonce] for nonce in mine]
    pauses = tab.platform.slept
    assert len(pauses) == 3
    assert all(APART[0] <= pause <= APART[1] for pause in pauses)
    assert len(set(pauses)) == 3, "drawn, not fixed"


@pytest.mark.parametrize(("hours", "asked"), [(1, 1), (5, 1), (8, 0), (24, 0)])
async def test_a_report_is_asked_about_as_long_as_the_server_says_that_it_may_have_it(
    hours: int, asked: int
) -> None:
    browser = Browser()
    await browser.choose()
    await send_some(browser, 1)
    browser.time += hours * 3600
    tab = dataclasses.replace(browser.tab, withdrawable=5 * 3600.0)
    await tab.withdraw()
    assert len(deleted(browser)) == asked


async def test_a_clock_that_was_moved_back_hides_nothing() -> None:
    browser = Browser()
    await browser.choose()
    await send_some(browser, 1)
    browser.time -= 400 * DAY
    assert await browser.tab.withdraw() == {"removed": 1, "late": 0}


async def test_a_withdrawal_that_is_cut_off_goes_on_where_it_was() -> None:
    browser = Browser()
    await browser.choose(perDay=10)
    await send_some(browser, 1)
    for _ in range(2):
        await browser.tab.preview(model(), measured())
        await browser.tab.send()
    answers = iter([200, 503])

    async def flaky(method: str, path: str, body: bytes) -> Response:
        status = next(answers)
        return await browser.server.answer(method, path, body) if status == 200 else Response(status, {})

    browser.answer = flaky
    with pytest.raises(ReportError, match="503"):
        await browser.tab.withdraw()
    browser.answer = browser.server.answer
    assert await browser.tab.withdraw() == {"removed": 2, "late": 0}


async def test_withdrawal_before_sending_leaves_nothing_to_send() -> None:
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())
    assert await browser.tab.withdraw() == {"removed": 0, "late": 0}
    with pytest.raises(ReportError):
        await browser.tab.send()
    assert not browser.server.requests


@pytest.mark.parametrize("how", ["page", "withdraw", "gpc"])
async def test_a_request_under_way_in_another_tab_ends_within_a_second(how: str) -> None:
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())
    under_way, cancelled = asyncio.Event(), asyncio.Event()

    async def slow(method: str, path: str, body: bytes) -> Response:
        answer = await browser.server.answer(method, path, body)  # it did arrive, unknown to the sender
        if method == "POST":
            under_way.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise
        return answer

    browser.answer = slow
    sending = asyncio.create_task(browser.tab.send())
    await under_way.wait()
    start = time.perf_counter()
    if how == "gpc":
        browser.gpc = True
    if how == "page":
        await browser.choose("off")
    if how != "gpc":
        assert await browser.open().withdraw() == {"removed": 1, "late": 0}
    with pytest.raises(StoppedError):
        await sending
    assert time.perf_counter() - start < 1
    assert cancelled.is_set()
    assert len(browser.posts()) == 1
    if how == "gpc":
        assert await browser.open().withdraw() == {"removed": 1, "late": 0}
    assert browser.server.kept == {}


async def test_retries_end_the_moment_telemetry_is_off() -> None:
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())

    async def busy(method: str, path: str, body: bytes) -> Response:
        await browser.choose("off")
        return Response(503, {"retry-after": "100"})

    browser.answer = busy
    with pytest.raises(StoppedError):
        await browser.tab.send()
    platform = browser.tab.platform
    assert isinstance(platform, Tab)
    assert sum(platform.slept) < 1
    assert len(browser.posts()) == 1


async def test_a_withdrawal_that_fails_can_be_repeated() -> None:
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())
    await browser.tab.send()

    async def broken(method: str, path: str, body: bytes) -> Response:
        return Response(503, {})

    browser.answer = broken
    with pytest.raises(ReportError, match="503"):
        await browser.tab.withdraw()
    browser.answer = browser.server.answer
    assert await browser.tab.withdraw() == {"removed": 1, "late": 0}


async def test_what_only_this_browser_knew_goes_with_the_sites_data() -> None:
    """The count starts anew, and a report that was sent can be withdrawn by nobody."""
    browser = Browser()
    await browser.choose()
    await send_some(browser, 1)
    assert (await browser.tab.history())["budget"]["spent"] == 2.0
    browser.store.values.clear()
    assert await browser.open().withdraw() == {"removed": 0, "late": 0}
    assert deleted(browser) == []
    assert len(browser.server.kept) == 1
    history = await browser.open().history()
    assert (history["sent"], history["budget"]["spent"]) == ([], 0)
    await browser.choose()
    assert (await browser.open().preview(model(), measured()))["packet"] is not None
