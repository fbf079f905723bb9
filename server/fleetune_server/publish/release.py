"""A trained model to what is kept of a version: files by hash, and the record that answers are made from."""

from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fleetune.artefact import pack, unpack
from fleetune.delta import MAX_CHAIN, MAX_SIZE, DeltaError, apply
from fleetune.model import Model
from fleetune_server.publish.diff import chain, diff
from fleetune_server.store.base import VersionRecord

WORTH = 0.8  # an incremental update must be this much smaller than the compressed full one
METADATA = ("trainedOn", "sampleCount", "trainingLoss", "architecture", "metrics")


class PublishError(Exception):
    """A model that cannot be published; the message says why."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def applies(old: bytes, update: bytes, new: bytes) -> bool:
    """Whether clients take this update: one that goes through a far larger model is refused by them."""
    try:
        return apply(old, update, len(new)) == new
    except DeltaError:
        return False


class Publisher:
    """Makes releases; remembers the last deltas, because chains reuse them. Pure but for that memory."""

    def __init__(self) -> None:
        self._links: dict[tuple[str, str], bytes] = {}

    def again(
        self, version: int, origin: VersionRecord, note: str, history: Mapping[int, bytes]
    ) -> tuple[VersionRecord, dict[str, bytes], bytes]:
        """The content of an older version as a new one, and its artefact: going back is going forward.

        `origin` must be in `history`; those who hold it get a delta that changes the number only.
        """
        model = pack(replace(unpack(history[origin.version]), version=version))
        metadata = {**origin.document["metadata"], "gate": [note]}
        return *self.release(version, model, metadata, history, origin.version), model

    def release(
        self,
        version: int,
        model: bytes,
        metadata: Mapping[str, Any],
        history: Mapping[int, bytes],
        like: int | None = None,
    ) -> tuple[VersionRecord, dict[str, bytes]]:
        """The record of a new version and its files by SHA-256.

        `history`: artefacts of earlier versions. From the one before, clients get a delta; from up to
        MAX_CHAIN versions back a chain of deltas; where that saves too little, the full file. `like`: the
        version whose content comes back; chains pass over what came between. Raises PublishError if `model`
        is too large or is not a model of that version.
        """
        read = Model.from_bytes(model)  # ModelError: what browsers would refuse is not published
        if read.version != version:
            raise PublishError(f"the artefact says version {read.version}, not {version}")
        if len(model) > MAX_SIZE:
            raise PublishError(f"the model has {len(model):,} bytes; at most {MAX_SIZE:,} are allowed")
        name, limit = sha256(model), WORTH * len(gzip.compress(model, mtime=0))
        files, incremental = {name: model}, {}
        for base, update in self._updates(version, model, history, like).items():
            if len(update) < limit and applies(history[base], update, model):
                files[sha256(update)] = update
                incremental[str(base)] = {"sha256": sha256(update), "size": len(update)}
        document = {
            "size": len(model),
            "metadata": {key: metadata[key] for key in METADATA if key in metadata}
            | {"checksum": name, "clip": read.clip},
            "incremental": incremental,
            "gate": metadata.get("gate", []),
        }
        return VersionRecord(version, name, read.clip, int(time.time()), document), files

    def _updates(
        self, version: int, model: bytes, history: Mapping[int, bytes], like: int | None
    ) -> dict[int, bytes]:
        """Incremental updates by base: the newest a plain delta, the older ones chains that end in it."""
        newer = model
        links: list[bytes] = []
        updates: dict[int, bytes] = {}
        used: dict[tuple[str, str], bytes] = {}

        def link(old: bytes, new: bytes) -> bytes:
            pair = sha256(old), sha256(new)
            used[pair] = self._links.get(pair) or diff(old, new)
            return used[pair]

        for base in sorted((v for v in history if v < version), reverse=True)[:MAX_CHAIN]:
            if like is not None and base > like:
                updates[base] = link(history[base], model)
                continue
            links.insert(0, link(history[base], newer))
            updates[base] = chain(links) if len(links) > 1 else links[0]
            newer = history[base]
        self._links = used
        return updates
