"""Where an operator's own kernels and jobs are kept: in the store, exactly what was given; replicas share it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from fleetune_server.kernels import job
from fleetune_server.kernels.package import Package, build
from fleetune_server.kernels.spec import (
    MAX_MODULE,
    MAX_SCRIPT,
    MAX_VARIANTS,
    OwnKernel,
    SpecError,
    as_document,
    read_spec,
)
from fleetune_server.store.base import Store

_DOCUMENTS, _MARKS = "own-kernel/", "own-kernel-mark/"  # keys in the store, before a kernel's name
MAX_BYTES = 2 * MAX_SCRIPT + MAX_VARIANTS * MAX_MODULE // 2  # of one document
MAX_KERNELS = 64


def to_document(raw: Mapping[str, Any], source: str, modules: Mapping[str, bytes]) -> bytes:
    """What `fleetune kernels add` sends and the shelf keeps."""
    packed = {name: base64.b64encode(data).decode() for name, data in modules.items()}
    document = {"kernel": as_document(raw), "script": source, "modules": packed}
    return json.dumps(document, sort_keys=True).encode()


def package_of(data: bytes) -> Package:
    """What a document describes, ready to be served; SpecError for whatever is wrong with it."""
    document = _decoded(data)
    if isinstance(document, dict) and document.keys() == {"job"}:
        return job.package(job.read_job(document["job"]))
    return build(read_document(data))


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SpecError(["the document is not JSON in UTF-8"]) from None


def read_document(data: bytes) -> OwnKernel:
    """The kernel of a document; SpecError for whatever is wrong with it."""
    document = _decoded(data)
    if not isinstance(document, dict) or document.keys() != {"kernel", "script", "modules"}:
        raise SpecError(["the document must have exactly the fields kernel, script and modules"])
    packed, source = document["modules"], document["script"]
    if not isinstance(source, str) or not isinstance(packed, dict):
        raise SpecError(["script must be a text, modules a table of base64 texts"])
    modules = {}
    for name, text in packed.items():
        try:
            modules[name] = base64.b64decode(text, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise SpecError([f"modules: {name:.80} is not base64"]) from None
    return read_spec(document["kernel"], source, modules)


class Shelf:
    """The documents in a store, by kernel name."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def marks(self) -> dict[str, str]:
        """A hash of each document by kernel name: whether anything changed, without reading it all."""
        return await self.store.entries(_MARKS)

    async def packages(self) -> tuple[list[Package], list[str]]:
        """Every kernel that can be used, by name, and what is wrong with the others."""
        return await asyncio.to_thread(_built, await self.store.entries(_DOCUMENTS))

    async def put(self, name: str, document: bytes) -> None:
        """Keep a document; durable when this returns."""
        mark = hashlib.sha256(document).hexdigest()
        await self.store.share({_DOCUMENTS + name: document.decode(), _MARKS + name: mark})

    async def remove(self, name: str) -> bool:
        """Forget a kernel; whether there was one."""
        known = name in await self.marks()
        if known:
            await self.store.share({_DOCUMENTS + name: None, _MARKS + name: None})
        return known


def _built(documents: Mapping[str, Any]) -> tuple[list[Package], list[str]]:
    found, problems = [], []
    for name, document in documents.items():
        try:
            found.append(package_of(str(document).encode()))
        except SpecError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
    return found, problems
