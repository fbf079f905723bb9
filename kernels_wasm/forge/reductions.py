"""What a loop carries from round to round in vectors: reductions in several accumulators, and running totals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from kernels_wasm.forge import ranges, to_c
from kernels_wasm.forge.lanes import FLOAT_SHAPES, SHAPES, WIDTHS, Lanes, fits
from kernels_wasm.forge.loops import CannotError
from kernels_wasm.translate import ir

OPERATORS = frozenset({"add", "min", "max", "and", "or", "xor"})
BYTE_SUMS = 28  # counts of at most 8 that fit a byte together, with some to spare
HALF_SUMS = 64  # sums of two bytes that fit 16 bits together, with some to spare


def reduction_of(name: str, value: ir.Expr) -> Reduction:
    """`name op rest` as a reduction, also under a condition; CannotError if it is none."""
    own = ir.Var(value.type, name)
    match value:
        case ir.Binary(op="sub", left=left, right=rest) if left == own and name not in ir.mentioned(rest):
            return Reduction(name, value.type, "add", ir.Unary(value.type, "neg", rest))
        case ir.Binary(op=op, left=left, right=right) if op in OPERATORS:
            for side, rest in ((left, right), (right, left)):
                if side == own and name not in ir.mentioned(rest):
                    if value.type in ir.FLOATS and op in ("min", "max") and side is right:
                        break  # the sides of min and max are not alike for NaN
                    return Reduction(name, value.type, op, rest)
            others = _without(value, own) if op == "add" else None
            if others is not None:
                return Reduction(name, value.type, op, others)
        case ir.Select(then=then, other=other) if name not in ir.mentioned(value.condition):
            if own not in (then, other):
                one, two = reduction_of(name, then), reduction_of(name, other)
                if one.op == two.op:
                    chosen = ir.Select(value.type, value.condition, one.value, two.value)
                    return Reduction(name, value.type, one.op, chosen)
            for inner, kept, holds in ((then, other, True), (other, then, False)):
                if kept != own:
                    continue
                found = reduction_of(name, inner)
                if found.op not in ("add", "or", "xor"):
                    break
                nothing = ir.Const(value.type, -0.0 if value.type in ir.FLOATS else 0)
                sides = (found.value, nothing) if holds else (nothing, found.value)
                return Reduction(name, value.type, found.op, ir.Select(value.type, value.condition, *sides))
    raise CannotError(f"{name} depends on what the last round left")


def _without(node: ir.Expr, own: ir.Var) -> ir.Expr | None:
    """The rest of a sum in which the variable is one term."""
    if node == own:
        return None
    if isinstance(node, ir.Binary) and node.op == "add":
        for side, other in ((node.left, node.right), (node.right, node.left)):
            if own.name in ir.mentioned(other):
                continue
            if side == own:
                return other
            if (rest := _without(side, own)) is not None:
                return ir.Binary(node.type, "add", rest, other)
    return None


@dataclass
class Reduction:
    """`name = name op value` in lanes."""

    name: str
    type: str
    op: str
    value: ir.Expr
    accumulators: list[str] = field(default_factory=list)
    form: str = ""
    guarded: bool = False

    @property
    def reassociates(self) -> bool:
        return self.type in ir.FLOATS

    @property
    def shape(self) -> str:
        return FLOAT_SHAPES.get(self.form, SHAPES[WIDTHS[self.form]])

    def prepare(self, made: Any, unroll: int, tag: str, lines: list[str]) -> None:
        """Declare the accumulators."""
        word = to_c.name(self.name)
        self.form = "i32" if self.type in ir.INTEGERS else self.type
        count = made.rounds * WIDTHS[self.form] // 16
        if self.op in ("min", "max") and self.type in ir.INTEGERS:
            least = 16 // made.rounds
            bounds = ranges.of(self.value)
            self.form = next(
                (f for f in ("u8", "i16", "u16") if fits(bounds, f) and WIDTHS[f] >= least), "i32"
            )
            self.guarded = self.form != "i32"
            count = made.rounds * WIDTHS[self.form] // 16
        elif self.type in ir.INTEGERS and self.op == "add":
            count = 1
        self.accumulators = [f"{word}_{tag}_{k}_" for k in range(count * unroll)]
        start = self._start(word)
        lines += [f"v128_t {a} = {start};" for a in self.accumulators]

    def _start(self, word: str) -> str:
        if self.type in ir.FLOATS:
            value = "-0.0" if self.op == "add" else word
            return f"wasm_{self.shape}_splat({value})"
        if self.op in ("min", "max"):
            if not self.guarded:
                return f"wasm_i32x4_splat((i32){word})"
            low, high = {"u8": (0, 255), "i16": (-32768, 32767), "u16": (0, 65535)}[self.form]
            bits = {1: "i8", 2: "i16"}[WIDTHS[self.form]]
            return f"wasm_{self.shape}_splat(({bits}){high if self.op == 'min' else low})"
        return f"wasm_i32x4_splat({-1 if self.op == 'and' else 0})"

    def add(self, blocks: Sequence[Lanes]) -> None:
        """Take in the blocks' values; the lines go to the blocks."""
        if self.op == "add" and self.type in ir.INTEGERS:
            self._add_integers(blocks)
            return
        for number, block in enumerate(blocks):
            if self.type in ir.FLOATS and self.op == "add" and self._fused(block, number):
                continue
            registers = (
                block.value(self.value)[1]
                if self.type in ir.FLOATS
                else block.bits(self.value, WIDTHS[self.form])
            )
            for k, register in enumerate(registers):
                total = self.accumulators[number * len(registers) + k]
                block.lines.append(f"{total} = {self._joined(total, register)};")

    def _fused(self, block: Lanes, number: int) -> bool:
        product = self.value
        if not (block.relaxed and isinstance(product, ir.Binary) and product.op == "mul"):
            return False
        left, right = block.value(product.left)[1], block.value(product.right)[1]
        for k, (a, b) in enumerate(zip(left, right, strict=True)):
            total = self.accumulators[number * len(left) + k]
            block.lines.append(f"{total} = wasm_{self.shape}_relaxed_madd({a}, {b}, {total});")
        return True

    def _joined(self, one: str, other: str) -> str:
        if self.op in ("and", "or", "xor"):
            return f"wasm_v128_{self.op}({one}, {other})"
        if self.type in ir.FLOATS:
            name = {"min": "pmin", "max": "pmax"}.get(self.op, self.op)
            return f"wasm_{self.shape}_{name}({one}, {other})"
        if self.op == "add":
            return f"wasm_i32x4_add({one}, {other})"
        letter = "u" if self.form in ("u8", "u16") or self.type == "u32" else "i"
        return f"wasm_{letter}{self.shape[1:]}_{self.op}({one}, {other})"

    def _add_integers(self, blocks: Sequence[Lanes]) -> None:
        """Order does not matter modulo 2**32: narrow values are added in pairs before they are widened."""
        bytes_: list[tuple[Lanes, str]] = []
        halves: list[tuple[Lanes, str, str]] = []
        words: list[tuple[Lanes, str]] = []
        for block in blocks:
            if (products := _products(block, self.value)) is not None:
                words += [(block, register) for register in products]
                continue
            counted = self.value
            if (
                isinstance(counted, ir.Unary)
                and counted.op == "popcount"
                and block.form(counted.value) == "i32"
            ):
                bits = block.each("i8x16_popcnt", block.bits(counted.value, 4))
                bytes_ += [(block, register) for register in bits]
                continue
            form = block.form(self.value)
            registers = block.bits(self.value, WIDTHS[form])
            if form == "u8":
                small = ranges.of(self.value)[1] <= 8
                for register in registers:
                    if small:
                        bytes_.append((block, register))
                    else:
                        halves.append(
                            (block, block.put(f"wasm_u16x8_extadd_pairwise_u8x16({register})"), "sum")
                        )
            elif form in ("u16", "i16"):
                halves += [(block, register, form) for register in registers]
            else:
                words += [(block, register) for register in registers]
        for group in _groups(bytes_, BYTE_SUMS):
            last = group[-1][0]
            total = _tree(last, "i8x16_add", [register for _, register in group])
            halves.append((last, last.put(f"wasm_u16x8_extadd_pairwise_u8x16({total})"), "sum"))
        sums = [(block, register) for block, register, kind in halves if kind == "sum"]
        for group in _groups(sums, HALF_SUMS):
            last = group[-1][0]
            total = _tree(last, "i16x8_add", [register for _, register in group])
            words.append((last, last.put(f"wasm_u32x4_extadd_pairwise_u16x8({total})")))
        for block, register, kind in halves:
            if kind != "sum":
                letter = kind[0]
                words.append((block, block.put(f"wasm_{letter}32x4_extadd_pairwise_{kind}x8({register})")))
        for k, (block, register) in enumerate(words):
            total = self.accumulators[k % len(self.accumulators)]
            # The last block's lines come last: what it adds may come from earlier blocks.
            blocks[-1].lines.append(f"{total} = wasm_i32x4_add({total}, {register});")
            del block

    def finish(self, ran: str) -> list[str]:
        """Join the accumulators, their lanes and what the variable held."""
        lines = []
        left = list(self.accumulators)
        while len(left) > 1:
            half = len(left) // 2
            lines += [f"{left[k]} = {self._joined(left[k], left[k + half])};" for k in range(half)]
            left = left[:half] + left[2 * half :]
        [total] = left
        word = to_c.name(self.name)
        count = 16 // WIDTHS[self.form]
        letter = "u" if self.form in ("u8", "u16") else self.shape[0]
        cells = [f"wasm_{letter}{self.shape[1:]}_extract_lane({total}, {k})" for k in range(count)]
        if self.type == "u32" and self.form == "i32":
            cells = [f"(u32){cell}" for cell in cells]
        if self.op == "add":
            pairs = [f"({cells[k]} + {cells[k + count // 2]})" for k in range(count // 2)]
            joined = " + ".join(pairs)
            return [*lines, f"{word} = {word} + ({joined});"]
        symbol = {"and": "&", "or": "|", "xor": "^"}.get(self.op)
        if symbol:
            return [*lines, f"{word} = {word} {symbol} ({f' {symbol} '.join(cells)});"]
        steps = [f"{word} = {self.op}_{self.type}({word}, {cell});" for cell in cells]
        return [*lines, *([f"if ({ran}) {{", *steps, "}"] if self.guarded else steps)]


def _products(block: Lanes, value: ir.Expr) -> list[str] | None:
    """Sums of two neighbouring products, where the factors fit 16 bits."""
    if not (isinstance(value, ir.Binary) and value.op == "mul" and block.least() <= 2):
        return None
    if not all(fits(ranges.of(side), "i16") for side in (value.left, value.right)):
        return None
    return block.each("i32x4_dot_i16x8", block.bits(value.left, 2), block.bits(value.right, 2))


def _groups(items: list[Any], most: int) -> list[list[Any]]:
    return [items[k : k + most] for k in range(0, len(items), most)]


def _tree(block: Lanes, name: str, registers: list[str]) -> str:
    while len(registers) > 1:
        pairs = zip(registers[::2], registers[1::2], strict=False)
        odd = registers[-1:] if len(registers) % 2 else []
        registers = [block.put(f"wasm_{name}({a}, {b})") for a, b in pairs] + odd
    return registers[0]


@dataclass(frozen=True)
class Scan:
    """A running total of integers: `name = name + value`, used in every round."""

    name: str
    whole: ir.Expr
    value: ir.Expr
    MARK: ClassVar[str] = ":after"

    @property
    def after(self) -> ir.Var:
        """Stands for the total after the round's addition."""
        return ir.Var(self.whole.type, self.name + self.MARK)

    def carry(self, tag: str) -> str:
        """The register with the total so far in every lane."""
        return f"{to_c.name(self.name)}_{tag}_carry_"

    def prepare(self, tag: str) -> list[str]:
        return [f"v128_t {self.carry(tag)} = wasm_i32x4_splat((i32){to_c.name(self.name)});"]

    def add(self, block: Lanes, tag: str) -> None:
        """Totals within each register by two shifted additions, then what came before on top."""
        carry = self.carry(tag)
        zero = "wasm_i32x4_const_splat(0)"
        found = []
        for register in block.bits(self.value, 4):
            one = block.put(f"wasm_i32x4_add({register}, wasm_i32x4_shuffle({zero}, {register}, 0, 4, 5, 6))")
            two = block.put(f"wasm_i32x4_add({one}, wasm_i32x4_shuffle({zero}, {one}, 0, 1, 4, 5))")
            found.append(block.put(f"wasm_i32x4_add({two}, {carry})"))
            block.lines.append(
                f"{carry} = wasm_i32x4_add({carry}, wasm_i32x4_shuffle({two}, {two}, 3, 3, 3, 3));"
            )
        block.given[self.after] = ("i32", found)

    def finish(self, tag: str) -> list[str]:
        word = to_c.name(self.name)
        return [f"{word} = ({self.whole.type})wasm_i32x4_extract_lane({self.carry(tag)}, 0);"]
