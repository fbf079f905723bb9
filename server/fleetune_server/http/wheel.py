"""What Pyodide installs, as deterministic wheels: `fleetune`, and the translator for the page that writes functions.

The translator is kernels_wasm/translate, which needs no package, and the constants of fleetune/limits.py. The forge
stays out: a page can neither compile nor prove, and the server never runs what visitors write.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from pathlib import Path

from kernels_wasm import translate

import fleetune
from fleetune import __version__

PACKAGE = Path(fleetune.__file__).resolve().parent
TRANSLATE = Path(str(translate.__file__)).resolve().parent
NAME = f"fleetune-{__version__}-py3-none-any.whl"
TRANSLATOR = f"fleetune_translator-{__version__}-py3-none-any.whl"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: the same sources give the same bytes

_METADATA = f"""Metadata-Version: 2.1
Name: {{name}}
Version: {__version__}
Summary: {{summary}}
License: Apache-2.0
Requires-Python: >=3.11
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
    """The bytes of the page's wheel."""
    files = {
        f"fleetune/{path.relative_to(package).as_posix()}": path.read_bytes() for path in sources(package)
    }
    return _wheel(
        files, "fleetune", "Which WebAssembly variant is fastest here", "Requires-Dist: numpy>=2.0\n"
    )


def translator_sources() -> list[Path]:
    """The Python files of the translator, in a fixed order."""
    return [*sorted(TRANSLATE.rglob("*.py")), PACKAGE / "__init__.py", PACKAGE / "limits.py"]


def build_translator() -> bytes:
    """The bytes of the translator's wheel."""
    files = {
        (
            f"fleetune/{path.name}"
            if path.parent == PACKAGE
            else f"kernels_wasm/translate/{path.relative_to(TRANSLATE).as_posix()}"
        ): path.read_bytes()
        for path in translator_sources()
    }
    return _wheel(files, "fleetune_translator", "From one plain Python function to JavaScript")


def _wheel(files: dict[str, bytes], name: str, summary: str, needs: str = "") -> bytes:
    """With METADATA, WHEEL and RECORD as the binary distribution format asks."""
    info = f"{name}-{__version__}.dist-info"
    files[f"{info}/METADATA"] = (_METADATA.format(name=name, summary=summary) + needs).encode()
    files[f"{info}/WHEEL"] = _WHEEL.encode()
    record = "".join(f"{path},sha256={_digest(body)},{len(body)}\n" for path, body in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # not compressed: the server does that better, for the wire
        for path, body in files.items():
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, body)
    return buffer.getvalue()


def _digest(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
