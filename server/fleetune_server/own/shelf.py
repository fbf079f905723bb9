"""Where an operator's own kernels are kept: one file each in the data folder, exactly what was given."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleetune_server import private_file
from fleetune_server.own.fields import SpecError
from fleetune_server.own.package import Package, build
from fleetune_server.own.spec import MAX_MODULE, MAX_SCRIPT, MAX_VARIANTS, OwnKernel, as_document, read_spec

MAX_BYTES = 2 * MAX_SCRIPT + MAX_VARIANTS * MAX_MODULE // 2  # of one document
MAX_KERNELS = 64


def to_document(raw: Mapping[str, Any], source: str, modules: Mapping[str, bytes]) -> bytes:
    """What `fleetune kernels add` sends and the shelf keeps."""
    packed = {name: base64.b64encode(data).decode() for name, data in modules.items()}
    document = {"kernel": as_document(raw), "script": source, "modules": packed}
    return json.dumps(document, sort_keys=True).encode()


def read_document(data: bytes) -> OwnKernel:
    """The kernel of a document; SpecError for whatever is wrong with it."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise SpecError(["the document is not JSON"]) from None
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
    """The documents of one folder, by kernel name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def packages(self) -> list[Package]:
        """Every kernel, by name; SpecError names the file that is damaged."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                found.append(build(read_document(path.read_bytes())))
            except SpecError as error:
                raise SpecError([f"{path}: {problem}" for problem in error.problems]) from error
        return found

    def put(self, name: str, document: bytes) -> None:
        """Keep a document; durable when this returns."""
        private_file.write(self.folder / f"{name}.json", document)

    def remove(self, name: str) -> bool:
        """Forget a kernel; whether there was one."""
        path = self.folder / f"{name}.json"
        if path not in set(self.folder.glob("*.json")):
            return False
        path.unlink()
        return True
