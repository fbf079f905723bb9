"""A copy of the built catalogue in which some variants of one kernel are bad on purpose."""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
from pathlib import Path

KERNEL = "dot"  # (i32, i32, i32) -> f32
DIST = Path(__file__).resolve().parents[1] / "kernels_wasm" / "dist"


def _section(number: int, body: bytes) -> bytes:
    assert len(body) < 128, "a length of one byte"
    return bytes((number, len(body))) + body


def _module(instructions: bytes) -> bytes:
    """A module with dot's signature whose `run` is these instructions."""
    code = b"\x00" + instructions + b"\x0b"
    return b"".join(
        (
            b"\0asm\1\0\0\0",
            _section(1, b"\x01\x60\x03\x7f\x7f\x7f\x01\x7d"),
            _section(2, b"\x01\x03env\x06memory\x02\x00\x01"),
            _section(3, b"\x01\x00"),
            _section(7, b"\x01\x03run\x00\x00"),
            _section(10, b"\x01" + bytes((len(code),)) + code),
        )
    )


# Variant → module, and a word of the reason that is given when it is set aside.
FAULTS: dict[str, tuple[bytes, str]] = {
    "loopUnrolling": (_module(b"\x43\x00\x00\x80\x3f"), "returns 1"),  # f32.const 1
    "inlining": (_module(b"\x03\x40\x0c\x00\x0b\x43\0\0\0\0"), "did not end"),  # loop br 0 end
    "inlining+loopUnrolling": (_module(b"\x00"), "failed"),  # unreachable
    "vectorization": (b"\0asm\1\0\0\0 not a module", "could not be loaded"),
}


def plant() -> Path:
    """The folder of a catalogue with FAULTS in it, hashes and all."""
    parent = tempfile.mkdtemp(prefix="planted-")
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    folder = Path(parent) / "dist"
    shutil.copytree(DIST, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    bundle = manifest["bundles"]["base"]
    body = (folder / bundle["path"]).read_bytes()
    kernel = next(entry for entry in manifest["kernels"] if entry["name"] == KERNEL)
    for variant in kernel["variants"]:
        if variant["name"] in FAULTS:
            module, _ = FAULTS[variant["name"]]
            digest = hashlib.sha256(module).hexdigest()
            variant |= {"bundle": "base", "features": [], "offset": len(body)}
            variant |= {"size": len(module), "sha256": digest}
            body += module
    bundle |= {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    (folder / bundle["path"]).write_bytes(body)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
