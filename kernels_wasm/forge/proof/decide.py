"""Decide whether two terms are equal: cheap engines first, each with a limit."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kernels_wasm.forge.proof import smt
from kernels_wasm.forge.proof.algebra import Algebra, holds_fused
from kernels_wasm.forge.proof.bdd import Blaster, TooLarge
from kernels_wasm.forge.proof.evaluate import children, opaque, ordered, same_everywhere
from kernels_wasm.forge.proof.parity import Parity
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Term, Value, ones

EQUAL, REASSOCIATED, FUSED = "equal", "reassociated", "fused"
ORDER = (EQUAL, REASSOCIATED, FUSED)  # from strong to weak
CASES = 64
DIAGRAM_SECONDS = 3.0
SOLVER_SECONDS = 20.0


@dataclass
class Decider:
    """Remembers what it has proved: the same question comes back for every n."""

    terms: Terms
    use_solver: bool = True
    proved: dict[tuple[Value, Value], str] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)  # questions that each engine answered
    alike: dict[tuple[object, ...], str] = field(default_factory=dict)  # proved, but for the names of inputs
    open: set[tuple[object, ...]] = field(default_factory=set)  # conditions that were not shown impossible
    model: dict[str, int] | None = None  # inputs that the solver found for the last question

    def __post_init__(self) -> None:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))
        self.algebra, self.parity = Algebra(self.terms), Parity()

    def decide(self, x: Value, y: Value, width: int, deadline: float) -> str | None:
        """EQUAL, REASSOCIATED, FUSED, or None: not proved."""
        if x is y or (type(x) is int and type(y) is int and x == y):
            return EQUAL
        found = self.proved.get((x, y))
        if found is None:
            self.model = None
            shape = signature((x, y))
            found = self.alike.get(shape) or self._ask(x, y, width, deadline)
            if found is not None:
                self.proved[x, y] = self.alike[shape] = found
        return found

    def impossible(self, condition: Term, deadline: float) -> bool:
        """Whether a condition never holds, as far as enumeration and diagrams can tell."""
        shape = signature((condition, 0))
        if shape not in self.alike and shape not in self.open:
            if any(engine(condition, 0, 1, deadline) for engine in (self._enumeration, self._diagrams)):
                self.alike[shape] = EQUAL
            else:
                self.open.add(shape)
        return shape in self.alike

    def _ask(self, x: Value, y: Value, width: int, deadline: float) -> str | None:
        engines: tuple[tuple[str, Callable[..., bool]], ...] = (
            ("parity", self._parity),
            ("enumeration", self._enumeration),
            ("cases", self._cases),
            ("groups", self._groups),
            ("diagrams", self._diagrams),
            ("solver", self._solver),
        )
        loose = self._loosened(x, y)
        if loose is not None and loose[0] is loose[1]:
            return self._note("algebra", FUSED if holds_fused((x, y)) else REASSOCIATED)
        for name, engine in engines:
            if time.process_time() > deadline:
                return None
            if engine(x, y, width, deadline):
                return self._note(name, EQUAL)
            if loose is not None and engine(*loose, width, deadline):
                return self._note(name, FUSED if holds_fused((x, y)) else REASSOCIATED)
        return None

    def _note(self, engine: str, verdict: str) -> str:
        self.used[engine] = self.used.get(engine, 0) + 1
        return verdict

    def _loosened(self, x: Value, y: Value) -> tuple[Value, Value] | None:
        """Both with sums and products as multisets, if that changes anything."""
        a, b = self.algebra.loosen(x), self.algebra.loosen(y)
        return None if a is x and b is y else (a, b)

    def _parity(self, x: Value, y: Value, width: int, deadline: float) -> bool:
        a, b = self.parity.bits(x, width), self.parity.bits(y, width)
        return a is not None and a == b

    def _enumeration(self, x: Value, y: Value, width: int, deadline: float) -> bool:
        return same_everywhere(x, y) is True

    def _groups(self, x: Value, y: Value, width: int, deadline: float) -> bool:
        """The difference of two sums, split into parts that share no input: each must be nothing or a constant."""
        constant, terms = self.terms.linear_of(self.terms.sub(x, y, width), width)
        groups: list[tuple[set[Term], dict[Term, int]]] = []
        for term, factor in terms.items():
            leaves = {t for t in ordered((term,), opaque) if opaque(t)}
            merged: dict[Term, int] = {term: factor}
            for group in [g for g in groups if g[0] & leaves]:
                groups.remove(group)
                leaves |= group[0]
                merged |= group[1]
            groups.append((leaves, merged))
        if len(groups) < 2:
            return False
        for _, part in groups:
            negative = {t: f for t, f in part.items() if f >> (width - 1)}
            left = self.terms.linear(0, {t: f for t, f in part.items() if t not in negative}, width)
            right = self.terms.linear(0, {t: -f for t, f in negative.items()}, width)
            if self.decide(left, right, width, deadline) != EQUAL:
                return False
        return constant & ones(width) == 0

    def _cases(self, x: Value, y: Value, width: int, deadline: float) -> bool:
        """One by one the values of an index that has few."""
        order = ordered((x, y), lambda _: False)
        few = [
            t for t in order if t.op == "symbol" and t.high - t.low < CASES and t.high - t.low < ones(t.width)
        ]
        if len(few) != 1:
            return False
        for number in range(few[0].low, few[0].high + 1):
            known: dict[Term, Value] = {few[0]: number}
            for term in order:
                if term not in known:
                    known[term] = rebuild(self.terms, term, known)
            a, b = (known[v] if type(v) is Term else v for v in (x, y))
            if a is not b and not (type(a) is int and a == b):
                return False
        return True

    def _diagrams(self, x: Value, y: Value, width: int, deadline: float) -> bool:
        x, y = self.detach(x, y)
        blaster = Blaster(min(deadline, time.process_time() + DIAGRAM_SECONDS))
        try:
            return blaster.bits(x, width) == blaster.bits(y, width)
        except (TooLarge, RecursionError):
            return False

    def _solver(self, x: Value, y: Value, width: int, deadline: float) -> bool:
        if not self.use_solver or not smt.available():
            return False
        left = min(SOLVER_SECONDS, deadline - time.process_time())
        if left <= 0:
            return False
        answer, model = smt.Solver().different(*self.detach(x, y), width, int(1000 * left))
        if answer == "sat":
            self.model = model
        return answer == "unsat"

    def detach(self, x: Value, y: Value) -> tuple[Value, Value]:
        """Where a symbol occurs only in `symbol ^ key` or `symbol == key`, one key, make that a new symbol.

        The exclusive or takes every value once, so nothing is lost or gained.
        """
        parents: dict[Term, list[Term]] = {}
        order = ordered((x, y), opaque)
        for term in order:
            if not opaque(term):
                for child in children(term):
                    parents.setdefault(child, []).append(term)
        swap: dict[Term, Value] = {}
        for symbol in [t for t in parents if t.op == "symbol"]:
            if symbol.low == 0 and symbol.high == ones(symbol.width) and symbol not in (x, y):
                self._detach_one(symbol, parents, swap)
        if not swap:
            return x, y
        rebuilt: dict[Term, Value] = {}
        for term in order:
            rebuilt[term] = swap[term] if term in swap else rebuild(self.terms, term, rebuilt)
        return tuple(rebuilt[v] if type(v) is Term else v for v in (x, y))

    def _detach_one(self, symbol: Term, parents: dict[Term, list[Term]], swap: dict[Term, Value]) -> None:
        """Add to `swap` what replaces the uses of a symbol, if all of them are with one key."""
        t, uses = self.terms, parents[symbol]
        keys = {
            next((a for a in use.args if a is not symbol), None) for use in uses if use.op in ("eq", "xor")
        }
        key = keys.pop() if len(keys) == 1 else None
        if (
            type(key) is not Term
            or key.width != symbol.width
            or key in swap
            or symbol in ordered((key,), opaque)
        ):
            return
        fresh = t.symbol(f"{symbol.args[0]} ^ {key.index}", symbol.width)
        found: dict[Term, Value] = {}
        for use in uses:
            if use.op == "extract":  # a field of the symbol, with the same field of the key
                part = t.extract(key, use.args[1], use.width)
                for above in parents.get(use, []):
                    if above.op != "xor" or part not in above.args:
                        return
                    found[above] = t.extract(fresh, use.args[1], use.width)
            elif use.op in ("eq", "xor"):
                found[use] = fresh if use.op == "xor" else t.eq(fresh, 0, symbol.width)
            else:
                return
        swap.update(found)


def signature(roots: tuple[Value, ...]) -> tuple[object, ...]:
    """The terms with inputs numbered in order of appearance: questions alike have one answer."""
    numbers: dict[Term, int] = {}

    def shown(value: object) -> object:
        if type(value) is Term:
            return ("t", numbers[value])
        return tuple(map(shown, value)) if type(value) is tuple else value

    found: list[object] = []
    for term in ordered(roots, lambda _: False):
        row = () if term.op == "symbol" else tuple(map(shown, term.args))
        found.append((term.op, term.width, term.low, term.high, row))
        numbers[term] = len(numbers)
    return (*found, *map(shown, roots))


def rebuild(t: Terms, term: Term, known: dict[Term, Value]) -> Value:
    """The same operation on other arguments."""

    def get(x: Value) -> Value:
        return known.get(x, x) if type(x) is Term else x

    op, w = term.op, term.width
    if opaque(term) or all(get(c) is c for c in children(term)):
        return term
    if op == "sum":
        total: Value = term.args[0]
        for part, factor in term.args[1]:
            total = t.combine(total, get(part), factor, w)
        return total
    if op == "concat":
        return t.concat(tuple((get(p), size) for p, size in term.args))
    if op == "extract":
        return t.extract(get(term.args[0]), term.args[1], w)
    if op == "select":
        index = get(term.args[0])
        cells = tuple(get(c) for c in term.args[1])
        return cells[index - term.args[0].low] if type(index) is int else t.make("select", w, index, cells)
    if op == "sext":
        return t.sign_extend(get(term.args[0]), term.args[0].width, w)
    if op == "not":
        return t.not_(get(term.args[0]))
    if op == "ite":
        c, yes, no = map(get, term.args)
        return t.ite(c, yes, no, w)
    if op in ("and", "or", "xor"):
        return getattr(t, op + "_")(*map(get, term.args), w)
    if op in ("eq", "ult", "slt"):
        inner = max(a.width for a in term.args if type(a) is Term)
        return getattr(t, op)(*map(get, term.args), inner)
    if op == "mul":
        a, b = map(get, term.args)
        return t.mul(a, b, w)
    return t.make(op, w, *map(get, term.args))
