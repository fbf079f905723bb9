"""`fleetune models`: the published versions; going back is going forward with old content."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fleetune.artefact import ModelError, pack, unpack
from fleetune.version_log import PAGE, LogEntry, LogError, follows
from fleetune_server.pipeline import PINNED
from fleetune_server.publish.library import TRIALS, outcomes
from fleetune_server.publish.release import Publisher, PublishError
from fleetune_server.settings import Settings
from fleetune_server.store.base import Store, StoreError, VersionRecord, VersionTakenError, above_backup
from fleetune_server.store.opening import open_store

TRIES = 4  # numbers that a running server may take while a version is made, before the command gives up


class NoVersionError(Exception):
    """A version that is not kept."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """list, log, show, pin, unpin, rollback, export, import."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the versions that are kept")
    log = actions.add_parser("log", help="list every version ever published, as the public log has it")
    log.add_argument("--verify", action="store_true", help="check the chain of hashes and the kept versions")
    show = actions.add_parser("show", help="print all that is known of a version, as JSON")
    actions.add_parser("pin", help="publish nothing new until `unpin`; packets are still accepted")
    actions.add_parser("unpin", help="publish again")
    rollback = actions.add_parser("rollback", help="publish the content of an older version as the newest")
    export = actions.add_parser("export", help="write a version's artefact to a file")
    for parser_of in (show, rollback, export):
        parser_of.add_argument("version", type=int)
    export.add_argument("file", type=Path)
    load = actions.add_parser("import", help="publish an artefact from a file as the newest version")
    load.add_argument("file", type=Path)


def run(args: argparse.Namespace) -> int:
    """Work on the store directly; a running server takes over what is published here within seconds."""
    settings = Settings.from_env(os.environ)
    try:
        return asyncio.run(_run(args, settings))
    except (StoreError, PublishError, ModelError, NoVersionError, OSError) as error:
        print(f"fleetune models: {error}", file=sys.stderr)
        return 1


async def _run(args: argparse.Namespace, settings: Settings) -> int:
    async with open_store(settings) as store:
        records = {record.version: record for record in await store.versions()}
        if args.action == "list":
            trials = outcomes(await store.get(TRIALS), max(records, default=0))
            for record in records.values():
                trial = trials.get(record.version)
                print(_line(record) + (f"  trial: {trial['state']}" if trial else ""))
        elif args.action == "log":
            entries = [entry async for entry in _log(store)]
            if args.verify:
                return _verified(entries, records)
            for entry in entries:
                made = datetime.fromtimestamp(entry.created, UTC).strftime("%Y-%m-%d %H:%M")
                print(f"{entry.version:>5}  {made}  {entry.sha256}  after {entry.previous[:12]}")
        elif args.action == "show":
            record = _record(records, args.version)
            print(json.dumps(dataclasses.asdict(record), indent=2, sort_keys=True))
        elif args.action in ("pin", "unpin"):
            await store.put(PINNED, args.action == "pin")
        elif args.action == "rollback":
            print(await _publish(store, settings, records, _record(records, args.version)))
        elif args.action == "export":
            args.file.write_bytes(await _artefact(store, _record(records, args.version)))
        else:
            print(await _publish(store, settings, records, args.file.read_bytes()))
    return 0


async def _log(store: Store) -> AsyncIterator[LogEntry]:
    after = 0
    while page := await store.log(after, PAGE):
        for entry in page:
            yield entry
        after = page[-1].version


def _verified(entries: Sequence[LogEntry], records: Mapping[int, VersionRecord]) -> int:
    """Say whether the log is one chain and agrees with the versions that are kept; the exit code."""
    logged = {entry.version: entry.sha256 for entry in entries}
    wrong = [
        f"version {record.version} is kept with other content than the log names"
        for record in records.values()
        if logged.get(record.version, record.sha256) != record.sha256
    ]
    # Those of an earlier release, which kept no log, come with the next version.
    wrong += [f"version {v} is kept and not in the log" for v in records if logged and v not in logged]
    try:
        last = follows(None, entries)
    except LogError as error:
        wrong.insert(0, str(error))
    else:
        if not wrong:
            print(f"{len(entries)} entries, one chain, {last.digest if last else 'empty'}")
    for problem in wrong:
        print(f"fleetune models log: {problem}", file=sys.stderr)
    return 1 if wrong else 0


async def _publish(
    store: Store, settings: Settings, records: Mapping[int, VersionRecord], content: bytes | VersionRecord
) -> int:
    """Publish this content under the next number, whatever a running server publishes meanwhile."""
    for _ in range(TRIES):
        try:
            return await _publish_next(store, settings, records, content)
        except VersionTakenError:
            records = {record.version: record for record in await store.versions()}
    return await _publish_next(store, settings, records, content)


async def _publish_next(
    store: Store, settings: Settings, records: Mapping[int, VersionRecord], content: bytes | VersionRecord
) -> int:
    """Publish under the number after these, which the artefact itself carries too."""
    version = await above_backup(store, max(records, default=0) + 1)
    recent = list(records.values())[-settings.keep_versions :]
    history = {record.version: await _artefact(store, record) for record in recent}
    if isinstance(content, VersionRecord):
        note = f"an operator rolled back to the content of version {content.version}"
        history[content.version] = await _artefact(store, content)
        record, files, _ = Publisher().again(version, content, note, history)
    else:
        model = pack(dataclasses.replace(unpack(content), version=version))
        metadata = {"gate": ["an operator imported it from a file"]}
        record, files = Publisher().release(version, model, metadata, history)
    await store.save_version(record, files, settings.keep_versions)
    return version


def _record(records: Mapping[int, VersionRecord], version: int) -> VersionRecord:
    if version not in records:
        kept = ", ".join(map(str, records)) or "none yet"
        raise NoVersionError(f"version {version} is not kept; these are: {kept}")
    return records[version]


async def _artefact(store: Store, record: VersionRecord) -> bytes:
    artefact = await store.blob(record.sha256)
    if artefact is None:
        raise StoreError(f"the artefact of version {record.version} is missing")
    return artefact


def _line(record: VersionRecord) -> str:
    made = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M")
    document = record.document
    updates = ", ".join(f"from {base}: {u['size']:,} B" for base, u in document["incremental"].items())
    samples = document["metadata"].get("sampleCount", 0)
    return (
        f"{record.version:>5}  {made}  {document['size']:>9,} B  {samples:>9,} reports  "
        f"clip {record.clip:g}  {record.sha256[:12]}  {updates}"
    )
