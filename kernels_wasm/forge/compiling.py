"""Compile C text to one module with the catalogue's compiler."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STACK_BYTES = 16384
DATA_BYTES = 65536  # room for one variant's static tables, apart from its siblings'
COMMON = (
    "-target", "wasm32-freestanding", "-mcpu=mvp", "-mnontrapping-fptoint", "-msign-ext", "-std=c11", "-O3",
    "-ffreestanding", "-fno-ident", "-g0", "-fno-sanitize=undefined", "-fno-stack-protector",
    "-fwrapv", "-fno-math-errno", "-fno-strict-aliasing", "-ffp-contract=off", "-w",
)  # fmt: skip
LINKER = ("--no-entry", "--import-memory", "--strip-all", "--stack-first", "-z", f"stack-size={STACK_BYTES}")


class CompileError(RuntimeError):
    """The compiler refused or is missing; its own words are in the message."""


def zig() -> Path:
    """The compiler's executable."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise CompileError("ziglang is not installed: pip install 'fleetune[forge]'")
    return Path(spec.origin).parent / "zig"


@dataclass(frozen=True)
class Compiler:
    """A compiler with a cache of its own."""

    executable: Path
    cache: Path

    def compile(self, text: str, flags: Sequence[str]) -> bytes:
        """An object file; CompileError names the first complaint."""
        with tempfile.TemporaryDirectory() as folder:
            unit = Path(folder, "unit.o")
            Path(folder, "function.c").write_text(text)
            command: list[str | Path] = [
                self.executable,
                "cc",
                *COMMON,
                *flags,
                "-c",
                "function.c",
                "-o",
                unit,
            ]
            self._run(command, folder)
            data = unit.read_bytes()
        if b".bss" in data:
            raise CompileError("a mutable static variable; take a scratch parameter instead")
        return data

    def link(self, unit: bytes, place: int = 0, export: str = "run") -> bytes:
        """The module, its static tables in the place of that number."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "unit.o").write_bytes(unit)
            base = f"--global-base={STACK_BYTES + place * DATA_BYTES}"
            self._run(
                [
                    self.executable,
                    "wasm-ld",
                    *LINKER,
                    base,
                    f"--export={export}",
                    "unit.o",
                    "-o",
                    "module.wasm",
                ],
                folder,
            )
            return Path(folder, "module.wasm").read_bytes()

    def _run(self, command: Sequence[str | Path], folder: str) -> None:
        environment = os.environ | {
            "ZIG_GLOBAL_CACHE_DIR": str(self.cache),
            "ZIG_LOCAL_CACHE_DIR": str(self.cache),
        }
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CompileError(done.stderr.strip() or f"{command[1]} ended with {done.returncode}")


@contextmanager
def a_compiler() -> Iterator[Compiler]:
    """A compiler whose cache goes when the block ends."""
    with tempfile.TemporaryDirectory() as cache:
        yield Compiler(zig(), Path(cache))
