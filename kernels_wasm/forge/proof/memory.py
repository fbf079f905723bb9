"""Linear memory with known addresses: a cell remembers the value it is a byte of, so words come back whole."""

from __future__ import annotations

import math
from collections.abc import Iterable

from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Value, signed

Cell = tuple[Value, int, int]  # the value, which byte of it, how many bytes it has


class Memory:
    """Layers of cells: a branch writes into a layer of its own, which is merged where the branches meet."""

    def __init__(self, terms: Terms, cells: dict[int, Cell], size: int) -> None:
        self.terms, self.base, self.size = terms, cells, size
        self.layers: list[dict[int, Cell]] = [{}]
        self.strange_reads: set[int] = set()  # addresses of no array, table or stack

    def cell(self, address: int) -> Cell:
        for layer in reversed(self.layers):
            found = layer.get(address)
            if found is not None:
                return found
        found = self.base.get(address)
        if found is None:
            self.strange_reads.add(address)
            found = self.base[address] = (self.terms.symbol(f"memory {address}", 8), 0, 1)
        return found

    def load(self, address: int, size: int) -> Value:
        """`size` bytes, lowest first, as one value."""
        first, start, whole = self.cell(address)
        if size == 1 and whole == 1:
            return first
        cells = [self.cell(address + k) for k in range(1, size)]
        if start + size <= whole and all(
            c[0] is first and c[1] == start + k and c[2] == whole for k, c in enumerate(cells, 1)
        ):
            return first if size == whole else self.terms.extract(first, 8 * start, 8 * size)
        t = self.terms
        pieces = tuple((t.extract(v, 8 * at, 8), 8) for v, at, _ in ((first, start, whole), *cells))
        if all(type(p) is int for p, _ in pieces):
            return sum(p << 8 * k for k, (p, _) in enumerate(pieces))
        return t.concat(pieces)

    def store(self, address: int, value: Value, size: int) -> None:
        layer = self.layers[-1]
        if size == 1:
            layer[address] = (value, 0, 1)
        elif type(value) is int:  # constants of every size look the same
            for k in range(size):
                layer[address + k] = (value >> 8 * k & 255, 0, 1)
        else:
            for k in range(size):
                layer[address + k] = (value, k, size)

    def fork(self) -> None:
        self.layers.append({})

    def drop(self) -> dict[int, Cell]:
        return self.layers.pop()

    def merge(self, condition: Value, yes: dict[int, Cell], no: dict[int, Cell]) -> None:
        """Write what both sides of a branch left behind."""
        t = self.terms
        done: set[int] = set()
        for address in sorted(yes.keys() | no.keys()):
            if address in done:
                continue
            size = max(self._whole(yes, address), self._whole(no, address))
            values = []
            for layer in (yes, no):
                self.layers.append(layer)
                values.append(self.load(address, size))
                self.layers.pop()
            self.store(address, t.ite(condition, values[0], values[1], 8 * size), size)
            done.update(range(address, address + size))

    @staticmethod
    def _whole(layer: dict[int, Cell], address: int) -> int:
        cell = layer.get(address)
        if cell is None or cell[1]:
            return 1
        value, _, size = cell
        for k in range(1, size):
            if (other := layer.get(address + k)) is None or other[0] is not value or other[1] != k:
                return 1
        return size

    def written(self) -> Iterable[int]:
        return self.layers[0].keys()


def spaced(address: Value) -> tuple[int, int, int] | None:
    """Lowest, highest and step of the values that an address can take, if they are few."""
    if type(address) is int:
        return address, address, 1
    low, high, step = address.low, address.high, 1
    if address.op == "sum":
        step = math.gcd(*(signed(f, address.width) for _, f in address.args[1]))
    elif address.op == "concat" and address.args[0][0] == 0:
        step = 1 << address.args[0][1]
    return (low, high, step) if (high - low) // step <= 4200 else None
