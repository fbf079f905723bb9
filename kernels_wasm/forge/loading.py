"""The function to forge, from its file."""

from __future__ import annotations

from pathlib import Path

from kernels_wasm.build.scripts import read_text
from kernels_wasm.forge import c_source
from kernels_wasm.translate.source import Source, read


def load(path: Path) -> Source:
    """A Python file's function, or a C file's with its description; SourceError lists what is wrong."""
    return c_source.load(path) if path.suffix == ".c" else read(read_text(path), str(path), path.stem)
