"""The memory side of a block of rounds: rows, interleaved elements, elements here and there, and stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kernels_wasm.forge import ranges, shuffles, to_c
from kernels_wasm.forge.lanes import FLOAT_SHAPES, SHAPES, Registers
from kernels_wasm.forge.loops import CannotError, Write, linear
from kernels_wasm.forge.operators import Operators
from kernels_wasm.forge.plans import Plan, loads, sure_loads
from kernels_wasm.translate import ir
from kernels_wasm.translate.printing import bare

GATHERED = 64  # most elements that a block may fetch one by one


class Block(Operators):
    """One block of a plan: `number` blocks after where the counters stand."""

    def __init__(
        self, made: Plan, number: int, names: list[int], renamed: Mapping[str, str], *, relaxed: bool
    ):
        self.plan, self.number, self.names, self.renamed = made, number, names, renamed
        self.windows: dict[tuple[str, object, int, int], Registers] = {}
        self.slack = False
        super().__init__(made.rounds, made.varies, self._load, self._scalar, self._fresh, relaxed=relaxed)

    def _fresh(self) -> str:
        self.names[0] += 1
        return f"w{self.names[0]}_"

    def step(self, node: ir.Var) -> int:
        if node.name not in self.plan.counters:
            raise CannotError(f"{node.name} is no counter")
        return self.plan.counters[node.name]

    def _scalar(self, node: ir.Expr, lane: int) -> str:
        """C for the value in one round of the block."""
        at = self.number * self.rounds + lane

        def change(part: ir.Expr) -> ir.Expr:
            if isinstance(part, ir.Var) and part.name in self.plan.counters:
                here = ir.Var(part.type, self.renamed.get(part.name, part.name))
                return ir.add(here, ir.integer(at * self.plan.counters[part.name]))
            return part

        return to_c.expression(ir.rebuilt(node, change))

    def _load(self, node: ir.Load) -> tuple[str, Registers]:
        width, stride = ir.BYTES[node.element], self.plan.stride(node.index)
        lanes = 16 // width
        count = self.rounds // lanes
        if stride == 1 and count:
            base = f"{to_c.name(node.array)} + {self._scalar(node.index, 0)}"
            found = [self.put(f"wasm_v128_load({base} + {lanes * k})" if k else f"wasm_v128_load({base})")
                     for k in range(count)]  # fmt: skip
        elif stride in (2, 3, 4) and count:
            registers, component = self._window(node, stride)
            if width == 1 and stride == 4:
                return "i16", self._quarter(registers, component, signed=node.element == "i8")
            found = shuffles.every(self.put, width, registers, stride, component)
        else:
            found = self._gather(node, width, lanes)
            if self.rounds < lanes:
                return "i32", found
        return self._loaded(node.element, found)

    def _loaded(self, element: str, found: Registers) -> tuple[str, Registers]:
        if element == "i8":
            return "i16", [
                self.put(f"wasm_i16x8_extend_{half}_i8x16({r})") for r in found for half in ("low", "high")
            ]
        return {"u32": "i32"}.get(element, element), found

    def weighted(self, node: ir.Binary) -> tuple[str, Registers] | None:
        """A weighted sum of the bytes of one pixel as two products of pairs; None if it is something else."""
        if ranges.wraps(node):
            return None
        atoms, constant = linear(node)
        weights: dict[int, int] = {}
        registers: Registers = []
        for atom, weight in atoms:
            if not (isinstance(atom, ir.Load) and atom.element == "u8" and self.plan.stride(atom.index) == 4):
                return None
            if {n.array for n, _ in atoms if isinstance(n, ir.Load)} != {
                atom.array
            } or not -32768 <= weight <= 32767:
                return None
        if len(atoms) < 2 or self.rounds < 16:
            return None
        for atom, weight in atoms:
            assert isinstance(atom, ir.Load)
            found, component = self._window(atom, 4)
            if registers and found != registers:
                return None
            registers, weights[component] = found, weight
        w = [weights.get(k, 0) for k in range(4)]
        if self.relaxed and all(0 <= weight <= 127 for weight in w):
            return "i32", self._relaxed_weights(registers, w, constant)
        sums = [self._pairs("wasm_v128_and({}, wasm_i32x4_const_splat(0x00ff00ff))", registers, w[0], w[2]),
                self._pairs("wasm_u16x8_shr({}, 8)", registers, w[1], w[3])]  # fmt: skip
        totals = [parts for parts in sums if parts]
        found = totals[0] if len(totals) == 1 else self.each("i32x4_add", *totals)
        if constant:
            found = [self.put(f"wasm_i32x4_add({r}, wasm_i32x4_const_splat({constant}))") for r in found]
        return "i32", found

    def _pairs(self, half: str, registers: Registers, first: int, second: int) -> Registers:
        if not (first or second):
            return []
        text = ", ".join([str(first), str(second)] * 4)
        return [
            self.put(f"wasm_i32x4_dot_i16x8({half.format(r)}, wasm_i16x8_const({text}))") for r in registers
        ]

    def _relaxed_weights(self, registers: Registers, w: list[int], constant: int) -> Registers:
        """Bytes are taken as signed there: 128 less, given back with the constant. No sum of two leaves 16 bits."""
        text = ", ".join([str(weight) for weight in w] * 4)
        start = constant + 128 * sum(w)
        return [
            self.put(
                f"wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_v128_xor({r}, wasm_i8x16_const_splat(-128)), "
                f"wasm_i8x16_const({text}), wasm_i32x4_const_splat({start}))"
            )
            for r in registers
        ]

    def _quarter(self, registers: Registers, component: int, *, signed: bool) -> Registers:
        """Every fourth byte, in lanes of 16 bits."""
        wide = []
        for register in registers:
            text = register
            if signed:
                text = f"wasm_i32x4_shr(wasm_i32x4_shl({text}, {24 - 8 * component}), 24)"
            else:
                text = f"wasm_u32x4_shr({text}, {8 * component})" if component else text
                text = text if component == 3 else f"wasm_v128_and({text}, wasm_i32x4_const_splat(0xff))"
            wide.append(self.put(text))
        pairs = zip(wide[::2], wide[1::2], strict=True)
        return [self.put(f"wasm_i16x8_narrow_i32x4({a}, {b})") for a, b in pairs]

    def _window(self, node: ir.Load, stride: int) -> tuple[Registers, int]:
        """The registers that hold all components, and which one is wanted."""
        atoms, constant = linear(node.index)
        near = [linear(n.index)[1] for n in loads(self.plan)
                if n.array == node.array and linear(n.index)[0] == atoms]  # fmt: skip
        first = min(near)
        window, component = divmod(constant - first, stride)
        used = max((c - first) % stride for c in near if (c - first) // stride == window)
        if used < stride - 1:
            self.slack = True  # the last register reaches beyond the last element that is used
        key = (node.array, atoms, stride, window)
        if key not in self.windows:
            width = ir.BYTES[node.element]
            shift = first + window * stride - constant
            index = ir.add(node.index, ir.integer(shift)) if shift else node.index
            base = f"{to_c.name(node.array)} + {self._scalar(index, 0)}"
            self.windows[key] = [
                self.put(f"wasm_v128_load({base} + {16 // width * k})")
                for k in range(self.rounds * width * stride // 16)
            ]
        return self.windows[key], component

    def _gather(self, node: ir.Load, width: int, lanes: int) -> Registers:
        if self.rounds > GATHERED:
            raise CannotError(f"{node.array} is read here and there")
        if self.rounds < lanes:
            width, lanes = 4, 4
        name = FLOAT_SHAPES.get(node.element, SHAPES[width])
        cells = [f"{to_c.name(node.array)}[{bare(self._scalar(node.index, k))}]" for k in range(self.rounds)]
        if node.element in ("f32", "i32", "u32"):
            rows = [cells[k : k + 4] for k in range(0, self.rounds, 4)]
            return [self._loaded_lanes(row) for row in rows]
        return [
            self.put(f"wasm_{name}_make({', '.join(cells[k : k + lanes])})")
            for k in range(0, self.rounds, lanes)
        ]

    def _loaded_lanes(self, cells: Sequence[str]) -> str:
        register = self.put(f"wasm_v128_load32_zero(&{cells[0]})")
        for lane, cell in enumerate(cells[1:], 1):
            register = self.put(f"wasm_v128_load32_lane(&{cell}, {register}, {lane})")
        return register

    def store_all(self, writes: Sequence[Write]) -> None:
        """Every store of the block; values first, so that no load comes after a store."""
        values = [self._stored(write) for write in writes]
        done: set[int] = set()
        for at, write in enumerate(writes):
            if at in done:
                continue
            width, stride = ir.BYTES[write.element], self.plan.stride(write.index)
            if stride == 1:
                self._put_row(write, values[at])
                continue
            group = self._group(writes, write, stride)
            if group is not None and len(group) == stride:
                registers = shuffles.woven(self.put, width, [values[k] for k in group])
                base = f"{to_c.name(write.array)} + {self._scalar(writes[group[0]].index, 0)}"
                self.lines += [
                    f"wasm_v128_store({base} + {16 // width * k}, {r});" for k, r in enumerate(registers)
                ]
                done |= set(group)
                continue
            self._scatter(write, values[at], width)

    def _stored(self, write: Write) -> Registers:
        width = ir.BYTES[write.element]
        if write.element in ir.FLOATS:
            return self.value(write.value)[1]
        return self.bits(write.value, width)

    def _put_row(self, write: Write, registers: Registers) -> None:
        width = ir.BYTES[write.element]
        base = f"{to_c.name(write.array)} + {self._scalar(write.index, 0)}"
        if write.mask is not None:
            places = {(n.array, linear(n.index)) for n in sure_loads(self.plan)}
            places |= {(w.array, linear(w.index)) for w in self.plan.round.writes if w.mask is None}
            if (write.array, linear(write.index)) not in places:
                raise CannotError(f"it writes {write.array} only under a condition")
            masks = self.mask(write.mask, width)
            old = [self.put(f"wasm_v128_load({base} + {16 // width * k})") for k in range(len(registers))]
            registers = self.each("v128_bitselect", registers, old, masks)
        self.lines += [f"wasm_v128_store({base} + {16 // width * k}, {r});" for k, r in enumerate(registers)]

    def _group(self, writes: Sequence[Write], write: Write, stride: int | None) -> list[int] | None:
        """The stores that fill all that lies between two rounds of one store, in order."""
        if stride not in (2, 3, 4) or write.mask is not None:
            return None
        atoms, _ = linear(write.index)
        found = [k for k, w in enumerate(writes)
                 if w.array == write.array and linear(w.index)[0] == atoms and w.mask is None]  # fmt: skip
        found.sort(key=lambda k: linear(writes[k].index)[1])
        offsets = [linear(writes[k].index)[1] for k in found]
        return found if len(set(offsets)) == len(found) == stride else None

    def _scatter(self, write: Write, registers: Registers, width: int) -> None:
        if write.mask is not None:
            raise CannotError(f"{write.array} is written here and there under a condition")
        shape = {"f32": "f32x4", "f64": "f64x2"}.get(
            write.element, {1: "u8x16", 2: "u16x8", 4: "i32x4"}.get(width, "")
        )
        lanes = 16 // width
        for k in range(self.rounds):
            cell = f"{to_c.name(write.array)}[{bare(self._scalar(write.index, k))}]"
            self.lines.append(f"{cell} = wasm_{shape}_extract_lane({registers[k // lanes]}, {k % lanes});")
