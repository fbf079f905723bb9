"""`fleetune doctor`: what is wrong with this set-up, each with what to do about it. Changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from pathlib import Path

from fleetune.manifest import ManifestError
from fleetune.model import Model, ModelError
from fleetune_server.common.health import UNNAMED, clock_behind, few_files, no_room
from fleetune_server.kernels.catalogue import Catalogue
from fleetune_server.pipeline import TRAINED
from fleetune_server.publish.history import held_places
from fleetune_server.publish.keys import KeyFileError, KeyRing, RootError
from fleetune_server.settings import ROOT, Settings, SettingsError
from fleetune_server.store.base import StoreError
from fleetune_server.store.opening import is_postgres, open_store
from fleetune_server.store.sqlite_file import check
from fleetune_server.training.trainer import STUCK

SHOWN = 20  # suspicious places, those with most reports
PAGE = ("browser/web/page/index.html", "browser/dist/pyodide/pyodide.asm.wasm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments: the environment is the input."""


def run(args: argparse.Namespace) -> int:
    """Print a line for each problem, or that there is none; 1 if there is any. Notes are no problems."""
    problems = asyncio.run(_all(dict(os.environ)))
    for problem in problems:
        print(f"problem: {problem}")
    if not os.environ.get("FLEETUNE_OPERATOR"):
        print(f"note: {UNNAMED}")
    if not problems:
        print("no problem found")
    return 1 if problems else 0


async def _all(environ: dict[str, str]) -> list[str]:
    try:
        settings = Settings.from_env(environ)
    except SettingsError as error:
        return [str(error)]
    return [problem async for problem in diagnose(settings)]


async def diagnose(settings: Settings) -> AsyncIterator[str]:
    """Everything that is wrong, in words that say what to do."""
    for part in PAGE:
        if not (ROOT / part).exists():
            yield f"{part} is missing from the installation: run `make run` once, or install the wheel again"
    names: dict[str, str] = {}
    try:
        built = Catalogue.load(settings.kernels)
        names = {signature: kernel.name for signature, kernel in built.manifest.by_signature.items()}
        if built.problem:
            yield built.problem
    except (ManifestError, OSError) as error:
        yield f"kernels: {error}"
    if problem := few_files():
        yield problem
    if problem := _port_taken(settings):
        yield problem
    if not settings.data.is_dir():
        if problem := _cannot_make(settings.data):
            yield problem
        return  # a first start makes everything else
    if problem := no_room(settings.data):
        yield problem
    async for problem in _store(settings, names):
        yield problem


async def _store(settings: Settings, names: Mapping[str, str]) -> AsyncIterator[str]:
    """What is wrong with the database, its models and the keys; `names` are kernels by signature."""
    ring, signed = KeyRing(settings.data / "keys"), False
    if not is_postgres(settings.store_url) and (path := Path(settings.store_url)).is_file():
        found = await asyncio.to_thread(check, path)
        if found:
            yield f"{path}: {'; '.join(found[:3])}: restore a backup (`fleetune db restore FILE`)"
            return
    try:
        async with open_store(settings) as store:
            records = await store.versions()
            signed = bool(records)
            for record in records:
                body = await store.blob(record.sha256)
                try:
                    Model.from_bytes(body or b"")
                except ModelError as error:
                    yield (
                        f"model version {record.version} cannot be read ({error}): a server sets it aside and "
                        "trains another"
                    )
            if records and (problem := clock_behind(records[-1].created, time.time())):
                yield problem
            if records and (held := held_places(records[-1].document)):
                yield (
                    f"the reports of {held} places are not believed: "
                    f"`fleetune gate explain {records[-1].version}` names them, `fleetune data list` shows them"
                )
            trained = await store.get(TRAINED) or {}
            if trained.get("refused", 0) >= STUCK:
                yield (
                    f"the last {trained['refused']} trainings were refused: "
                    f"`fleetune gate explain {records[-1].version + 1 if records else 1}` says why"
                )
            for place in trained.get("suspicions", ())[:SHOWN]:
                kernel = names.get(place["signature"], place["signature"])
                where = f"--kernel {kernel} --environment '{place['environment']}'"
                yield (
                    f"{place['reports']:,} reports of {place['candidate']} {place['why']}, and training does not "
                    f"believe them: see `fleetune data list {where}`; `fleetune data drop` removes them"
                )
    except (StoreError, SettingsError) as error:
        yield str(error)
    try:
        if not ring.keys and signed:
            yield "versions are published, but there is no signing key: restore keys/ or start with --new-keys"
        elif (root := ring.roots.newest()) and not root[0].keys.keys() & {key.id for key in ring.keys}:
            yield (
                f"none of the keys that root {root[0].version} names is in keys/: restore them, or start with "
                "--new-keys"
            )
    except (KeyFileError, RootError) as error:
        yield str(error)


def _port_taken(settings: Settings) -> str | None:
    """Whether something else listens at our address. Our own server there is no problem."""
    if not settings.port:
        return None
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        return f"FLEETUNE_HOST={settings.host}: {error.strerror}"
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return (
                f"{settings.host}:{settings.port}: {error.strerror} (a running server of yours is no problem)"
            )
    return None


def _cannot_make(folder: Path) -> str | None:
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if above.is_dir() and os.access(above, os.W_OK):
        return None
    return f"{folder} cannot be made in {above}: make it yourself, or change FLEETUNE_DATA"
