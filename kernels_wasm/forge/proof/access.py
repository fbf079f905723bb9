"""Loads and stores of every size, at known addresses or at a symbolic one with few values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kernels_wasm.forge.proof.facts import Facts
from kernels_wasm.forge.proof.memory import Memory, spaced
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Term, Undecided, Value

PAGE = 65536


class Access:
    """Tables from opcode to function: `loads` (address, immediate), `stores` (address, value, immediate)."""

    def __init__(self, memory: Memory, terms: Terms, facts: Facts) -> None:
        self.memory, self.terms, self.facts = memory, terms, facts
        self.loads: dict[int, Callable[[Value, int], Value]] = {}
        self.stores: dict[int, Callable[[Value, Value, int], None]] = {}
        self.bulk: dict[int, Callable[[Value, Value, Value], None]] = {
            0xFC << 16 | 10: self.copy,
            0xFC << 16 | 11: self.fill,
        }
        self.general: dict[int, Callable[[list[Value], int], None]] = {}
        self._scalars()
        self._vectors()
        self._lanes()

    def load(self, address: Value, size: int) -> Value:
        if type(address) is int:
            if address + size > self.memory.size:
                raise Undecided("a load beyond the memory")
            return self.memory.load(address, size)
        low, high, step = self._places(address)
        if high + size > self.memory.size:
            raise Undecided("a load that may lie beyond the memory")
        cells = tuple(self.memory.load(at, size) for at in range(low, high + 1, step))
        return self.terms.select(*self._index(address, low, step, cells), 8 * size)

    def _places(self, address: Term) -> tuple[int, int, int]:
        found = spaced(address)
        if found is None:
            raise Undecided("a load or store at a symbolic address")
        return found

    def _index(
        self, address: Term, low: int, step: int, cells: tuple[Value, ...]
    ) -> tuple[Term, tuple[Value, ...]]:
        """The address without its base and scale, so that tables elsewhere give the same term."""
        index = self.plain_index(address, low, step)
        if len(cells) != index.high - index.low + 1:
            raise Undecided("a symbolic address with gaps")
        narrow: Term = self.terms.extract(index, 0, max(index.high.bit_length(), 1))
        if (narrow.low, narrow.high) != (index.low, index.high):
            raise Undecided("a symbolic address whose bounds are unclear")
        return narrow, cells

    def plain_index(self, address: Term, low: int, step: int) -> Term:
        _, terms = self.terms.linear_of(address, 32)
        whole = {term: (f if f < 1 << 31 else f - (1 << 32)) // step for term, f in terms.items()}
        floor = sum(min(f * t.low, f * t.high) for t, f in whole.items())
        index: Term = self.terms.linear(-floor if floor < 0 else 0, whole, 32)
        if index.high - index.low != (address.high - low) // step:
            raise Undecided("a symbolic address that wraps")
        return index

    def store(self, address: Value, value: Value, size: int) -> None:
        if type(address) is int:
            if address + size > self.memory.size:
                raise Undecided("a store beyond the memory")
            self.memory.store(address, value, size)
            return
        low, high, step = self._places(address)
        if high + size > self.memory.size:
            raise Undecided("a store that may lie beyond the memory")
        if step % size:
            raise Undecided("a store at a symbolic address that is not a multiple of its size")
        index, cells = self._index(address, low, step, tuple(range(low, high + 1, step)))
        least, most = self.facts.range(address)
        for at, place in enumerate(cells):
            here = self.facts.decide(self.terms.eq(index, index.low + at, index.width))
            if (type(here) is int and not here) or not least <= place <= most:
                continue
            old = self.memory.load(place, size)
            new = self.narrowed(value, index, at)
            self.memory.store(place, self.terms.ite(here, new, old, 8 * size), size)

    def narrowed(self, value: Value, index: Term, at: int) -> Value:
        """The value where the index is known to be the at-th."""
        if type(value) is int:
            return value
        if value.op == "select" and value.args[0] is index:
            return value.args[1][at]
        if value.op == "sum":
            constant, terms = value.args[0], value.args[1]
            found: Value = constant
            for term, factor in terms:
                found = self.terms.combine(found, self.narrowed(term, index, at), factor, value.width)
            return found
        return value

    def _scalars(self) -> None:
        t = self.terms

        def plain(size: int) -> Callable[[Value, int], Value]:
            return lambda address, offset: self.load(self.place(address, offset), size)

        def extended(size: int, to: int, sign: bool) -> Callable[[Value, int], Value]:
            extend = t.sign_extend if sign else t.extend
            return lambda address, offset: extend(self.load(self.place(address, offset), size), 8 * size, to)

        def cut(size: int) -> Callable[[Value, Value, int], None]:
            def apply(address: Value, value: Value, offset: int) -> None:
                self.store(self.place(address, offset), t.extract(value, 0, 8 * size), size)

            return apply

        self.loads |= {code: plain(size) for code, size in ((0x28, 4), (0x29, 8), (0x2A, 4), (0x2B, 8))}
        for code, size, to in ((0x2C, 1, 32), (0x2E, 2, 32), (0x30, 1, 64), (0x32, 2, 64), (0x34, 4, 64)):
            self.loads[code], self.loads[code + 1] = extended(size, to, True), extended(size, to, False)
        for code, size in zip(range(0x36, 0x3F), (4, 8, 4, 8, 1, 2, 1, 2, 4), strict=True):
            self.stores[code] = cut(size)

    def place(self, address: Value, offset: int) -> Value:
        """The effective address, which does not wrap."""
        if type(address) is int:
            return address + offset
        if address.high + offset > 0xFFFFFFFF:
            raise Undecided("a symbolic address without bounds")
        return self.terms.add(address, offset, 32)

    def _vectors(self) -> None:
        t = self.terms

        def put(code: int, f: Callable[[Value], Value]) -> None:
            self.loads[0xFD << 16 | code] = lambda address, offset: f(self.place(address, offset))

        def whole(address: Value) -> Value:
            if type(address) is int:
                return self.quarters(address)
            return tuple(self.load(t.add(address, 4 * k, 32), 4) for k in range(4))

        put(0x00, whole)
        for code, size, sign in (
            (1, 1, True),
            (2, 1, False),
            (3, 2, True),
            (4, 2, False),
            (5, 4, True),
            (6, 4, False),
        ):

            def widen(address: Value, b: int = size, s: bool = sign) -> Value:
                extend = t.sign_extend if s else t.extend
                return tuple(
                    extend(self.load(t.add(address, at, 32), b), 8 * b, 16 * b) for at in range(0, 8, b)
                )

            put(code, widen)
        for code, size in ((0x07, 1), (0x08, 2), (0x09, 4), (0x0A, 8)):
            put(code, partial(self.splat, size))
        put(0x5C, lambda address: (self.load(address, 4), 0, 0, 0))
        put(0x5D, lambda address: (self.load(address, 8), 0))

        def store_whole(address: Value, value: Value, offset: int) -> None:
            at, size = self.place(address, offset), 16 // len(value)
            for k, lane in enumerate(value):
                self.store(t.add(at, size * k, 32), lane, size)

        self.stores[0xFD << 16 | 0x0B] = store_whole

    def splat(self, size: int, address: Value) -> Value:
        return (self.load(address, size),) * (16 // size)

    def _lanes(self) -> None:
        """Loads and stores of one lane; the immediate is offset << 4 | lane."""
        t = self.terms

        def cut(v: Value, count: int) -> list[Value]:
            if len(v) >= count:
                size, parts = 128 // len(v), len(v) // count
                groups = (v[k : k + parts] for k in range(0, len(v), parts))
                return [join(g, size) for g in groups]
            parts = count // len(v)
            return [t.extract(x, k * 128 // count, 128 // count) for x in v for k in range(parts)]

        def join(group: Value, size: int) -> Value:
            if all(type(x) is int for x in group):
                return sum(x << size * k for k, x in enumerate(group))
            return t.concat(tuple((x, size) for x in group))

        for code, size in ((0x54, 1), (0x55, 2), (0x56, 4), (0x57, 8)):

            def load(stack: list[Value], immediate: int, b: int = size) -> None:
                v = cut(stack.pop(), 16 // b)
                v[immediate & 15] = self.load(self.place(stack.pop(), immediate >> 4), b)
                stack.append(tuple(v))

            def store(stack: list[Value], immediate: int, b: int = size) -> None:
                v = cut(stack.pop(), 16 // b)
                self.store(self.place(stack.pop(), immediate >> 4), v[immediate & 15], b)

            self.general[0xFD << 16 | code] = load
            self.general[0xFD << 16 | code + 4] = store

    def quarters(self, address: int) -> Value:
        """16 bytes in the lanes in which they were written."""
        if address + 16 > self.memory.size:
            raise Undecided("a load beyond the memory")
        size = self.memory.cell(address)[2]
        if size in (2, 8):
            return tuple(self.memory.load(address + at, size) for at in range(0, 16, size))
        if size == 1:
            return tuple(self.memory.load(address + at, 1) for at in range(16))
        return tuple(self.memory.load(address + at, 4) for at in range(0, 16, 4))

    def copy(self, to: Value, source: Value, size: Value) -> None:
        if not type(to) is type(source) is type(size) is int:
            raise Undecided("memory.copy with a symbolic argument")
        if max(to, source) + size > self.memory.size:
            raise Undecided("memory.copy beyond the memory")
        cells = [self.memory.cell(source + k) for k in range(size)]
        for k, cell in enumerate(cells):
            self.memory.layers[-1][to + k] = cell

    def fill(self, to: Value, value: Value, size: Value) -> None:
        if not type(to) is type(value) is type(size) is int:
            raise Undecided("memory.fill with a symbolic argument")
        if to + size > self.memory.size:
            raise Undecided("memory.fill beyond the memory")
        for k in range(size):
            self.memory.store(to + k, value & 255, 1)
