"""A catalogue of two small kernels with made-up modules, for tests that need names and not numbers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from fleetune.context import Context, Environment
from fleetune.manifest import Manifest

ENVIRONMENT = Environment("firefox", 153, "linux", True, True, False, "2-3", "x86")
CONTEXT = Context(8, "f32", "random")
BUNDLES = {"base": b"\0asm base", "simd": b"\0asm simd", "relaxedSimd": b"\0asm relaxed"}
SCRIPT = b"export const kernels = {};\n"


def _variant(name: str, *features: str) -> dict[str, Any]:
    optimisations = [] if name == "scalar" else name.split("+")
    bundle = features[-1] if features else "base"
    module = {"bundle": bundle, "offset": 0, "size": 8, "sha256": hashlib.sha256(name.encode()).hexdigest()}
    return {
        "name": name,
        "optimisations": optimisations,
        "features": list(features),
        "profile": {"instructions": 10.0, "loads": 2.0, "stores": 0.0, "vectorOps": 1.0},
        **module,
    }


def _kernel(name: str, number: int) -> dict[str, Any]:
    return {
        "name": name,
        "family": "linear algebra",
        "summary": name,
        "dtype": "f32",
        "params": [{"name": "a", "type": "f32[]", "dir": "in"}, {"name": "n", "type": "i32"}],
        "returns": "f32",
        "sizes": [16, 256, 4096, 65536],
        "patterns": ["random"],
        "copied": True,
        "tolerance": {"relative": 1e-4, "absolute": 1e-5},
        "dataEnd": 1024,
        "baselines": ["js"],
        "profile": {"loopDepth": number, "intensity": 3 * number},
        "profileSignature": f"{number:032x}",
        "variants": [
            _variant("scalar"),
            _variant("inlining+loopUnrolling"),
            _variant("vectorization", "simd"),
            _variant("relaxedSimd+vectorization", "simd", "relaxedSimd"),
        ],
    }


def raw_manifest() -> dict[str, Any]:
    """The manifest as JSON values."""
    features = {"base": [], "simd": ["simd"], "relaxedSimd": ["simd", "relaxedSimd"]}
    return {
        "schema": 1,
        "bundles": {
            name: {
                "path": f"{name}.bin",
                "sha256": hashlib.sha256(body).hexdigest(),
                "size": len(body),
                "features": features[name],
            }
            for name, body in BUNDLES.items()
        },
        "scripts": {"path": "kernels.js", "sha256": hashlib.sha256(SCRIPT).hexdigest(), "size": len(SCRIPT)},
        "kernels": [_kernel("dot", 1), _kernel("saxpy", 2)],
    }


def manifest() -> Manifest:
    """The catalogue."""
    return Manifest.load(raw_manifest())


def write(folder: Path) -> Path:
    """A build folder as `kernels_wasm/build/builder.py` leaves it."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(raw_manifest()))
    (folder / "kernels.js").write_bytes(SCRIPT)
    for name, body in BUNDLES.items():
        (folder / f"{name}.bin").write_bytes(body)
    return folder
