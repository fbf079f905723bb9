"""One-tap answers: the randomised response, its budget and consent, the intake, and the debiased estimate."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.browsers import REVISION, Browser
from tests.test_privacy import Stream

from fleetune.app import rate as app
from fleetune.app.delivery import ReportError
from fleetune.app.platform import NetworkError, Response
from fleetune.packet import DAY, PacketError
from fleetune.privacy import WORD
from fleetune.rating import EPSILON, MAX_BYTES, build, check, encode, estimate, truthful
from fleetune_server.store.sqlite import open_sqlite
from fleetune_server.telemetry.ingest import FeedbackIntake
from fleetune_server.telemetry.limits import RateLimiter

TODAY = 20_780


@given(st.floats(0.1, 8))
def test_no_answer_is_likelier_than_the_claim_allows(epsilon: float) -> None:
    kept = truthful(epsilon)
    ratio = Fraction(kept, WORD - kept)
    assert ratio >= 1
    assert math.log(ratio) <= epsilon


def test_answers_follow_the_mechanism_and_the_estimate_undoes_it() -> None:
    entropy, answers = Stream("satisfied"), 10_000
    truth = 0.8
    good = sum(build(i < truth * answers, TODAY, entropy=entropy).good for i in range(answers))
    p = math.e / (1 + math.e)
    assert good / answers == pytest.approx(truth * p + (1 - truth) * (1 - p), abs=0.02)
    found = estimate(good, answers)
    assert found.low is not None
    assert found.high is not None
    assert found.low < truth < found.high
    assert found.high - found.low < 0.06


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    entropy, answers, covered, trials = Stream("coverage"), 200, 0, 100
    for _ in range(trials):
        good = sum(build(i < 150, TODAY, entropy=entropy).good for i in range(answers))
        found = estimate(good, answers)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.75 <= found.high
    assert covered >= 0.9 * trials


def test_few_answers_are_not_published() -> None:
    assert estimate(12, 19).to_wire() == {"answers": 19, "share": None, "low": None, "high": None}
    assert estimate(12, 20).share is not None
    with pytest.raises(ValueError, match="21 good of 20"):
        estimate(21, 20)


def test_the_wire_holds_nothing_about_what_was_measured() -> None:
    wire = build(True, TODAY).to_wire()
    assert wire.keys() == {"v", "kind", "good", "privacy", "timestamp", "nonce"}
    assert check(wire).to_wire() == wire
    assert len(encode(check(wire))) <= MAX_BYTES


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"good": 1}, "wrong-type"),
        ({"v": 2}, "unknown-version"),
        ({"kind": "praise"}, "out-of-range"),
        ({"timestamp": 5}, "not-a-day"),
        ({"nonce": "x"}, "bad-format"),
        ({"kernel": "dot"}, "unknown-field"),
        ({"privacy": {"mechanism": "randomisedResponse", "epsilon": 8}}, "out-of-range"),
        ({"privacy": {"mechanism": "none", "epsilon": 1}}, "out-of-range"),
    ],
)
def test_anything_else_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(PacketError) as refusal:
        check({**build(True, TODAY).to_wire(), **change})
    assert refusal.value.reason == reason


async def test_an_answer_needs_consent_and_fits_its_own_budget() -> None:
    browser = Browser()

    async def count(method: str, path: str, body: bytes) -> Any:
        assert (method, path) == ("POST", "/api/feedback")
        check(json.loads(body))
        return Response(202, {}, b"{}")

    browser.answer = count
    platform = browser.tab.platform
    for choice in (None, "off"):
        if choice:
            await browser.choose(choice)
        with pytest.raises(ReportError):
            await app.answer(platform, REVISION, True)
    await browser.choose()
    sent = 0
    for _ in range(40):
        for _tap in range(2):
            try:
                await app.answer(platform, REVISION, True)
                sent += 1
            except ReportError as error:
                assert "answered today already" in str(error)  # noqa: PT017 (either outcome is checked)
        browser.time += DAY
    assert len(browser.posts()) == sent
    history = await app.sent(platform)
    assert [entry["text"].encode() for entry in history] == browser.posts(), (
        "everything ever sent, to the byte"
    )
    assert {entry["state"] for entry in history} == {"sent"}
    assert sent == 10 + 10, "ten answers in each 30 days"
    assert (await browser.tab.history())["budget"]["spent"] == 0, "reports have a budget of their own"


@pytest.fixture
async def intake(tmp_path: Path) -> AsyncIterator[FeedbackIntake]:
    async with open_sqlite(tmp_path / "feedback.db", 100) as store:
        yield FeedbackIntake(store, RateLimiter(0, ()), 2, 5.0, lambda: TODAY * DAY + 60.0)


JSON = {"content-type": "application/json"}


async def post(
    intake: FeedbackIntake, body: bytes, method: str = "POST", headers: dict[str, str] | None = None
) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(intake), base_url="http://fleetune.test"
    ) as http:
        return await http.request(method, "/api/feedback", content=body, headers={**JSON, **(headers or {})})


async def test_answers_are_counted_once_each(intake: FeedbackIntake) -> None:
    assert (await intake.satisfaction()).answers == 0
    for _ in range(25):
        body = encode(build(True, TODAY))
        assert (await post(intake, body)).json() == {"accepted": 1, "duplicates": 0}
    again = await post(intake, body)
    assert (again.status_code, again.json()) == (202, {"accepted": 0, "duplicates": 1})
    found = await intake.satisfaction()
    assert found.answers == 25
    assert found.share is not None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad-json"),
        (b"\xff", 400, "bad-json"),
        (b'{"nonce": "\\ud800"}', 400, "bad-json"),
        (b'{"v": ' + b"9" * 100 + b"}", 422, "missing-field"),
        (b"[]", 422, "not-an-object"),
        (encode(build(True, TODAY + 1)), 422, "future"),
        (encode(build(True, TODAY - 5)), 422, "stale"),
        (b" " * (MAX_BYTES + 1), 413, None),
    ],
)
async def test_what_is_not_an_answer_is_refused(
    intake: FeedbackIntake, body: bytes, status: int, code: str | None
) -> None:
    answer = await post(intake, body)
    assert answer.status_code == status
    assert code is None or answer.json()["error"]["code"] == code
    assert (await intake.satisfaction()).answers == 0


async def test_an_answer_that_says_it_is_no_json_is_refused(intake: FeedbackIntake) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await post(intake, encode(build(True, TODAY)), headers={"content-type": kind})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported-type")
    assert (await intake.satisfaction()).answers == 0


async def test_who_sends_the_privacy_signal_is_not_counted(intake: FeedbackIntake) -> None:
    """Global Privacy Control as a header: refused unread, so not even that the nonce was seen is kept."""
    body = encode(build(True, TODAY))
    for refused in (body, b"{", b" " * (MAX_BYTES + 1)):
        answer = await post(intake, refused, headers={"sec-gpc": "1"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "privacy-signal")
    assert (await intake.satisfaction()).answers == 0
    first = await post(intake, body, headers={"sec-gpc": "0"})
    assert first.json() == {"accepted": 1, "duplicates": 0}


async def test_only_post_is_understood(intake: FeedbackIntake) -> None:
    assert (await post(intake, b"", "GET")).status_code == 405


def test_the_epsilon_of_answers_is_published() -> None:
    assert build(True, TODAY).to_wire()["privacy"] == {"mechanism": "randomisedResponse", "epsilon": EPSILON}


async def test_an_answer_that_never_arrived_is_in_the_history_and_paid_for() -> None:
    browser = Browser()
    await browser.choose()

    async def gone(method: str, path: str, body: bytes) -> Response:
        raise NetworkError("away")

    browser.answer = gone
    with pytest.raises(NetworkError):
        await app.answer(browser.tab.platform, REVISION, True)
    assert [entry["state"] for entry in await app.sent(browser.tab.platform)] == ["stopped"]
    with pytest.raises(ReportError, match="answered today already"):
        await app.answer(browser.tab.platform, REVISION, True)


async def test_switching_off_stops_an_answer_that_is_being_sent() -> None:
    browser = Browser()
    await browser.choose()
    asked = asyncio.Event()

    async def silent(method: str, path: str, body: bytes) -> Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    browser.answer = silent
    sending = asyncio.create_task(app.answer(browser.tab.platform, REVISION, True))
    await asked.wait()
    await browser.choose("off")
    with pytest.raises(ReportError, match="switched off"):
        await asyncio.wait_for(sending, 1)
    assert len(browser.posts()) == 1
