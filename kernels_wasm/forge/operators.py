"""Lane-wise operators: arithmetic in the narrowest lanes, comparisons, choices and conversions."""

from __future__ import annotations

from kernels_wasm.forge import ranges
from kernels_wasm.forge.lanes import LIMITS, SHAPES, WIDTHS, Lanes, Registers, fits
from kernels_wasm.forge.loops import CannotError
from kernels_wasm.translate import ir
from kernels_wasm.translate.printing import bare


class Operators(Lanes):
    """What a block computes; what it loads and stores is in `blocks`."""

    def compute(self, node: ir.Expr) -> tuple[str, Registers]:
        match node:
            case ir.Load():
                return self.load(node)
            case ir.Var():
                return "i32", self._counter(node)
            case ir.Binary() if node.type in ir.FLOATS:
                return node.type, self._floats(node)
            case ir.Binary():
                return self._integers(node)
            case ir.Unary():
                return self._unary(node)
            case ir.Convert():
                return self._convert(node)
            case ir.Select():
                return self._select(node)
        raise CannotError(f"vectors have no {type(node).__name__.lower()}")

    def _counter(self, node: ir.Var) -> Registers:
        start = self.put(f"wasm_i32x4_splat({bare(self.scalar(node, 0))})")
        step = self.step(node)
        offsets = [", ".join(str(step * (4 * r + k)) for k in range(4)) for r in range(self.rounds // 4)]
        return [self.put(f"wasm_i32x4_add({start}, wasm_i32x4_const({text}))") for text in offsets]

    def step(self, node: ir.Var) -> int:
        """By how much a counter grows from round to round."""
        raise NotImplementedError

    def weighted(self, _node: ir.Binary) -> tuple[str, Registers] | None:
        """A sum that the loop has instructions for."""
        return None

    def _floats(self, node: ir.Binary) -> Registers:
        shape = "f32x4" if node.type == "f32" else "f64x2"
        if self.relaxed and node.op in ("add", "sub"):
            for product, rest in ((node.left, node.right), (node.right, node.left)):
                if not (isinstance(product, ir.Binary) and product.op == "mul"):
                    continue
                if node.op == "sub" and product is node.left:
                    continue
                name = f"{shape}_relaxed_{'madd' if node.op == 'add' else 'nmadd'}"
                return self.each(
                    name, self.value(product.left)[1], self.value(product.right)[1], self.value(rest)[1]
                )
        if node.op not in ("add", "sub", "mul", "div", "min", "max"):
            raise CannotError(f"vectors have no {node.op} of floats")
        name = {"min": "pmin", "max": "pmax"}.get(node.op, node.op)
        return self.each(f"{shape}_{name}", self.value(node.left)[1], self.value(node.right)[1])

    def _integers(self, node: ir.Binary) -> tuple[str, Registers]:
        if (found := self._special(node)) is not None:
            return found
        if node.op in ("add", "sub") and (found := self.weighted(node)) is not None:
            return found
        form = self.form(node)
        left, right = ranges.of(node.left), ranges.of(node.right)
        match node.op:
            case "add" | "sub" | "mul" | "shl":
                return self._arithmetic(node, form)
            case "min" | "max":
                form = self._common(left, right)
                width = WIDTHS[form]
                letter = "u" if form in ("u8", "u16") or node.type == "u32" else "i"
                name = f"{letter}{SHAPES[width][1:]}_{node.op}"
                return form, self.each(name, self.bits(node.left, width), self.bits(node.right, width))
            case "and" | "or" | "xor":
                # Higher bits of one side do not matter where the result has none.
                wanted = form if node.op == "and" else self._common(left, right)
                width = WIDTHS[wanted]
                return wanted, self.each(
                    f"v128_{node.op}", self.bits(node.left, width), self.bits(node.right, width)
                )
            case "shr":
                return self._shift(node)
        raise CannotError(f"vectors have no {node.op} of integers")

    def _common(self, one: tuple[int, int], other: tuple[int, int]) -> str:
        """The narrowest format that holds both."""
        both = min(one[0], other[0]), max(one[1], other[1])
        return next((f for f in ("u8", "i16", "u16") if fits(both, f) and WIDTHS[f] >= self.least()), "i32")

    def _arithmetic(self, node: ir.Binary, form: str) -> tuple[str, Registers]:
        if ranges.wraps(node):
            form = "i32"
        sides = [node.left] if node.op == "shl" else [node.left, node.right]
        for form in [f for f in ("u8", "i16", "u16", "i32") if WIDTHS[f] >= WIDTHS[form]]:
            width = WIDTHS[form]
            low, high = -(1 << (8 * width - 1)), (1 << (8 * width)) - 1
            inside = all(low <= ranges.of(s)[0] and ranges.of(s)[1] <= high for s in sides)
            whole = form == "i32" or fits(ranges.of(node), form)
            if whole and (inside or form == "i32") and not (node.op in ("mul", "shl") and width == 1):
                break
        if node.op == "shl":
            if self.varies(node.right):
                raise CannotError("vectors shift every lane by the same count")
            count = bare(self.scalar(node.right, 0))
            return form, [
                self.put(f"wasm_{SHAPES[width]}_shl({r}, ({count}) & 31)")
                for r in self.bits(node.left, width)
            ]
        name = f"{SHAPES[width]}_{node.op}"
        return form, self.each(name, self.bits(node.left, width), self.bits(node.right, width))

    def _shift(self, node: ir.Binary) -> tuple[str, Registers]:
        if self.varies(node.right):
            raise CannotError("vectors shift every lane by the same count")
        form = self.form(node.left)
        known = isinstance(node.right, ir.Const)
        if not known or int(node.right.value) >= 8 * WIDTHS[form]:  # type: ignore[attr-defined]
            form = "i32"  # a lane's own count is taken modulo its width
        width = WIDTHS[form]
        letter = "u" if form in ("u8", "u16") or node.type == "u32" else "i"
        count = bare(self.scalar(node.right, 0))
        text = count if known else f"({count}) & 31"
        name = f"{letter}{SHAPES[width][1:]}_shr"
        return form, [self.put(f"wasm_{name}({r}, {text})") for r in self.bits(node.left, width)]

    def _special(self, node: ir.Binary) -> tuple[str, Registers] | None:
        """Instructions that do several steps at once."""
        if self.least() > 1:
            return None
        match node:
            case ir.Binary(op="min", left=ir.Binary(op="add") as sum_, right=ir.Const(value=255)):
                return self._bytes("u8x16_add_sat", sum_.left, sum_.right)
            case ir.Binary(op="max", left=ir.Binary(op="sub") as gap, right=ir.Const(value=0)):
                return self._bytes("u8x16_sub_sat", gap.left, gap.right)
            case ir.Binary(
                op="shr",
                left=ir.Binary(op="add", left=ir.Binary(op="add") as sum_, right=ir.Const(value=1)),
                right=ir.Const(value=1),
            ):
                return self._bytes("u8x16_avgr", sum_.left, sum_.right)
        return None

    def _bytes(self, name: str, left: ir.Expr, right: ir.Expr) -> tuple[str, Registers] | None:
        if fits(ranges.of(left), "u8") and fits(ranges.of(right), "u8"):
            return "u8", self.each(name, self.bits(left, 1), self.bits(right, 1))
        return None

    def _unary(self, node: ir.Unary) -> tuple[str, Registers]:
        if node.type in ir.FLOATS:
            shape = "f32x4" if node.type == "f32" else "f64x2"
            return node.type, self.each(f"{shape}_{node.op}", self.value(node.value)[1])
        form = self.form(node)
        bounds = ranges.of(node.value)
        match node.op:
            case "neg":
                zero = ir.Const(node.type, 0)
                return self._arithmetic(ir.Binary(node.type, "sub", zero, node.value), form)
            case "inv":
                form = self._common(ranges.of(node), bounds) if node.type == "i32" else "i32"
                return form, self.each("v128_not", self.bits(node.value, WIDTHS[form]))
            case "abs":
                form = next((f for f in ("i16",) if fits(bounds, f) and WIDTHS[f] >= self.least()), "i32")
                result = form if form == "i32" or fits(ranges.of(node), form) else "u16"
                return result, self.each(f"{SHAPES[WIDTHS[form]]}_abs", self.bits(node.value, WIDTHS[form]))
            case "popcount":
                inner = self.form(node.value) if bounds[0] >= 0 else "i32"
                counted = self.each("i8x16_popcnt", self.bits(node.value, WIDTHS[inner]))
                if WIDTHS[inner] > 1:
                    counted = self.each("u16x8_extadd_pairwise_u8x16", counted)
                if WIDTHS[inner] > 2:
                    counted = self.each("u32x4_extadd_pairwise_u16x8", counted)
                return {1: "u8", 2: "i16", 4: "i32"}[WIDTHS[inner]], counted
        raise CannotError(f"vectors have no {node.op}")

    def _convert(self, node: ir.Convert) -> tuple[str, Registers]:
        source = node.value.type
        if node.to in ("i8", "i16"):
            shift = ir.integer(32 - 8 * ir.BYTES[node.to])
            signed = node.value if source == "i32" else ir.Convert("i32", "i32", node.value)
            left = ir.Binary("i32", "shl", signed, shift)
            return self.form(node), self._cut(left, shift, node)
        if source in ir.INTEGERS and node.to in ir.INTEGERS:
            if self.form(node) == self.form(node.value):
                return self.value(node.value)
            return "i32", self.bits(node.value, 4)
        if source in ir.INTEGERS and node.to == "f32":
            letter = "u" if source == "u32" and ranges.of(node.value)[1] >= 1 << 31 else "i"
            return "f32", self.each(f"f32x4_convert_{letter}32x4", self.bits(node.value, 4))
        if source == "f32" and node.to in ir.INTEGERS:
            return "i32", self.each(f"{node.to}x4_trunc_sat_f32x4", self.value(node.value)[1])
        if source == "f32" and node.to == "f64":
            found = []
            for register in self.value(node.value)[1]:
                high = self.put(f"wasm_i32x4_shuffle({register}, {register}, 2, 3, 0, 1)")
                found += [self.put(f"wasm_f64x2_promote_low_f32x4({r})") for r in (register, high)]
            return "f64", found
        if source == "f64" and node.to == "f32":
            halves = self.each("f32x4_demote_f64x2_zero", self.value(node.value)[1])
            pairs = zip(halves[::2], halves[1::2], strict=True)
            return "f32", [self.put(f"wasm_i32x4_shuffle({a}, {b}, 0, 1, 4, 5)") for a, b in pairs]
        raise CannotError(f"vectors do not convert {source} to {node.to}")

    def _cut(self, left: ir.Binary, shift: ir.Const, node: ir.Convert) -> Registers:
        wide = [
            self.put(f"wasm_i32x4_shr(wasm_i32x4_shl({r}, {shift.value}), {shift.value})")
            for r in self.bits(left.left, 4)
        ]
        form, registers = "i32", wide
        while WIDTHS[form] > WIDTHS[self.form(node)]:
            form, registers = self.narrower(form, registers, ranges.of(node), WIDTHS[self.form(node)])
        return registers

    def _select(self, node: ir.Select) -> tuple[str, Registers]:
        form = self.form(node)
        width = WIDTHS[form]
        if node.type in ir.FLOATS:
            then, other = self.value(node.then)[1], self.value(node.other)[1]
        else:
            then, other = self.bits(node.then, width), self.bits(node.other, width)
        return form, self.each("v128_bitselect", then, other, self.mask(node.condition, width))

    def mask(self, node: ir.Expr, width: int) -> Registers:
        """All bits of a lane set where the condition holds, in lanes of that width."""
        if node not in self.masks:
            self.masks[node] = self._condition(node)
        have, registers = self.masks[node]
        while have < width:
            if have == 4:
                registers = [self.put(f"wasm_i32x4_shuffle({r}, {r}, {lanes})") for r in registers
                             for lanes in ("0, 0, 1, 1", "2, 2, 3, 3")]  # fmt: skip
            else:
                name = {1: "i16x8_extend_{}_i8x16", 2: "i32x4_extend_{}_i16x8"}[have]
                registers = [
                    self.put(f"wasm_{name.format(h)}({r})") for r in registers for h in ("low", "high")
                ]
            have *= 2
        while have > width:
            pairs = list(zip(registers[::2], registers[1::2], strict=True))
            name = {8: "i32x4_shuffle({}, {}, 0, 2, 4, 6)", 4: "i16x8_narrow_i32x4({}, {})",
                    2: "i8x16_narrow_i16x8({}, {})"}[have]  # fmt: skip
            registers = [self.put("wasm_" + name.format(a, b)) for a, b in pairs]
            have //= 2
        return registers

    def _condition(self, node: ir.Expr) -> tuple[int, Registers]:
        if not self.varies(node):
            width = max(4, self.least())
            text = bare(self.scalar(node, 0))
            return width, [self.put(f"wasm_i32x4_splat(({text}) ? -1 : 0)")] * (self.rounds * width // 16)
        match node:
            case ir.Compare():
                return self._compare(node)
            case ir.Logic():
                width = min(self._mask_width(node.left), self._mask_width(node.right))
                return width, self.each(
                    f"v128_{node.op}", self.mask(node.left, width), self.mask(node.right, width)
                )
            case ir.Unary(op="not"):
                width = self._mask_width(node.value)
                return width, self.each("v128_not", self.mask(node.value, width))
        raise CannotError(f"vectors have no condition {type(node).__name__.lower()}")

    def _mask_width(self, node: ir.Expr) -> int:
        self.mask(node, max(4, self.least()))
        return self.masks[node][0]

    def _compare(self, node: ir.Compare) -> tuple[int, Registers]:
        kind = node.left.type
        if kind in ir.FLOATS:
            width = ir.BYTES[kind]
            name = f"{'f32x4' if kind == 'f32' else 'f64x2'}_{node.op}"
            return width, self.each(name, self.value(node.left)[1], self.value(node.right)[1])
        if node.op in ("eq", "ne") and (found := self._equal_byte(node)) is not None:
            return found
        form = self._common(ranges.of(node.left), ranges.of(node.right))
        width = WIDTHS[form]
        signless = node.op in ("eq", "ne")
        letter = "u" if not signless and (form in ("u8", "u16") or kind == "u32") else "i"
        name = f"{letter}{SHAPES[width][1:]}_{node.op}"
        return width, self.each(name, self.bits(node.left, width), self.bits(node.right, width))

    def _equal_byte(self, node: ir.Compare) -> tuple[int, Registers] | None:
        """A narrow value against one that every round shares: equal only if that fits too."""
        for narrow, shared in ((node.left, node.right), (node.right, node.left)):
            form = self.form(narrow)
            if (
                self.varies(shared)
                or not self.varies(narrow)
                or isinstance(shared, ir.Const)
                or form == "i32"
            ):
                continue
            low, high = LIMITS[form]
            text = bare(self.scalar(shared, 0))
            bits = 4 if shared.type == "i32" else 0
            inside = f"({text}) >= {low} && ({text}) <= {high}" if bits else f"({text}) <= {high}u"
            here = self.put(f"wasm_i32x4_splat(({inside}) ? -1 : 0)")
            width = WIDTHS[form]
            equal = self.each(f"{SHAPES[width]}_eq", self.bits(narrow, width), self.splat(shared, width))
            found = [self.put(f"wasm_v128_and({r}, {here})") for r in equal]
            return width, found if node.op == "eq" else self.each("v128_not", found)
        return None
