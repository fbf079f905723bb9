"""Python for browsers as it is served: archives unpacked, all packed for the wire; made where the package is built.

`python -m fleetune_server.http.runtime_files SOURCE… FOLDER`: of a file that several sources have, the first one's.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import brotli

from fleetune_server.common.assets import LARGE, SUFFIXES

LOCK = "pyodide-lock.json"
RUNTIME = ("pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm", LOCK, "python_stdlib.zip")  # and every wheel
ARCHIVES = (".whl", ".zip")
PACKERS: Mapping[str, Callable[[bytes], bytes]] = {  # there is time for more than a server takes
    "br": lambda body: brotli.compress(body, quality=9, lgwin=24),
    "gzip": lambda body: gzip.compress(body, mtime=0),
}


def served(sources: list[Path]) -> dict[str, bytes]:
    """What browsers get, by name: the runtime, its wheels, their licences.

    Archives are stored anew, with their members as they are: the whole is then packed a third tighter. The lock
    file names what they are now.
    """
    bodies: dict[str, bytes] = {}
    renewed: dict[bytes, bytes] = {}  # SHA-256 in hex, of an archive as it was and as it is served
    for folder in sources:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if name in bodies or not (name in RUNTIME or path.suffix in (".whl", ".txt")):
                continue
            bodies[name] = path.read_bytes()
            if path.suffix in ARCHIVES:
                stored = _stored(bodies[name])
                renewed[_hex(bodies[name])] = _hex(stored)
                bodies[name] = stored
    if missing := [name for name in RUNTIME if name not in bodies]:
        raise FileNotFoundError(f"no {', '.join(missing)} in {', '.join(map(str, sources))}")
    bodies[LOCK] = re.sub(rb"[0-9a-f]{64}", lambda found: renewed.get(found[0], found[0]), bodies[LOCK])
    return bodies


def write(sources: list[Path], folder: Path) -> None:
    """Fill this folder with what is served, and its large files packed beside them; whole, or not at all."""
    making = folder.with_name(folder.name + ".making")
    shutil.rmtree(making, ignore_errors=True)
    with ThreadPoolExecutor() as pool:
        packing = []
        for name, body in served(sources).items():
            path = making / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            if len(body) >= LARGE:
                packing += [pool.submit(_pack, path, body, encoding) for encoding in PACKERS]
        for done in packing:
            done.result()
    shutil.rmtree(folder, ignore_errors=True)
    making.rename(folder)


def _pack(path: Path, body: bytes, encoding: str) -> None:
    path.with_name(path.name + SUFFIXES[encoding]).write_bytes(PACKERS[encoding](body))


def _stored(archive: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(packed, "w") as new:
        for member in old.infolist():
            entry = zipfile.ZipInfo(member.filename, member.date_time)
            entry.external_attr = member.external_attr
            new.writestr(entry, old.read(member))
    return packed.getvalue()


def _hex(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


if __name__ == "__main__":
    *folders, made = map(Path, sys.argv[1:])
    write(folders, made)
