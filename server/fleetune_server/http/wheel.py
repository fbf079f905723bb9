"""The `fleetune` wheel that Pyodide installs: a deterministic zip of browser/fleetune."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from pathlib import Path

import fleetune
from fleetune import __version__

PACKAGE = Path(fleetune.__file__).resolve().parent
NAME = f"fleetune-{__version__}-py3-none-any.whl"
_INFO = f"fleetune-{__version__}.dist-info"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: the same sources give the same bytes

_METADATA = f"""Metadata-Version: 2.1
Name: fleetune
Version: {__version__}
Summary: Which WebAssembly variant is fastest here
License: Apache-2.0
Requires-Python: >=3.11
Requires-Dist: numpy>=2.0
"""
_WHEEL = """Wheel-Version: 1.0
Generator: fleetune
Root-Is-Purelib: true
Tag: py3-none-any
"""


def sources(package: Path = PACKAGE) -> list[Path]:
    """The Python files that go into the wheel, in a fixed order."""
    return sorted(package.rglob("*.py"))


def build(package: Path = PACKAGE) -> bytes:
    """The wheel's bytes, with METADATA, WHEEL and RECORD as the binary distribution format asks."""
    files = {
        f"fleetune/{path.relative_to(package).as_posix()}": path.read_bytes() for path in sources(package)
    }
    files[f"{_INFO}/METADATA"] = _METADATA.encode()
    files[f"{_INFO}/WHEEL"] = _WHEEL.encode()
    record = "".join(f"{name},sha256={_digest(body)},{len(body)}\n" for name, body in files.items())
    files[f"{_INFO}/RECORD"] = f"{record}{_INFO}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # not compressed: the server does that better, for the wire
        for name, body in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, body)
    return buffer.getvalue()


def _digest(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
