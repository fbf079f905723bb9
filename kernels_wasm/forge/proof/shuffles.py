"""SIMD opcodes that move lanes: constants, shuffles, splats, and single lanes out and in."""

from __future__ import annotations

from collections.abc import Callable

from kernels_wasm.forge.proof.lanes import Lanes, Vector
from kernels_wasm.forge.proof.values import Value, ones


class Shuffles(Lanes):
    """Adds the opcodes that move lanes."""

    def _moves(self) -> None:
        t = self.terms

        def constant(stack: list[Value], bits: int) -> None:
            stack.append((bits & ones(64), bits >> 64))

        def shuffle(stack: list[Value], places: int) -> None:
            b = stack.pop()
            chosen = [places >> 8 * k & 255 for k in range(16)]
            for size in (8, 4, 2, 1):  # the widest lanes that move whole
                starts = chosen[::size]
                if all(s % size == 0 for s in starts) and all(
                    chosen[k + j] == chosen[k] + j for k in range(0, 16, size) for j in range(size)
                ):
                    both = self.lanes(stack[-1], 16 // size) + self.lanes(b, 16 // size)
                    stack[-1] = tuple(both[s // size] for s in starts)
                    return

        self.general[0x0C], self.general[0x0D] = constant, shuffle
        self.binary[0x0E] = self.binary[0x100] = self.swizzle
        for code, count in zip(range(0x0F, 0x15), (16, 8, 4, 2, 4, 2), strict=True):
            self.unary(code, lambda x, n=count: (t.extract(x, 0, 128 // n),) * n)  # type: ignore[misc]

        def extract(count: int, sign: bool) -> Callable[[list[Value], int], None]:
            width = 128 // count

            def apply(stack: list[Value], lane: int) -> None:
                x = self.lanes(stack[-1], count)[lane]
                extend = t.sign_extend if sign else t.extend
                stack[-1] = extend(x, width, 32) if width < 32 else x

            return apply

        def replace(count: int) -> Callable[[list[Value], int], None]:
            def apply(stack: list[Value], lane: int) -> None:
                x = t.extract(stack.pop(), 0, 128 // count)
                v = self.lanes(stack[-1], count)
                stack[-1] = (*v[:lane], x, *v[lane + 1 :])

            return apply

        for code, count, sign in (
            *((0x15, 16, True), (0x16, 16, False), (0x18, 8, True), (0x19, 8, False)),
            *((0x1B, 4, False), (0x1D, 2, False), (0x1F, 4, False), (0x21, 2, False)),
        ):
            self.general[code] = extract(count, sign)
        for code, count in ((0x17, 16), (0x1A, 8), (0x1C, 4), (0x1E, 2), (0x20, 4), (0x22, 2)):
            self.general[code] = replace(count)

    def swizzle(self, a: Vector, b: Vector) -> Vector:
        """a's byte at each index of b; 0 past 15 (relaxed: the specification's deterministic choice)."""
        t, table = self.terms, self.lanes(a, 16)
        found: list[Value] = []
        for index in self.lanes(b, 16):
            if type(index) is int:
                found.append(table[index] if index < 16 else 0)
                continue
            cells = tuple(table[k] if k < 16 else 0 for k in range(index.low, index.high + 1))
            found.append(t.select(index, cells, 8))
        return tuple(found)
