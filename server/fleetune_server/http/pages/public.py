"""The public pages: made once a published version, all of them, off the event loop; strangers only read them.

A question to `/functions?q=` is the one thing answered afresh; it is short, and so is the list that it is held against.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from fleetune.manifest import Manifest
from fleetune_server.common.assets import IMMUTABLE, Asset
from fleetune_server.common.errors import RefusedError
from fleetune_server.common.logs import Condition
from fleetune_server.http.pages import changes as changes_page
from fleetune_server.http.pages import data as data_page
from fleetune_server.http.pages import functions as function_pages
from fleetune_server.http.pages.changes import Seen
from fleetune_server.http.pages.document import LANGUAGES, headers_of, language_of
from fleetune_server.http.pages.functions import Known, Listing, Turn, middle, turned
from fleetune_server.http.pages.public_words import date
from fleetune_server.publish.exports import SIGNATURE, Exports
from fleetune_server.runtime import State
from fleetune_server.store.base import CellSum, StoreError, VersionRecord
from fleetune_server.training.public import Answer, Reported, about_functions, answers, publishable
from fleetune_server.training.regressions import Change, changes
from fleetune_server.training.trainer import TrainerDiedError

log = logging.getLogger(__name__)
T = TypeVar("T")
TOLD, CHANGES, TURNS = "told", "changes", "choices"  # what is remembered under which name
SILENT = {
    TOLD: "reports are not told of",
    CHANGES: "changes between versions are not told of",
    TURNS: "how choices changed is not told of",
}
KEPT_CHANGES = 1000
TURN_SECONDS = 600.0  # between two looks whether a new day's export is due


@dataclass(frozen=True)
class Edition:
    """What was made for one published version and catalogue."""

    known: Known
    rows: Sequence[Mapping[str, Any]]  # of the next export
    listings: Mapping[str, Listing]  # by language
    pages: Mapping[tuple[str, str], Asset]  # by address and language


class Public:
    """The newest edition; the next one is made when the first reader of a new version asks, or for an export."""

    def __init__(self, state: State, now: Callable[[], float] = time.time) -> None:
        self.state = state
        self.exports = Exports(state.settings.data / "exports", state.keys.sign)
        self._now = now
        self._key: tuple[str, int] | None = None
        self._made: asyncio.Task[Edition] | None = None
        self._last: Edition | None = None
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled: write each day's export. What cannot be written is written next time."""
        unwritten = Condition(log, "export not written")
        while True:
            await asyncio.sleep(TURN_SECONDS)
            try:
                wanted = self.state.settings.dashboard and self.state.library.stable
                if wanted and await self.state.store.lead():
                    await self.export()
            except StoreError as error:
                unwritten.holds(str(error), logging.WARNING)
            else:
                unwritten.ended("export written again")

    @property
    def today(self) -> str:
        return date(self._now())

    async def export(self) -> None:
        """See that today's export is there; it is made once. StoreError if it cannot be."""
        day = self.today
        async with self._writing:
            if self.exports.file(f"{day}.json", zipped=False) is None:
                edition = await self.edition()
                about = data_page.about(day, edition.known.version, edition.known.created)
                fields = tuple(data_page.FIELDS)
                try:
                    await asyncio.to_thread(self.exports.write, day, about, fields, edition.rows)
                except OSError as error:
                    raise StoreError(f"the export of {day} cannot be written: {error}") from error

    async def edition(self) -> Edition:
        """For the version that everyone gets, or the one before while the store is gone.

        RefusedError before the first version, StoreError if there never was an edition.
        """
        library = self.state.library
        key = self.state.catalogue.root, library.stable
        if key[1] not in library.models:
            raise RefusedError("no-model", wait=5)
        if self._made is None or self._key != key or _failed(self._made):
            self._key, self._made = key, asyncio.create_task(self._make(library.stable))
        if self._last and not self._made.done() and self.state.pipeline.progress.state == "training":
            return self._last  # the next one waits for the training process
        try:
            # Several readers share one task: none of them may cancel it.
            self._last = await asyncio.shield(self._made)
        except StoreError:
            if self._last is None:
                raise
        return self._last

    async def _make(self, version: int) -> Edition:
        state, catalogue = self.state, self.state.catalogue
        manifest, built = catalogue.manifest, frozenset((catalogue.built or catalogue).manifest.kernels)
        model, record, lab = state.library.models[version], state.library.records[version], state.pipeline.lab
        before, seen = await asyncio.to_thread(self._remembered)
        asked = Asked(before or (), tuple(one.change for one in seen or ()))
        try:
            reported, counts, found = await state.pipeline.over_sums(figures, asked)
        except TrainerDiedError as error:
            raise StoreError(str(error)) from error

        def make() -> Edition:
            told = self._told(reported, before)
            named = [(one, kernel) for one in told if (kernel := manifest.by_signature.get(one.signature))]
            exported = [{"kernel": kernel.name, **one.to_row()} for one, kernel in named]
            reports = {name: counts.get(kernel.signature, 0) for name, kernel in manifest.kernels.items()}
            rows = answers(manifest, model, lab.rows if lab.measured else None, told)
            turns = self._turned(manifest, rows, record)
            known = Known(manifest, built, version, record.created, rows, reports, turns)
            changed = self._changed(found, seen, record)
            pages = {}
            for language in LANGUAGES:
                pages["regressions", language] = changes_page.render(known, changed, language)
                for name in manifest.kernels:
                    pages[f"functions/{name}", language] = function_pages.function(known, name, language)
            listings = {language: Listing(known, language) for language in LANGUAGES}
            return Edition(
                known, exported, listings, {key: Asset(html.encode(), ".html") for key, html in pages.items()}
            )

        return await asyncio.to_thread(make)

    def _remembered(self) -> tuple[list[Reported] | None, list[Seen] | None]:
        """What was told last, and every change that was ever sure; None where that cannot be read."""
        return self._recalled(TOLD, Reported.from_row), self._recalled(CHANGES, Seen.from_row)

    def _turned(
        self, manifest: Manifest, rows: Mapping[str, Sequence[Answer]], record: VersionRecord
    ) -> list[Turn]:
        """How the choices at a middle size changed from version to version, the newest first."""
        before = self._recalled(TURNS, Turn.from_row)
        if before is None:
            return []
        chosen = {manifest.kernels[name].signature: middle(list_) for name, list_ in rows.items()}
        turns = turned(before, chosen, record.version, record.created)
        try:
            if turns != before:
                self.exports.remember(TURNS, [one.to_row() for one in turns])
        except OSError as error:
            log.warning(SILENT[TURNS], extra={"reason": str(error)})
            return before
        return turns

    def _recalled(self, name: str, read: Callable[[Mapping[str, Any]], T]) -> list[T] | None:
        try:
            return [read(row) for row in self.exports.remembered(name)]
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning(SILENT[name], extra={"reason": str(error)})
            return None

    def _told(self, reported: Sequence[Reported], before: Sequence[Reported] | None) -> Sequence[Reported]:
        """What is told of the reports from now on. Where that cannot be remembered, nothing new is told."""
        if before is None:
            return []
        try:
            self.exports.remember(TOLD, [one.to_row() for one in reported])
        except OSError as error:
            log.warning(SILENT[TOLD], extra={"reason": str(error)})
            return before
        return reported

    def _changed(
        self, found: Sequence[Change], before: Sequence[Seen] | None, record: VersionRecord
    ) -> Sequence[Seen]:
        """Every change that was ever sure, as it was when it first was, the newest first."""
        if before is None:
            return []
        seen = [*(Seen(one, record.version, record.created) for one in found), *before][:KEPT_CHANGES]
        try:
            self.exports.remember(CHANGES, [asdict(one) for one in seen])
        except OSError as error:
            log.warning(SILENT[CHANGES], extra={"reason": str(error)})
            return before
        return seen


