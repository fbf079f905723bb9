"""Withdrawal: at once, in every tab, in flight too; the server is asked to remove what it still can."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from tests.browsers import Browser, Tab, measured, model

from fleetune.app.delivery import ReportError, StoppedError
from fleetune.app.platform import Response
from fleetune.packet import DAY


async def test_withdrawal_removes_what_it_can_and_counts_what_it_cannot() -> None:
    browser = Browser()
    await browser.choose()
    for _ in range(3):
        await browser.tab.preview(model(), measured())
        await browser.tab.send()
        browser.time += DAY
    folded, forgotten = list(browser.server.kept)[:2]
    del browser.server.kept[folded], browser.server.kept[forgotten]
    browser.server.folded = {folded}  # the other is past the time for which the server remembers nonces
    await browser.choose("off")
    assert await browser.tab.withdraw() == {"removed": 1, "late": 2}
    assert browser.server.kept == {}
    requests = len(browser.server.requests)
    assert await browser.tab.withdraw() == {"removed": 0, "late": 0}
    assert len(browser.server.requests) == requests, "nothing is left to ask"


async def test_a_long_history_is_withdrawn_in_parts() -> None:
    browser = Browser()
    await browser.choose()
    for _ in range(230):
        await browser.tab.preview(model(), measured())
        await browser.tab.send()
        browser.time += DAY
    assert await browser.tab.withdraw() == {"removed": 230, "late": 0}
    deletes = [json.loads(body) for method, _p, body in browser.server.requests if method == "DELETE"]
    assert [len(wire["nonces"]) for wire in deletes] == [100, 100, 30]


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
