"""Proof of work: rare to find by chance, quick to check, and told in advance."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import tiny
from tests.browsers import Browser, measured, model
from tests.load import Round
from tests.running import server

from fleetune.app.delivery import ReportError
from fleetune.app.platform import Response
from fleetune.work import MAX_BITS, is_answer, search
from fleetune_server.settings import Settings, SettingsError

CHALLENGES = st.binary(min_size=8, max_size=8).map(bytes.hex)
NONCES = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(CHALLENGES, NONCES, st.integers(0, 10**12 - 1), st.integers(0, MAX_BITS))
def test_an_answer_is_that_many_zero_bits(challenge: str, nonce: str, answer: int, bits: int) -> None:
    digest = hashlib.sha256(f"{challenge}:{nonce}:{answer}".encode()).hexdigest()
    zeros = 256 - int(digest, 16).bit_length()
    assert is_answer(challenge, nonce, answer, bits) == (zeros >= bits)


@given(CHALLENGES, NONCES, st.integers(0, 6))
def test_a_search_in_portions_finds_the_first_answer(challenge: str, nonce: str, bits: int) -> None:
    first = next(n for n in range(10**6) if is_answer(challenge, nonce, n, bits))
    assert search(challenge, nonce, bits, 0, first) is None
    assert search(challenge, nonce, bits, first // 2, first + 1) == first


def test_the_server_says_what_it_asks_for(tmp_path: Path) -> None:
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path}
    for bits in (9, 0):
        with server(tmp_path / str(bits), work_bits=bits, **settings) as running:
            began = time.monotonic()
            while (answer := httpx.get(f"{running.url}api/model/latest")).status_code == 503:
                assert time.monotonic() - began < 60
                time.sleep(0.1)
            told = answer.json().get("work", {})
            assert told.get("bits", 0) == bits
            refused = httpx.post(f"{running.url}api/telemetry?work=1", json={})
            assert refused.status_code == 422, "what is wrong with the report itself is said first"
            packet = Round.fetch(running.url).packets(1, tiny.ENVIRONMENT)[0]
            refused = httpx.post(f"{running.url}api/telemetry?work=1", json=packet)
            assert refused.status_code == (428 if bits else 202)
            if bits:
                error = refused.json()["error"]
                assert told == {name: error[name] for name in ("bits", "challenge")}, "the same for everyone"


def test_more_bits_than_browsers_would_find_are_not_a_setting() -> None:
    assert Settings.from_env({"FLEETUNE_WORK_BITS": str(MAX_BITS)}).work_bits == MAX_BITS
    with pytest.raises(SettingsError, match="FLEETUNE_WORK_BITS"):
        Settings.from_env({"FLEETUNE_WORK_BITS": str(MAX_BITS + 1)})


def refusal(**asked: object) -> Response:
    return Response(428, {}, json.dumps({"error": {"code": "work-needed", **asked}}).encode())


@pytest.mark.parametrize(
    ("asked", "works"),
    [
        ({"bits": 6, "challenge": "c0ffee"}, True),
        ({"bits": MAX_BITS + 1, "challenge": "c0ffee"}, False),
        ({"bits": "7", "challenge": "c0ffee"}, False),
        ({"bits": 6, "challenge": "c" * 65}, False),
        ({"bits": 6, "challenge": 7}, False),
        ({"bits": 6}, False),
    ],
)
async def test_work_is_brought_if_the_server_asks_for_it_and_it_is_not_too_much(
    asked: dict[str, object], works: bool
) -> None:
    browser = Browser()
    await browser.choose()
    shown = await browser.tab.preview(model(), measured())
    paths = []

    async def flooded(method: str, path: str, body: bytes) -> Response:
        paths.append(path)
        bare, _, query = path.partition("?work=")
        if works and query and is_answer("c0ffee", json.loads(body)["nonce"], int(query), 6):
            return await browser.server.answer(method, bare, body)
        return refusal(**asked)

    browser.answer = flooded
    assert (await browser.tab.send())["ok"] == works
    assert browser.posts() == [shown["text"].encode()] * len(paths), "the packet stays as it was shown"
    assert len(paths) == (2 if works else 1)
    browser.answer = browser.server.answer
    if not works:
        assert (await browser.tab.preview(model(), measured()))["text"] == shown["text"], "it waits"
        assert (await browser.tab.send())["ok"], "and costs nothing more"


async def test_a_new_challenge_and_more_bits_are_answered_too() -> None:
    """The hour turns and the flood grows while the browser looks for an answer."""
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())
    asked = [("old", 4), ("new", 4), ("new", 7)]
    given = []

    async def flooded(method: str, path: str, body: bytes) -> Response:
        bare, _, query = path.partition("?work=")
        if query:
            given.append(
                [is_answer(*one, int(query), 4) for one in ((c, json.loads(body)["nonce"]) for c, _ in asked)]
            )
        challenge, bits = asked[min(len(given), len(asked) - 1)]
        if query and is_answer("new", json.loads(body)["nonce"], int(query), 7):
            return await browser.server.answer(method, bare, body)
        return refusal(challenge=challenge, bits=bits)

    browser.answer = flooded
    assert (await browser.tab.send())["ok"]
    assert given[0][0]
    assert given[-1][1]


async def test_a_browser_answers_four_times_at_most_and_then_the_packet_waits() -> None:
    browser = Browser()
    await browser.choose()
    shown = await browser.tab.preview(model(), measured())
    answers = set()

    async def never_content(method: str, path: str, body: bytes) -> Response:
        answers.add(path.partition("?work=")[2])
        return refusal(challenge=f"number {len(browser.posts())}", bits=6)

    browser.answer = never_content
    sent = await browser.tab.send()
    assert (sent["ok"], sent["status"]) == (False, 428)
    assert len(answers - {""}) <= 4
    assert len(browser.posts()) == 8
    browser.answer = browser.server.answer
    assert (await browser.tab.preview(model(), measured()))["text"] == shown["text"]
    assert (await browser.tab.send())["ok"]


async def test_withdrawal_stops_work_under_way() -> None:
    browser = Browser()
    await browser.choose()
    await browser.tab.preview(model(), measured())

    async def flooded(method: str, path: str, body: bytes) -> Response:
        if method == "POST":
            await browser.choose("off")
            return refusal(challenge="c0ffee", bits=MAX_BITS)
        return await browser.server.answer(method, path, body)

    browser.answer = flooded
    with pytest.raises(ReportError, match="switched off"):
        await browser.tab.send()
    assert len(browser.posts()) == 1
