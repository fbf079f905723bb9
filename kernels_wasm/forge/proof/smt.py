"""The last engine: z3 over bit vectors (optional, the extra `forge`). Floats are functions that nothing is known of;
their comparisons are exact, an order of the bits with NaN apart."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from kernels_wasm.forge.proof.evaluate import opaque, ordered
from kernels_wasm.forge.proof.orders import COMPARISONS, Orders, leaves_of
from kernels_wasm.forge.proof.values import Term, Value, ones

MEGABYTES = 1500


def available() -> bool:
    return importlib.util.find_spec("z3") is not None


class Solver:
    """Terms as z3 expressions of one context."""

    def __init__(self) -> None:
        self.z: Any = importlib.import_module("z3")
        self.context = self.z.Context()
        self.found: dict[Term, Any] = {}
        self.bounds: list[Any] = []
        self.orders = Orders(self.z, self.context, [])

    def value(self, x: Value, width: int) -> Any:
        if type(x) is int:
            return self.z.BitVecVal(x, width, self.context)
        for term in ordered((x,), self._settled):
            if term not in self.found and not self._keyed(term):
                self.found[term] = self._one(term)
        return self.found[x]

    def _settled(self, t: Term) -> bool:
        return t in self.found

    def _keyed(self, t: Term) -> bool:
        """Floats that the order alone stands for."""
        return t in self.orders.symbols or (
            t.op == "ite"
            and t.width in (32, 64)
            and any(x in self.orders.symbols for x in leaves_of(t))
            and self.orders.knows(t)
        )

    def different(self, x: Value, y: Value, width: int, milliseconds: int) -> tuple[str, dict[str, int]]:
        """("unsat", {}) if x = y for all inputs; ("sat", inputs) if the solver found some; or ("unknown", {})."""
        order = ordered((x, y), lambda _: False)
        self.orders = Orders(self.z, self.context, order)
        claim = self.value(x, width) != self.value(y, width)
        functions = any(opaque(t) and t.op != "symbol" and t.op not in COMPARISONS for t in order)
        solver = self.z.SolverFor("QF_UFBV" if functions else "QF_BV", ctx=self.context)
        solver.set("timeout", max(1, milliseconds))
        solver.set("max_memory", MEGABYTES)
        solver.add(claim, *self.bounds)
        try:
            answer = str(solver.check())
        except self.z.Z3Exception:
            return "unknown", {}
        if answer != "sat":
            return answer, {}
        model = solver.model()
        return "sat", {
            term.args[0]: model.eval(expression, model_completion=True).as_long()
            for term, expression in self.found.items()
            if term.op == "symbol"
        }  # ranks of compared floats are no inputs: those are left to the tests

    def _bit(self, condition: Any) -> Any:
        z, c = self.z, self.context
        return z.If(condition, z.BitVecVal(1, 1, c), z.BitVecVal(0, 1, c))

    def _one(self, t: Term) -> Any:
        z, w = self.z, t.width
        op = t.op
        if op == "symbol":
            variable = z.BitVec(t.args[0], w, self.context)
            if t.low or t.high < ones(w):
                self.bounds += [z.UGE(variable, t.low), z.ULE(variable, t.high)]
            return variable
        if op in COMPARISONS and all(self.orders.knows(x) for x in t.args[:2]):
            return self._bit(self.orders.compare(t, lambda c: self.found[c] == 1))
        if op in COMPARISONS:
            return self._bit(self._order(t))
        if opaque(t):
            return self._function(t)
        if op == "sum":
            total = z.BitVecVal(t.args[0], w, self.context)
            for term, factor in t.args[1]:
                total = total + self.found[term] * factor
            return total
        if op == "concat":
            pieces = [self._value(p, s) for p, s in t.args]
            return z.Concat(*reversed(pieces))
        if op == "extract":
            return z.Extract(t.args[1] + w - 1, t.args[1], self.found[t.args[0]])
        if op == "sext":
            inner = self.found[t.args[0]]
            return z.SignExt(w - t.args[0].width, inner)
        if op == "select":
            index, cells = t.args
            result = self._value(cells[-1], w)
            for k, cell in reversed(list(enumerate(cells[:-1]))):
                result = z.If(self.found[index] == index.low + k, self._value(cell, w), result)
            return result
        if op in ("popcnt", "clz", "ctz"):
            return self._count(t)
        inner_width = max(a.width for a in t.args if type(a) is Term) if op in ("eq", "ult", "slt") else w
        args = [self._value(a, inner_width) for a in t.args]
        if op == "ite":
            return z.If(args[0] == 1, args[1], args[2])
        return self._operation(op, args)

    def _operation(self, op: str, args: list[Any]) -> Any:
        z = self.z
        simple = {
            "mul": lambda a, b: a * b,
            "and": lambda a, b: a & b,
            "or": lambda a, b: a | b,
            "xor": lambda a, b: a ^ b,
            "not": lambda a: ~a,
            "eq": lambda a, b: self._bit(a == b),
            "ult": lambda a, b: self._bit(z.ULT(a, b)),
            "slt": lambda a, b: self._bit(a < b),
            "shl": lambda a, b: a << b,
            "shr_u": z.LShR,
            "shr_s": lambda a, b: a >> b,
            "rotl": z.RotateLeft,
            "rotr": z.RotateRight,
            "div_u": z.UDiv,
            "rem_u": z.URem,
            "div_s": lambda a, b: a / b,
            "rem_s": z.SRem,
        }
        return simple[op](*args)

    def _value(self, x: Value, width: int) -> Any:
        if type(x) is int:
            return self.z.BitVecVal(x, width, self.context)
        return self.found[x]

    def _function(self, t: Term) -> Any:
        """A float operation: the same arguments give the same result, and nothing more."""
        args: list[Any] = []
        for a in t.args:
            for part in a if type(a) is tuple else (a,):
                args.append(
                    self.found[part] if type(part) is Term else self.z.BitVecVal(part, 64, self.context)
                )
        name = f"{t.op} {t.width} {' '.join(str(a.size()) for a in args)}"
        sorts = [a.sort() for a in args] + [self.z.BitVecSort(t.width, self.context)]
        return self.z.Function(name, *sorts)(*args)

    def _order(self, t: Term) -> Any:
        """IEEE comparison of bits: neither is NaN, zeros are one, negative values count down."""
        z, w = self.z, t.args[2]
        fraction = 23 if w == 32 else 52
        infinity = ((1 << (w - 1 - fraction)) - 1) << fraction
        a, b = (self._value(x, w) for x in t.args[:2])
        magnitudes = [x & ones(w - 1) for x in (a, b)]
        numbers = z.And(*(z.ULE(m, infinity) for m in magnitudes))
        keys = [z.If(x < 0, -m, m) for x, m in zip((a, b), magnitudes, strict=True)]
        x, y = keys
        return z.And(numbers, x == y if t.op == "feq" else x < y if t.op == "flt" else x <= y)

    def _count(self, t: Term) -> Any:
        z, x, w = self.z, self.found[t.args[0]], t.width
        inner = t.args[0].width
        bits = [z.Extract(k, k, x) for k in range(inner)]
        if t.op == "popcnt":
            total = z.BitVecVal(0, w, self.context)
            for bit in bits:
                total = total + (z.ZeroExt(w - 1, bit) if w > 1 else bit)
            return total
        result = z.BitVecVal(inner, w, self.context)
        for k in range(inner) if t.op == "clz" else reversed(range(inner)):
            result = z.If(
                bits[k] == 1, z.BitVecVal(inner - 1 - k if t.op == "clz" else k, w, self.context), result
            )
        return result
