"""Compile and link one module with the pinned Zig."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kernels_wasm.build.catalogue import STACK_BYTES, Catalogue, VariantRow


class BuildError(RuntimeError):
    """The build cannot go on; the message names the modules."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def compiler() -> tuple[Path, str]:
    """The pinned Zig executable and its version."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise BuildError("ziglang is not installed: pip install ziglang (pyproject.toml names the version)")
    return Path(spec.origin).parent / "zig", importlib.metadata.version("ziglang")


@dataclass(frozen=True)
class Built:
    """A module, and the digest that it would have if its static tables lay where everyone else's could."""

    data: bytes
    essence: str

    @classmethod
    def from_bytes(cls, kept: bytes) -> Built:
        return cls(kept[64:], kept[:64].decode())

    def to_bytes(self) -> bytes:
        return self.essence.encode() + self.data


def placement(data_start: int) -> list[str]:
    """Where the stack and the static tables of a variant lie."""
    return ["--stack-first", "-z", f"stack-size={STACK_BYTES}", f"--global-base={data_start}"]


def compile_variant(zig: Path, catalogue: Catalogue, row: VariantRow, root: Path, zig_cache: Path) -> Built:
    """Compile and link one module; the compiler's own words are in the error."""
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(zig_cache), "ZIG_LOCAL_CACHE_DIR": str(zig_cache)}
    with tempfile.TemporaryDirectory() as folder:
        unit, module, common = (Path(folder, name) for name in ("unit.o", "module.wasm", "common.wasm"))
        # Two steps because `zig cc` does not pass --stack-first on to the linker.
        commands: tuple[list[str | Path], ...] = (
            [zig, "cc", *catalogue.flags, *row.flags, "-c", f"src/{row.kernel}.c", "-o", unit],
            [zig, "wasm-ld", *catalogue.linker, *placement(row.data_start), unit, "-o", module],
            [zig, "wasm-ld", *catalogue.linker, *placement(STACK_BYTES), unit, "-o", common],
        )
        for command in commands:
            done = subprocess.run(
                command, cwd=root, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise BuildError(f"{row.label}: {done.stderr.strip()}")
        # Zeroed statics would lie beyond the last data segment, where inputs go.
        if b".bss" in unit.read_bytes():
            raise BuildError(f"{row.label}: a mutable static variable; take a scratch parameter instead")
        return Built(module.read_bytes(), sha256(common.read_bytes()))
