"""The public log of published versions: a chain of hashes, so that what was once shown cannot be taken back unseen."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fleetune.context import canonical_json
from fleetune.signed import MAX_TIME, MAX_VERSION, SignedError, integer

BEGINNING = "0" * 64  # what the first entry has for the digest of the one before
PAGE = 200  # entries of one answer
_SHA256 = re.compile(r"[0-9a-f]{64}")


class LogError(ValueError):
    """A log that was changed, or does not belong to what was seen of it before; the message names the version."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One published version."""

    version: int
    sha256: str  # of the artefact
    created: int  # Unix seconds
    previous: str  # digest of the entry before; BEGINNING for the first

    @property
    def digest(self) -> str:
        """SHA-256 of the entry as canonical JSON, in hexadecimal."""
        return hashlib.sha256(canonical_json(self.to_wire())).hexdigest()

    def to_wire(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "sha256": self.sha256,
            "created": self.created,
            "previous": self.previous,
        }

    @classmethod
    def from_wire(cls, wire: object) -> LogEntry:
        """Read an entry strictly; LogError for any other shape."""
        try:
            if not isinstance(wire, dict) or wire.keys() != set(cls.__slots__):
                raise SignedError("manifest", "it has other fields than it must")
            if not all(type(h) is str and _SHA256.fullmatch(h) for h in (wire["sha256"], wire["previous"])):
                raise SignedError("manifest", "a hash is malformed")
            return cls(
                integer(wire, "version", 1, MAX_VERSION),
                wire["sha256"],
                integer(wire, "created", 0, MAX_TIME),
                wire["previous"],
            )
        except SignedError as error:
            raise LogError(f"an entry of the log cannot be read: {error}") from error


def extend(last: LogEntry | None, versions: Iterable[tuple[int, str, int]]) -> list[LogEntry]:
    """The entries of these versions (number, SHA-256, time), ascending, after `last`."""
    entries = []
    for version, sha256, created in versions:
        last = LogEntry(version, sha256, created, last.digest if last else BEGINNING)
        entries.append(last)
    return entries


def follows(last: LogEntry | None, entries: Iterable[LogEntry]) -> LogEntry | None:
    """The last of these entries if each one follows from the one before, the first from `last`; LogError if not."""
    for entry in entries:
        if entry.previous != (last.digest if last else BEGINNING):
            raise LogError(
                f"the log does not lead to version {entry.version}: an entry before it was changed"
            )
        if last and entry.version <= last.version:
            raise LogError(f"the log goes back from version {last.version} to {entry.version}")
        last = entry
    return last
