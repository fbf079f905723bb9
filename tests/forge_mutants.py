"""Attack the prover: change catalogue modules and see that nothing that differs is called equal.

python -m tests.forge_mutants --json [--mutants 180] [--seeds 1 2 3] [--runs 100000]

A mutant changes one instruction: another opcode, a constant, a lane, a comparison at a loop's bound, a branch
that is not taken, a memory offset, an alignment hint, a store that is dropped. What the prover calls equal, and
what it leaves open, is then run `runs` times in wasmtime on extremes, NaN, -0 and denormals, with canaries.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import wasmtime
from kernels_wasm.forge.proof.cases import Spec
from kernels_wasm.forge.proof.command import load_modules
from kernels_wasm.forge.proof.prove import Prover, Verdict
from kernels_wasm.forge.proof.replay import Difference, Pair, make_engine
from kernels_wasm.forge.proof.sweep import Sweep
from kernels_wasm.profile.reader import Instruction, parse

KERNELS = (
    *("argmax", "base64", "copy", "crc32", "dot", "gather", "histogram", "matvec", "memchr", "prefix_sum"),
    *("rgb_to_grey", "saturating_add", "saxpy", "strided_sum", "transpose"),
)
VECTOR = 0xFD << 16
# Opcodes that take and give the same types: one becomes another.
FAMILIES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("opcode", (0x6A, 0x6B, 0x6C, 0x71, 0x72, 0x73)),
    ("opcode", (0x74, 0x75, 0x76)),
    ("opcode", (0x7C, 0x7D, 0x7E, 0x83, 0x84, 0x85)),
    ("opcode", (0x92, 0x93, 0x94, 0x95)),
    ("opcode", (0x5D, 0x5E, 0x5F, 0x60)),
    ("opcode", (0x2C, 0x2D)),
    ("bound", (0x48, 0x4A, 0x4C, 0x4E)),
    ("bound", (0x49, 0x4B, 0x4D, 0x4F)),
    ("bound", (0x46, 0x47)),
    ("opcode", tuple(VECTOR | c for c in (0x4E, 0x4F, 0x50, 0x51))),
    ("opcode", tuple(VECTOR | c for c in (0x6E, 0x71, 0x70, 0x73, 0x76, 0x77, 0x78, 0x79))),
    ("opcode", tuple(VECTOR | c for c in (0x41, 0x42, 0x43, 0x44, 0x45, 0x46))),
    ("opcode", tuple(VECTOR | c for c in (0x23, 0x24, 0x25, 0x26))),
)
SPREAD_FAMILIES: tuple[tuple[int, ...], ...] = (  # opcodes of two LEB bytes
    tuple(VECTOR | c for c in (0xAE, 0xB1, 0xB5, 0xB6, 0xB8)),
    tuple(VECTOR | c for c in (0xE4, 0xE5, 0xE6, 0xE7, 0xEA, 0xEB)),
    tuple(VECTOR | c for c in (0xAB, 0xAC, 0xAD)),
)
LOADS, STORES = range(0x28, 0x36), range(0x36, 0x3F)


@dataclass(frozen=True)
class Mutant:
    label: str  # of the module it was made from
    kind: str
    offset: int
    wasm: bytes


def leb(value: int, size: int, *, signed: bool) -> bytes | None:
    """A number in exactly `size` LEB bytes, or None."""
    if not signed and value < 0:
        return None
    found = bytes((value >> 7 * k & 0x7F) | (0x80 if k < size - 1 else 0) for k in range(size))
    limit = 7 * size - (1 if signed else 0)
    return found if -(1 << limit if signed else 0) <= value < 1 << limit else None


def changes(
    item: Instruction, end: int, data: bytes, rng: np.random.Generator
) -> Iterator[tuple[str, bytes]]:
    """Ways to rewrite one instruction without changing its length: (kind, new bytes)."""
    code, size, old = item.code, end - item.offset, data[item.offset : end]
    for kind, family in FAMILIES:
        if code in family:
            other = int(rng.choice([c for c in family if c != code]))
            prefix = b"\xfd" if other > 0xFF else b""
            yield kind, prefix + bytes([other & 0xFF]) + old[1 + len(prefix) :]
    for family in SPREAD_FAMILIES:
        if code in family:
            other = int(rng.choice([c for c in family if c != code]))
            yield "opcode", b"\xfd" + bytes([other & 0x7F | 0x80, other >> 7 & 0x7F]) + old[3:]
    if code in (0x41, 0x42):
        step = int(rng.choice([-1, 1, -4, 4, 16, item.argument or 1]))
        if changed := leb(item.argument + step, size - 1, signed=True):
            yield "constant", old[:1] + changed
    if code in (0x43, 0x44, VECTOR | 0x0C):
        place = int(rng.integers(size - (4 if code == 0x43 else 8 if code == 0x44 else 16), size))
        flipped = bytearray(old)
        flipped[place] ^= 1 << int(rng.integers(8))
        yield "constant", bytes(flipped)
    if code == VECTOR | 0x0D or VECTOR | 0x15 <= code <= VECTOR | 0x22:
        lanes = {0x15: 16, 0x16: 16, 0x17: 16, 0x18: 8, 0x19: 8, 0x1A: 8, 0x1D: 2, 0x1E: 2, 0x21: 2, 0x22: 2}
        count = 32 if code == VECTOR | 0x0D else lanes.get(code & 0xFF, 4)
        place = int(rng.integers(size - 16, size)) if count == 32 else size - 1
        moved = bytearray(old)
        moved[place] = (moved[place] + int(rng.integers(1, count))) % count
        yield "lane", bytes(moved)
    head = 2 if code > 0xFFFF else 1
    if (code in LOADS or code in STORES or code in (VECTOR, VECTOR | 0x0B)) and size >= head + 2:
        moved_by = int(rng.choice([-4, -1, 1, 4, 8]))
        if changed := leb(item.argument + moved_by, size - head - 1, signed=False):
            yield "offset", old[: head + 1] + changed
        yield "alignment", old[:head] + b"\0" + old[head + 1 :]
    if code in STORES or code == VECTOR | 0x0B:
        yield "dropped store", b"\x1a\x1a" + b"\x01" * (size - 2)
    if code == 0x0D and size == 2:
        yield "tail", b"\x1a\x01"


def mutants(label: str, data: bytes, rng: np.random.Generator, engine: wasmtime.Engine) -> Iterator[Mutant]:
    """Valid mutants of a module, in random order, each kind as likely as the others."""
    module = parse(data)
    found: dict[str, list[Mutant]] = {}
    for body in module.bodies:
        for item, after in itertools.pairwise(body):
            for kind, new in changes(item, after.offset, data, rng):
                changed = data[: item.offset] + new + data[after.offset :]
                if changed != data:
                    found.setdefault(kind, []).append(Mutant(label, kind, item.offset, changed))
    while found:
        kind = str(rng.choice(sorted(found)))
        chosen = found[kind].pop(int(rng.integers(len(found[kind]))))
        if not found[kind]:
            del found[kind]
        try:
            wasmtime.Module.validate(engine, chosen.wasm)
        except wasmtime.WasmtimeError:
            continue
        yield chosen


def search(pair: Pair, verdict: Verdict, runs: int, seed: int) -> Difference | None:
    """Inputs on which the mutant differs, at sizes for which it was proved (all sizes, if it was not)."""
    rng = np.random.default_rng(seed)
    sizes = range(verdict.n + 1) if verdict.proved else [*range(40), 64, 65, 100]
    cases = [case for n in sizes for case in pair.spec.domain.cases(n)]
    share, sweep = -(-runs // len(cases)), Sweep(pair)
    for numbers in cases:
        if found := sweep.run(numbers, share, rng, exact=verdict.kind == "equal"):
            return found
    return None


class Attack:
    """Makes mutants of the catalogue and keeps one prover for each kernel."""

    def __init__(self, *, most: int, deadline: float) -> None:
        table, self.modules = load_modules()
        self.kernels = {kernel.name: kernel for kernel in table.kernels}
        self.provers: dict[str, Prover] = {}
        self.most, self.deadline = most, deadline

    def prover(self, name: str) -> Prover:
        if name not in self.provers:
            self.provers[name] = Prover(Spec.of(self.kernels[name]), self.modules[f"{name}/scalar"])
        return self.provers[name]

    def make(self, count: int, seed: int) -> list[Mutant]:
        rng, engine = np.random.default_rng(seed), make_engine()
        labels = [
            row.label for name in KERNELS for row in self.kernels[name].variants if row.name != "scalar"
        ]
        found: list[Mutant] = []
        while len(found) < count:
            label = str(rng.choice(labels))
            found.append(next(mutants(label, self.modules[label], rng, engine)))
        return found

    def judge(self, mutant: Mutant, runs: int, seed: int) -> dict[str, Any]:
        """The verdict, and whether the mutant was seen to differ."""
        name = mutant.label.split("/")[0]
        prover = self.prover(name)
        verdict = prover.prove(mutant.wasm, self.most, self.deadline)
        found = verdict.counterexample
        if found is None:
            pair = Pair(prover.spec, prover.scalar, mutant.wasm)
            found = search(pair, verdict, runs, seed)
        row: dict[str, Any] = {"module": mutant.label, "kind": mutant.kind, "offset": mutant.offset}
        row |= {"verdict": verdict.kind, "n": verdict.n, "seconds": round(verdict.seconds, 2)}
        row |= {
            "differs": found is not None,
            "reason": verdict.reason[:120],
            "what": found.what if found else "",
        }
        return row


def attack(
    count: int, seeds: list[int], runs: int, *, most: int, deadline: float, say: bool
) -> dict[str, Any]:
    rows = []
    for seed in seeds:
        tool = Attack(most=most, deadline=deadline)
        for number, mutant in enumerate(tool.make(count, seed)):
            row = tool.judge(mutant, runs, seed * 1000 + number) | {"seed": seed}
            rows.append(row)
            if say:
                print(json.dumps(row), file=sys.stderr, flush=True)
    proved = [r for r in rows if r["verdict"] in ("equal", "reassociated", "fused")]
    refuted = [r for r in rows if r["verdict"] == "refuted"]
    differing = [r for r in rows if r["differs"]]
    return {
        "mutants": len(rows),
        "kinds": dict(Counter(r["kind"] for r in rows)),
        "verdicts": dict(Counter(r["verdict"] for r in rows)),
        "differing": len(differing),
        "refuted": len(refuted),
        "refuted_share": round(len(refuted) / max(1, len(differing)), 3),
        "proved": len(proved),
        "wrongly_proved": [r for r in proved if r["differs"]],
        "runs": runs,
        "seeds": seeds,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mutants", type=int, default=180, help="for each seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--runs", type=int, default=100_000, help="in wasmtime, for what is not refuted")
    parser.add_argument("--n", type=int, default=18)
    parser.add_argument("--deadline", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.monotonic()
    found = attack(
        options.mutants, options.seeds, options.runs, most=options.n, deadline=options.deadline, say=True
    )
    found["seconds"] = round(time.monotonic() - started)
    print(json.dumps(found, indent=1) if options.json else found)
    return 1 if found["wrongly_proved"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
