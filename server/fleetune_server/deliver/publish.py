"""A trained model to what is kept of a version: files by hash, and the record that answers are made from."""

from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import Mapping
from typing import Any

from fleetune.delta import MAX_CHAIN, MAX_SIZE, chain, diff
from fleetune.model import Model
from fleetune_server.store.base import VersionRecord

WORTH = 0.8  # an incremental update must be this much smaller than the compressed full one
METADATA = ("trainedOn", "sampleCount", "trainingLoss", "architecture", "metrics")


class PublishError(Exception):
    """A model that cannot be published; the message says why."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Publisher:
    """Makes releases; remembers the last deltas, because chains reuse them. Pure but for that memory."""

    def __init__(self) -> None:
        self._links: dict[tuple[str, str], bytes] = {}

    def release(
        self, version: int, model: bytes, metadata: Mapping[str, Any], history: Mapping[int, bytes]
    ) -> tuple[VersionRecord, dict[str, bytes]]:
        """The record of a new version and its files by SHA-256.

        `history`: artefacts of earlier versions. From the one before, clients get a delta; from up to
        MAX_CHAIN versions back a chain of deltas; where that saves too little, the full file. Raises
        PublishError if `model` is too large or is not a model of that version.
        """
        read = Model.from_bytes(model)  # ModelError: what browsers would refuse is not published
        if read.version != version:
            raise PublishError(f"the artefact says version {read.version}, not {version}")
        if len(model) > MAX_SIZE:
            raise PublishError(f"the model has {len(model):,} bytes; at most {MAX_SIZE:,} are allowed")
        name, limit = sha256(model), WORTH * len(gzip.compress(model, mtime=0))
        files, incremental = {name: model}, {}
        for base, update in self._updates(version, model, history).items():
            if len(update) < limit:
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

    def _updates(self, version: int, model: bytes, history: Mapping[int, bytes]) -> dict[int, bytes]:
        """Incremental updates by base: the newest a plain delta, the older ones chains that end in it."""
        newer = model
        links: list[bytes] = []
        updates: dict[int, bytes] = {}
        used: dict[tuple[str, str], bytes] = {}
        for base in sorted((v for v in history if v < version), reverse=True)[:MAX_CHAIN]:
            pair = sha256(history[base]), sha256(newer)
            used[pair] = self._links.get(pair) or diff(history[base], newer)
            links.insert(0, used[pair])
            updates[base] = chain(links) if len(links) > 1 else links[0]
            newer = history[base]
        self._links = used
        return updates
