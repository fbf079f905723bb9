"""Daily exports: a table for everyone, as JSON and CSV with a signature, written once and never changed.

Each day is one folder, which comes into being in one rename: readers and replicas that share it see all of a day or
nothing of it, and the first one to write a day wins.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fleetune.signed import canonical
from fleetune_server.common import private_file

Sign = Callable[[bytes], Mapping[str, str]]
KINDS = ("json", "csv")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
SIGNATURE = "sig"


class Exports:
    """The days of one folder. Methods read or write files: not for the event loop."""

    def __init__(self, folder: Path, sign: Sign) -> None:
        self.folder = folder
        self._sign = sign

    def days(self) -> list[str]:
        """The days that there are, newest first."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted(filter(DAY.fullmatch, names), reverse=True)

    def file(self, name: str, zipped: bool) -> Path | None:
        """Where `<day>.json`, `<day>.csv`, `<day>.json.sig` or `<day>.csv.sig` lies, or its gzip form; None if it
        does not exist."""
        day, _, kind = name.partition(".")
        if not DAY.fullmatch(day) or kind not in (*KINDS, *(f"{one}.{SIGNATURE}" for one in KINDS)):
            return None
        path = self.folder / day / f"{kind}{'.gz' if zipped else ''}"
        return path if path.is_file() else None

    def write(
        self, day: str, about: Mapping[str, Any], fields: Sequence[str], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write a day unless there is one. The JSON holds `about` and the rows, the CSV the rows under `fields`."""
        if (self.folder / day).is_dir():
            return
        draft = self.folder / f".{day}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)  # of an earlier process of this number that died here
        for kind, content in (("json", _json(about, rows)), ("csv", _csv(fields, rows))):
            private_file.write(draft / kind, content)
            private_file.write(draft / f"{kind}.gz", gzip.compress(content, mtime=0))
            private_file.write(draft / f"{kind}.{SIGNATURE}", self._signed(f"{day}.{kind}", content))
        try:
            draft.rename(self.folder / day)
        except OSError:
            shutil.rmtree(draft)
            if not (self.folder / day).is_dir():  # it was not that another process was faster
                raise
        private_file.sync_folder(self.folder)

    def _signed(self, name: str, content: bytes) -> bytes:
        """A manifest of one file and its signatures, in the form that model releases have."""
        manifest = {
            "file": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "created": int(time.time()),
        }
        document = {"manifest": manifest, "signatures": dict(self._sign(canonical(manifest)))}
        return json.dumps(document, indent=1).encode() + b"\n"

    def remember(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep what is told now, so that what is told next can be held against it after a restart too."""
        private_file.write(self.folder / f"{name}.json", json.dumps(rows).encode())

    def remembered(self, name: str) -> list[dict[str, Any]]:
        """What was told last; nothing if nothing was."""
        path = self.folder / f"{name}.json"
        rows: list[dict[str, Any]] = json.loads(path.read_bytes()) if path.is_file() else []
        return rows


def _json(about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A row a line, so that two days can be compared line by line."""
    head = json.dumps(about, ensure_ascii=False, indent=1).removesuffix("\n}")
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f'{head},\n "rows": [\n{lines}\n]\n}}\n'.encode()


def _csv(fields: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([row[field] for field in fields] for row in rows)
    return text.getvalue().encode()
