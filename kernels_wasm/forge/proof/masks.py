"""SIMD opcodes of bits and masks: bitwise logic, tests of all lanes, comparisons."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from kernels_wasm.forge.proof.lanes import Lanes, Lanewise, Vector
from kernels_wasm.forge.proof.values import Value, ones


class Masks(Lanes):
    """Adds bitwise logic and comparisons; a comparison fills each lane with ones or zeros."""

    def _logic(self) -> None:
        t = self.terms

        def both(f: Lanewise) -> Callable[[Vector, Vector], Vector]:
            def apply(a: Vector, b: Vector) -> Vector:
                count = max(len(a), len(b))
                pairs = zip(self.lanes(a, count), self.lanes(b, count), strict=True)
                return tuple(f(x, y, 128 // count) for x, y in pairs)

            return apply

        def invert(x: Value, w: int) -> Value:
            return t.xor_(x, ones(w), w)

        self.unary(0x4D, lambda v: tuple(invert(x, 128 // len(v)) for x in v))
        self.binary[0x4E] = both(t.and_)
        self.binary[0x4F] = both(lambda x, y, w: t.and_(x, invert(y, w), w))
        self.binary[0x50], self.binary[0x51] = both(t.or_), both(t.xor_)

        def bitselect(stack: list[Value], _: int) -> None:
            mask, no = stack.pop(), stack.pop()
            yes = stack[-1]
            count = max(len(mask), len(yes), len(no)) if not self._masks(mask) else len(mask)
            triples = zip(*(self.lanes(v, count) for v in (yes, no, mask)), strict=True)
            stack[-1] = tuple(self.choose(a, b, m, 128 // count) for a, b, m in triples)

        for code in (0x52, 0x109, 0x10A, 0x10B, 0x10C):
            self.general[code] = bitselect
        self.unary(0x53, lambda v: self.flag(reduce(lambda a, b: t.or_(a, b, 1), self._nonzero(v))))
        for code, count in ((0x63, 16), (0x83, 8), (0xA3, 4), (0xC3, 2)):
            self.unary(
                code,
                lambda v, n=count: self.flag(  # type: ignore[misc]
                    reduce(lambda a, b: t.and_(a, b, 1), self._nonzero(self.lanes(v, n)))
                ),
            )
        for code, count in ((0x64, 16), (0x84, 8), (0xA4, 4), (0xC4, 2)):
            self.unary(code, lambda v, n=count: self._bitmask(v, n))  # type: ignore[misc]

    @staticmethod
    def _masks(v: Vector) -> bool:
        return all(type(x) is int or (x.op == "sext" and x.args[0].width == 1) for x in v)

    def choose(self, yes: Value, no: Value, mask: Value, w: int) -> Value:
        t = self.terms
        if type(mask) is not int and mask.op == "sext" and mask.args[0].width == 1:
            return t.ite(mask.args[0], yes, no, w)
        return t.or_(t.and_(yes, mask, w), t.and_(no, t.xor_(mask, ones(w), w), w), w)

    def _nonzero(self, v: Vector) -> list[Value]:
        return [self.terms.not_(self.terms.eq(x, 0, 128 // len(v))) for x in v]

    def _bitmask(self, v: Vector, count: int) -> Value:
        width = 128 // count
        bits = [self.terms.extract(x, width - 1, 1) for x in self.lanes(v, count)]
        if all(type(b) is int for b in bits):
            return sum(b << k for k, b in enumerate(bits))
        return self.terms.concat((*((b, 1) for b in bits), (0, 32 - count)))

    def _compares(self) -> None:
        t, f = self.terms, self.floats
        tests: tuple[Lanewise, ...] = (
            t.eq,
            lambda x, y, w: t.not_(t.eq(x, y, w)),
            t.slt,
            t.ult,
            lambda x, y, w: t.slt(y, x, w),
            lambda x, y, w: t.ult(y, x, w),
            lambda x, y, w: t.not_(t.slt(y, x, w)),
            lambda x, y, w: t.not_(t.ult(y, x, w)),
            lambda x, y, w: t.not_(t.slt(x, y, w)),
            lambda x, y, w: t.not_(t.ult(x, y, w)),
        )

        def put(code: int, count: int, test: Lanewise) -> None:
            self.pairs(code, count, lambda x, y, w: self.mask(test(x, y, w), w))

        for first, count in ((0x23, 16), (0x2D, 8), (0x37, 4)):
            for k, test in enumerate(tests):
                put(first + k, count, test)
        for k, test in enumerate((*tests[:3], tests[4], tests[6], tests[8]), 0xD6):
            put(k, 2, test)
        for first, count in ((0x41, 4), (0x47, 2)):
            put(first, count, f.eq)
            put(first + 1, count, lambda x, y, w: t.not_(f.eq(x, y, w)))
            put(first + 2, count, f.lt)
            put(first + 3, count, lambda x, y, w: f.lt(y, x, w))
            put(first + 4, count, f.le)
            put(first + 5, count, lambda x, y, w: f.le(y, x, w))
