"""What this browser remembers of the server's log of versions: a history that was shown cannot be changed unseen.

A log that changed is told and refused nothing: an operator who restores a backup loses entries in all honesty, and
who lacks the keys cannot publish anyway.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from fleetune.app.platform import Platform, PlatformError, Response
from fleetune.signed import Release
from fleetune.version_log import PAGE, LogEntry, LogError, follows

LOG = "log"  # store key: the last entry that was seen
MAX_ANSWER = 131_072  # bytes of JSON; a page takes 44,000
MAX_PAGES = 50  # that are followed in one go


async def witness(platform: Platform, release: Release) -> None:
    """See that the log leads from the entry that is remembered to this release, and remember that one."""
    try:
        kept = await platform.store.get(LOG)
        last = None if kept is None else LogEntry.from_wire(kept)
        try:
            entry = await _lead(platform, last, release)
        except LogError as error:
            text = f"the server's log of versions is not the one of earlier visits: {error}"
            platform.emit("log", {"level": "warning", "text": text})
            entry = await _lead(platform, None, release)
        if entry is not None:
            await platform.store.set(LOG, entry.to_wire())
    except (LogError, PlatformError) as error:
        platform.emit("log", {"level": "warning", "text": f"the server's log of versions: {error}"})


async def _lead(platform: Platform, last: LogEntry | None, release: Release) -> LogEntry | None:
    """The release's entry, reached from `last`; None from a server without a log. LogError if it cannot be reached."""
    if last and last.version > release.version:
        raise LogError(
            f"version {last.version} was published before, and now {release.version} is the newest"
        )
    async for page in _pages(platform, last.version if last else release.version):
        if last and page[0] != last:
            raise LogError(f"version {last.version} is not what it was")
        page = [entry for entry in page if entry.version <= release.version]
        if not page:
            break
        last = follows(page[0], page[1:]) if last is None else follows(last, page[1:])
        assert last is not None
        if last.version == release.version:
            if last.sha256 != release.sha256:
                raise LogError(f"version {last.version} is another one than was signed")
            return last
    if last is None:
        return None
    raise LogError(f"version {release.version} is not in it")


async def _pages(platform: Platform, version: int) -> AsyncIterator[list[LogEntry]]:
    """Entries from this version on, a page at a time; each page begins with the last entry of the one before."""
    for _ in range(MAX_PAGES):
        response = await platform.fetch("GET", f"/api/log?version={version}")
        page = _read(response)
        if len(page) < 1:
            return
        yield page
        if len(page) < PAGE:
            return
        version = page[-1].version
    raise LogError(f"it goes on for more than {MAX_PAGES * PAGE:,} entries")


def _read(response: Response) -> list[LogEntry]:
    if response.status == 404:
        return []
    if response.status != 200 or len(response.body) > MAX_ANSWER:
        raise LogError(f"the server answered {response.status}, {len(response.body):,} bytes")
    try:
        answer = json.loads(response.body)
        return [LogEntry.from_wire(entry) for entry in answer["entries"][:PAGE]]
    except (ValueError, RecursionError, TypeError, LookupError) as error:
        raise LogError("the server's answer cannot be read") from error
