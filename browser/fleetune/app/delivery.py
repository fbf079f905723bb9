"""Requests that carry reports: patient with a busy server, silent the moment they are no longer wanted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from fleetune.app.platform import NetworkError, Platform, Response
from fleetune.privacy import uniform_below
from fleetune.work import MAX_BITS, search

POLL = 0.2  # seconds between two looks at whether the report is still wanted
TIMEOUT = 30.0  # seconds for one attempt
DELAYS = (1.0, 2.0, 4.0)  # seconds between attempts, doubled at most by chance
MAX_RETRY_AFTER = 120.0  # seconds; a server that asks for more is left alone until the next Send
WORK_NEEDED = 428
MAX_CHALLENGE = 64  # characters
TRIES = 2048  # between two looks at whether the report is still wanted
HEADERS = {"content-type": "application/json"}

Wanted = Callable[[], Awaitable[bool]]


class ReportError(RuntimeError):
    """A report cannot be made or sent; the message is for the user."""


class StoppedError(ReportError):
    """The report was withdrawn, or telemetry switched off, before the server answered."""

    def __init__(self) -> None:
        super().__init__("telemetry was switched off, so sending stopped")


@dataclass(frozen=True, slots=True)
class Deleted:
    """The server's answer to a withdrawal."""

    removed: int
    folded: int


@dataclass(frozen=True, slots=True)
class Task:
    """The work that a server asks for (fleetune.work)."""

    challenge: str
    bits: int


def is_final(status: int) -> bool:
    """Whether sending the same packet again cannot help."""
    return 400 <= status < 500 and status not in (408, 429, WORK_NEEDED)


async def post(platform: Platform, path: str, body: bytes, nonce: str, wanted: Wanted) -> Response:
    """Send until the server says something final, four times at most; bring proof of work if it asks for it.

    The last answer is returned whatever it is; NetworkError if the last attempt had none; StoppedError within
    `POLL` seconds of `wanted` turning false, and then the request under way is cancelled.
    """
    last: Response | NetworkError | None = None
    for delay in (0.0, *DELAYS):
        jitter = uniform_below(1 << 16, platform.entropy) / (1 << 16)
        pause = max(delay * (1 + jitter), _retry_after(last))
        if isinstance(last, Response) and pause > MAX_RETRY_AFTER:
            return last
        await _sleep(platform, pause, wanted)
        try:
            last = await _attempt(platform, path, body, wanted)
            if task := _task(last):
                path = f"{path.partition('?')[0]}?work={await _solve(platform, task, nonce, wanted)}"
                last = await _attempt(platform, path, body, wanted)
        except NetworkError as error:
            last = error
            continue
        if last.status < 400 or is_final(last.status) or (last.status == WORK_NEEDED and not _task(last)):
            return last
    if isinstance(last, Response):
        return last
    assert last is not None
    raise last


async def delete(platform: Platform, path: str, nonce: str) -> Deleted:
    """Ask the server to delete one report; ReportError if it refuses."""
    answer = await platform.fetch("DELETE", path, json.dumps({"nonces": [nonce]}).encode(), HEADERS)
    if answer.status != 200:
        raise ReportError(f"the server answered {answer.status}: try to withdraw again later")
    found = json.loads(answer.body)
    return Deleted(found["removed"], found["alreadyFolded"])


async def _attempt(platform: Platform, path: str, body: bytes, wanted: Wanted) -> Response:
    if not await wanted():
        raise StoppedError
    request = asyncio.ensure_future(platform.fetch("POST", path, body, HEADERS))
    try:
        for _ in range(round(TIMEOUT / POLL)):
            await asyncio.wait({request}, timeout=POLL)
            if request.done():
                return request.result()
            if not await wanted():
                raise StoppedError
        raise NetworkError(f"the server did not answer in {TIMEOUT:g} s")
    finally:
        if not request.done():
            request.cancel()
            with suppress(asyncio.CancelledError, NetworkError):
                await request


async def _sleep(platform: Platform, seconds: float, wanted: Wanted) -> None:
    left = seconds
    while left > 0:
        await platform.sleep(min(left, POLL))
        left -= POLL
        if not await wanted():
            raise StoppedError


async def _solve(platform: Platform, task: Task, nonce: str, wanted: Wanted) -> int:
    """The answer (fleetune.work), searched for in portions, so that withdrawal is heard in between."""
    start = 0
    while (answer := search(task.challenge, nonce, task.bits, start, TRIES)) is None:
        start += TRIES
        await platform.sleep(0)
        if not await wanted():
            raise StoppedError
    return answer


def _task(answer: Response) -> Task | None:
    """The work that a refusal asks for; None if it asks for none, or for more than anyone should do."""
    if answer.status != WORK_NEEDED:
        return None
    try:
        error = json.loads(answer.body)["error"]
        task = Task(error["challenge"], error["bits"])
    except (ValueError, KeyError, TypeError):
        return None
    fits = isinstance(task.challenge, str) and isinstance(task.bits, int)
    return task if fits and len(task.challenge) <= MAX_CHALLENGE and 0 < task.bits <= MAX_BITS else None


def _retry_after(last: Response | NetworkError | None) -> float:
    """Seconds that the server asked for; 0 if it did not, or gave a date."""
    if not isinstance(last, Response):
        return 0.0
    text = last.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