@dataclass(frozen=True)
class Asked:
    """What was told before, which decides what is told next."""

    told: Sequence[Reported]
    changes: Sequence[Change]


def figures(sums: list[CellSum], asked: Asked) -> tuple[list[Reported], dict[str, int], list[Change]]:
    """What is told of the reports: cells, how many about each function, new changes. Run where trainings are."""
    return publishable(sums, asked.told), about_functions(sums), changes(sums, asked.changes)


@asynccontextmanager
async def public_pages(state: State) -> AsyncIterator[Public]:
    """The public pages of a running server, and the task that writes the exports."""
    public = Public(state)
    task = asyncio.create_task(public.run())
    try:
        yield public
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _failed(task: asyncio.Task[Edition]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def public_of(request: Request) -> Public:
    """The public pages, as endpoints reach them; 404 if the operator keeps totals to themselves."""
    public = request.state.public
    assert isinstance(public, Public)
    if not public.state.settings.dashboard:
        raise HTTPException(404)
    return public


async def functions(request: Request) -> Response:
    """`GET /functions?q=`: all functions, or those that a question asks for."""
    language = language_of(request)
    edition = await public_of(request).edition()
    html = edition.listings[language].html(request.query_params.get("q", ""))
    return HTMLResponse(html, headers=headers_of(language))


async def page(request: Request) -> Response:
    """`GET /functions/<name>` and `GET /regressions`: made with the edition."""
    language = language_of(request)
    asset = (await public_of(request).edition()).pages.get((request.scope["path"].strip("/"), language))
    if asset is None:
        raise HTTPException(404)
    response = await asyncio.to_thread(asset.respond, request.headers)
    response.headers.update(headers_of(language) | {"vary": "accept-encoding, accept-language"})
    return response


async def data(request: Request) -> Response:
    """`GET /data/`: what the exports hold, and which there are."""
    language, public = language_of(request), public_of(request)
    days = await asyncio.to_thread(public.exports.days)
    html = data_page.render(language, days, public.today, f"{request.base_url}data/")
    return HTMLResponse(html, headers=headers_of(language))


async def export(request: Request) -> Response:
    """`GET /data/<day>.json`, `.csv`, and `.sig` behind either: for ever the same bytes."""
    public, name = public_of(request), request.path_params["file"]
    if name.partition(".")[0] == public.today:
        await public.export()
    zipped = "gzip" in request.headers.get("accept-encoding", "") and not name.endswith(SIGNATURE)
    path = public.exports.file(name, zipped)
    if path is None:
        raise HTTPException(404)
    headers = {"cache-control": IMMUTABLE, "vary": "accept-encoding"}
    if zipped:
        headers["content-encoding"] = "gzip"
    kind = "text/csv; charset=utf-8" if name.endswith(".csv") else "application/json"
    return FileResponse(path, headers=headers, media_type=kind)
