"""Values of several rounds at once in 128-bit registers: formats, conversions and lane-wise operators.

An integer travels in the narrowest lanes that hold its range (u8, i16, u16, i32); a value of L rounds fills
L * width / 16 registers. Lines are C with the intrinsics of wasm_simd128.h.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kernels_wasm.forge import ranges
from kernels_wasm.translate import ir
from kernels_wasm.translate.printing import bare

WIDTHS = {"u8": 1, "i16": 2, "u16": 2, "i32": 4, "f32": 4, "f64": 8}
LIMITS = {"u8": (0, 255), "i16": (-32768, 32767), "u16": (0, 65535)}
FLOAT_SHAPES = {"f32": "f32x4", "f64": "f64x2"}
SHAPES = {1: "i8x16", 2: "i16x8", 4: "i32x4", 8: "i64x2"}
CASTS = {1: "i8", 2: "i16", 4: "i32"}
Registers = list[str]


def fits(bounds: tuple[int, int], form: str) -> bool:
    low, high = LIMITS.get(form, (-(1 << 31), (1 << 32) - 1))
    return low <= bounds[0] and bounds[1] <= high


class Lanes:
    """Emits one block: `rounds` consecutive rounds. `load` and `varies` are the loop's own business."""

    def __init__(
        self,
        rounds: int,
        varies: Callable[[ir.Expr], bool],
        load: Callable[[ir.Load], tuple[str, Registers]],
        scalar: Callable[[ir.Expr, int], str],
        fresh: Callable[[], str],
        *,
        relaxed: bool,
    ) -> None:
        self.rounds, self.varies, self.load, self.scalar, self.fresh = rounds, varies, load, scalar, fresh
        self.relaxed = relaxed
        self.lines: list[str] = []
        self.known: dict[ir.Expr, tuple[str, Registers]] = {}
        self.masks: dict[ir.Expr, tuple[int, Registers]] = {}
        self.given: dict[ir.Expr, tuple[str, Registers]] = {}  # values that the loop computed itself

    def put(self, text: str) -> str:
        """A new register with that value."""
        word = self.fresh()
        self.lines.append(f"v128_t {word} = {text};")
        return word

    def each(self, name: str, *operands: Sequence[str]) -> Registers:
        """One intrinsic over registers side by side."""
        return [self.put(f"wasm_{name}({', '.join(parts)})") for parts in zip(*operands, strict=True)]

    def least(self) -> int:
        """Bytes of the narrowest lanes: those of which a block just fills one register."""
        return 16 // self.rounds

    def form(self, node: ir.Expr) -> str:
        """The format in which an expression's value travels."""
        if node.type in ir.FLOATS:
            return node.type
        bounds = ranges.of(node)
        return next((f for f in ("u8", "i16", "u16") if fits(bounds, f) and WIDTHS[f] >= self.least()), "i32")

    def splat(self, node: ir.Expr, width: int) -> Registers:
        """A value that is the same in every round."""
        text = bare(self.scalar(node, 0))
        count = self.rounds * width // 16
        if node.type in ir.FLOATS:
            return [self.put(f"wasm_{'f32x4' if node.type == 'f32' else 'f64x2'}_splat({text})")] * count
        return [self.put(f"wasm_{SHAPES[width]}_splat(({CASTS[width]})({text}))")] * count

    def value(self, node: ir.Expr) -> tuple[str, Registers]:
        """Format and registers of a number."""
        if node in self.given:
            return self.given[node]
        if node not in self.known:
            if not self.varies(node):
                form = self.form(node)
                self.known[node] = form, self.splat(node, WIDTHS[form])
            else:
                self.known[node] = self.compute(node)
        return self.known[node]

    def bits(self, node: ir.Expr, width: int) -> Registers:
        """The value modulo 2 ** (8 * width), in lanes of that width."""
        if node not in self.given and not self.varies(node):
            return self.splat(node, width)
        form, registers = self.value(node)
        while WIDTHS[form] < width:
            form, registers = self.wider(form, registers)
        bounds = ranges.of(node)
        while WIDTHS[form] > width:
            form, registers = self.narrower(form, registers, bounds, width)
        return registers

    def wider(self, form: str, registers: Registers) -> tuple[str, Registers]:
        name, target = {
            "u8": ("u16x8_extend_{}_u8x16", "i16"),
            "i16": ("i32x4_extend_{}_i16x8", "i32"),
            "u16": ("u32x4_extend_{}_u16x8", "i32"),
        }[form]
        halves = [self.put(f"wasm_{name.format(half)}({r})") for r in registers for half in ("low", "high")]
        return target, halves

    def narrower(
        self, form: str, registers: Registers, bounds: tuple[int, int], width: int
    ) -> tuple[str, Registers]:
        pairs = list(zip(registers[::2], registers[1::2], strict=True))
        if form == "i32":
            target = "i16" if fits(bounds, "i16") else "u16"
            if not fits(bounds, target) or (width == 1 and not fits(bounds, "u8")):
                mask = self.put(f"wasm_i32x4_splat({'0xff' if width == 1 else '0xffff'})")
                pairs = [(self.put(f"wasm_v128_and({a}, {mask})"), self.put(f"wasm_v128_and({b}, {mask})"))
                         for a, b in pairs]  # fmt: skip
                target = "u16"
            return target, [self.put(f"wasm_{target}x8_narrow_i32x4({a}, {b})") for a, b in pairs]
        if not fits(bounds, "u8"):
            mask = self.put("wasm_i16x8_splat(0xff)")
            pairs = [(self.put(f"wasm_v128_and({a}, {mask})"), self.put(f"wasm_v128_and({b}, {mask})"))
                     for a, b in pairs]  # fmt: skip
        return "u8", [self.put(f"wasm_u8x16_narrow_i16x8({a}, {b})") for a, b in pairs]

    def compute(self, node: ir.Expr) -> tuple[str, Registers]:
        """Format and registers of a value that differs from round to round."""
        raise NotImplementedError
