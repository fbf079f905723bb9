"""What each SIMD opcode computes: arithmetic here, moves of lanes in shuffles.py, logic in masks.py.

Opcode numbers and lane shapes follow the order of the specification, so that one row covers a shape.
"""

from __future__ import annotations

from collections.abc import Callable

from kernels_wasm.forge.proof.floats import Floats
from kernels_wasm.forge.proof.lanes import Lanewise, Vector
from kernels_wasm.forge.proof.masks import Masks
from kernels_wasm.forge.proof.shuffles import Shuffles
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Undecided, Value, bounds, ones


class Vectors(Shuffles, Masks):
    """All SIMD opcodes but loads and stores."""

    def __init__(self, terms: Terms, floats: Floats) -> None:
        super().__init__(terms, floats)
        self._moves()
        self._logic()
        self._compares()
        self._integers()
        self._widening()
        self._floats()
        self._relaxed()

    def clamp(self, x: Value, w: int, low: int, high: int) -> Value:
        """Saturate a signed w-bit value to [low, high]."""
        t, mask = self.terms, ones(w)
        x = t.ite(t.slt(x, low & mask, w), low & mask, x, w)
        return t.ite(t.slt(high & mask, x, w), high & mask, x, w)

    def _saturating(self, sign: bool, minus: bool) -> Lanewise:
        t = self.terms

        def apply(x: Value, y: Value, w: int) -> Value:
            extend, wide = (t.sign_extend if sign else t.extend), w + 2
            total = t.combine(extend(x, w, wide), extend(y, w, wide), -1 if minus else 1, wide)
            low, high = (-(1 << (w - 1)), ones(w - 1)) if sign else (0, ones(w))
            return t.extract(self.clamp(total, wide, low, high), 0, w)

        return apply

    def minimum(self, x: Value, y: Value, w: int, sign: bool, largest: bool) -> Value:
        t = self.terms
        less = (t.slt if sign else t.ult)(x, y, w)
        return t.ite(less, y, x, w) if largest else t.ite(less, x, y, w)

    def _integers(self) -> None:
        t = self.terms
        for base, count in ((0x60, 16), (0x80, 8), (0xA0, 4), (0xC0, 2)):
            width = 128 // count
            self.each(base, count, lambda x, w: t.ite(t.extract(x, w - 1, 1), t.sub(0, x, w), x, w))
            self.each(base + 1, count, lambda x, w: t.sub(0, x, w))
            for k, name in enumerate(("shl", "shr_s", "shr_u")):
                self.general[base + 0x0B + k] = self._shift(name, count)
            self.pairs(base + 0x0E, count, t.add)
            self.pairs(base + 0x11, count, t.sub)
            if width in (16, 32, 64):
                self.pairs(base + 0x15, count, t.mul)
            if width < 32:
                for k, sign in enumerate((True, False)):
                    self.pairs(base + 0x0F + k, count, self._saturating(sign, False))
                    self.pairs(base + 0x12 + k, count, self._saturating(sign, True))
                self.pairs(base + 0x1B, count, self._average)
            if width < 64:
                for k, (sign, largest) in enumerate(
                    ((True, False), (False, False), (True, True), (False, True))
                ):
                    self.pairs(
                        base + 0x16 + k,
                        count,
                        lambda x, y, w, s=sign, m=largest: self.minimum(x, y, w, s, m),  # type: ignore[misc]
                    )
        self.each(0x62, 16, lambda x, w: x.bit_count() if type(x) is int else t.make("popcnt", w, x, high=w))

    def _average(self, x: Value, y: Value, w: int) -> Value:
        t = self.terms
        total = t.add(t.add(t.extend(x, w, w + 1), t.extend(y, w, w + 1), w + 1), 1, w + 1)
        return t.extract(total, 1, w)

    def _shift(self, name: str, count: int) -> Callable[[list[Value], int], None]:
        t, width = self.terms, 128 // count

        def apply(stack: list[Value], _: int) -> None:
            by = stack.pop()
            v = self.lanes(stack[-1], count)
            if type(by) is int:
                by %= width
                if name == "shl":
                    stack[-1] = tuple(t.shift_left(x, by, width) for x in v)
                else:
                    stack[-1] = tuple(t.shift_right(x, by, width, name == "shr_s") for x in v)
                return
            bits = width.bit_length() - 1
            by = t.extend(t.extract(by, 0, bits), bits, width)
            stack[-1] = tuple(t.make(name, width, x, by) for x in v)

        return apply

    def _widening(self) -> None:
        t = self.terms

        def extend(x: Value, w: int, sign: bool) -> Value:
            return t.sign_extend(x, w, 2 * w) if sign else t.extend(x, w, 2 * w)

        for code, count, sign in ((0x7C, 16, True), (0x7D, 16, False), (0x7E, 8, True), (0x7F, 8, False)):

            def add_pairs(v: Vector, n: int = count, s: bool = sign) -> Vector:
                w, lanes = 128 // n, self.lanes(v, n)
                return tuple(
                    t.add(extend(lanes[k], w, s), extend(lanes[k + 1], w, s), 2 * w) for k in range(0, n, 2)
                )

            self.unary(code, add_pairs)
        for base, count in ((0x80, 16), (0xA0, 8), (0xC0, 4)):
            for k, (sign, high) in enumerate(((True, 0), (True, 1), (False, 0), (False, 1))):

                def widen(v: Vector, n: int = count, s: bool = sign, h: int = high) -> Vector:
                    half = self.lanes(v, n)[h * n // 2 : (h + 1) * n // 2]
                    return tuple(extend(x, 128 // n, s) for x in half)

                def multiply(
                    a: Vector, b: Vector, widen: Callable[[Vector], Vector] = widen, w: int = 256 // count
                ) -> Vector:
                    return tuple(t.mul(x, y, w) for x, y in zip(widen(a), widen(b), strict=True))

                self.unary(base + 7 + k, widen)
                self.binary[base + 0x1C + k] = multiply
        for base, count in ((0x60, 8), (0x80, 4)):
            for k, sign in enumerate((True, False)):

                def narrow(a: Vector, b: Vector, n: int = count, s: bool = sign) -> Vector:
                    w = 128 // n
                    low, high = (-(1 << (w // 2 - 1)), ones(w // 2 - 1)) if s else (0, ones(w // 2))
                    lanes = (*self.lanes(a, n), *self.lanes(b, n))
                    return tuple(t.extract(self.clamp(x, w, low, high), 0, w // 2) for x in lanes)

                self.binary[base + 5 + k] = narrow

        def dot(a: Vector, b: Vector) -> Vector:
            x, y = ([extend(lane, 16, True) for lane in self.lanes(v, 8)] for v in (a, b))
            products = [t.mul(p, q, 32) for p, q in zip(x, y, strict=True)]
            return tuple(t.add(products[k], products[k + 1], 32) for k in range(0, 8, 2))

        def rounded(x: Value, y: Value, w: int) -> Value:
            product = t.mul(t.sign_extend(x, w, 32), t.sign_extend(y, w, 32), 32)
            total = t.shift_right(t.add(product, 0x4000, 32), 15, 32, True)
            return t.extract(self.clamp(total, 32, -0x8000, 0x7FFF), 0, w)

        self.binary[0xBA] = dot
        for code in (0x82, 0x111):
            self.pairs(code, 8, rounded)

    def _floats(self) -> None:
        t, f = self.terms, self.floats
        for base, count in ((0xE0, 4), (0xEC, 2)):
            self.each(base, count, f.abs)
            self.each(base + 1, count, f.neg)
            self.each(base + 3, count, lambda x, w: f.unary("fsqrt", x, w))
            for k, operation in enumerate((f.add, f.sub, f.mul, f.div), 4):
                self.pairs(base + k, count, operation)
            for k, name in enumerate(("fmin", "fmax"), 8):
                self.pairs(base + k, count, lambda x, y, w, name=name: f.binary(name, x, y, w))  # type: ignore[misc]
            self.pairs(base + 10, count, lambda x, y, w: t.ite(f.lt(y, x, w), y, x, w))
            self.pairs(base + 11, count, lambda x, y, w: t.ite(f.lt(x, y, w), y, x, w))
        for codes, count in (((0x67, 0x68, 0x69, 0x6A), 4), ((0x74, 0x75, 0x7A, 0x94), 2)):
            for code, name in zip(codes, ("fceil", "ffloor", "ftrunc", "fnearest"), strict=True):
                self.each(code, count, lambda x, w, name=name: f.unary(name, x, w))  # type: ignore[misc]
        for k, sign in enumerate((True, False)):
            for code in (0xF8 + k, 0x101 + k):
                self.each(code, 4, lambda x, w, s=sign: f.to_int(x, 32, s, 32))  # type: ignore[misc]
            self.each(0xFA + k, 4, lambda x, w, s=sign: f.from_int(x, s, 32, 32))  # type: ignore[misc]
            for code in (0xFC + k, 0x103 + k):
                self.unary(
                    code,
                    lambda v, s=sign: (*(f.to_int(x, 64, s, 32) for x in self.lanes(v, 2)), 0, 0),  # type: ignore[misc]
                )
            self.unary(
                0xFE + k,
                lambda v, s=sign: tuple(f.from_int(x, s, 32, 64) for x in self.lanes(v, 4)[:2]),  # type: ignore[misc]
            )
        self.unary(0x5E, lambda v: (*(f.resize(x, 64, 32) for x in self.lanes(v, 2)), 0, 0))
        self.unary(0x5F, lambda v: tuple(f.resize(x, 32, 64) for x in self.lanes(v, 4)[:2]))

    def _relaxed(self) -> None:
        t, f = self.terms, self.floats

        def fused(count: int, negate: bool) -> Callable[[list[Value], int], None]:
            w = 128 // count

            def apply(stack: list[Value], _: int) -> None:
                c, b, a = (self.lanes(stack.pop(), count) for _ in range(3))
                triples = zip(a, b, c, strict=True)
                stack.append(tuple(f.madd(f.neg(x, w) if negate else x, y, z, w) for x, y, z in triples))

            return apply

        for first, count in ((0x105, 4), (0x107, 2)):
            self.general[first], self.general[first + 1] = fused(count, False), fused(count, True)

        def products(a: Vector, b: Vector) -> list[Value]:
            """i8 × i7 pairs, summed to 16 bits; exact while nothing saturates, which the bounds must show."""
            x, y = ([t.sign_extend(lane, 8, 16) for lane in self.lanes(v, 16)] for v in (a, b))
            for lane in self.lanes(b, 16):
                if bounds(lane)[1] > 127:
                    raise Undecided("relaxed dot product of bytes above 127")
            terms = [t.mul(p, q, 16) for p, q in zip(x, y, strict=True)]
            return [t.add(terms[k], terms[k + 1], 16) for k in range(0, 16, 2)]

        def dot_add(stack: list[Value], _: int) -> None:
            c, b, a = stack.pop(), stack.pop(), stack.pop()
            sums = [t.sign_extend(s, 16, 32) for s in products(a, b)]
            total = [t.add(sums[k], sums[k + 1], 32) for k in range(0, 8, 2)]
            stack.append(tuple(t.add(x, y, 32) for x, y in zip(total, self.lanes(c, 4), strict=True)))

        self.binary[0x112] = lambda a, b: tuple(products(a, b))
        self.general[0x113] = dot_add
