"""One call to prove: where its arrays lie, what is known and what is a symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kernels_wasm.build.catalogue import STACK_BYTES, KernelRow
from kernels_wasm.build.params import Param
from kernels_wasm.forge.proof.domains import DOMAINS, Domain, Numbers
from kernels_wasm.forge.proof.memory import Cell, Memory
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Term, Undecided, Value

FIRST_ARRAY = 1 << 21  # past every module's stack and tables
SPACING = 1 << 17  # bytes between the starts of arrays: the same for every n, so that terms are shared
MEMORY = 1 << 22
WIDTHS = {"i8": 8, "u8": 8, "i16": 16, "u16": 16, "i32": 32, "u32": 32, "f32": 32, "f64": 64}


@dataclass(frozen=True)
class Spec:
    """What is to be proved about a function: its parameters and the calls that may be made."""

    name: str
    params: tuple[Param, ...]
    returns: str
    domain: Domain = field(default_factory=Domain)
    relative: float = 0.0  # how far float results may lie apart: rounding, not a fault
    absolute: float = 0.0

    @classmethod
    def of(cls, row: KernelRow) -> Spec:
        """The specification of a catalogue kernel."""
        domain = DOMAINS.get(row.name, Domain())
        return cls(
            row.name, row.params, row.returns, domain, row.tolerance["relative"], row.tolerance["absolute"]
        )

    @property
    def floats(self) -> bool:
        """Whether a result is a float, which may be rounded differently."""
        outputs = [p.type for p in self.params if p.dir in ("out", "inout")]
        return any(kind.startswith("f") for kind in (self.returns, *outputs))


@dataclass(frozen=True)
class Array:
    param: Param
    start: int
    elements: int
    symbols: tuple[Term, ...]

    @property
    def width(self) -> int:
        return WIDTHS[self.param.type.removesuffix("[]")]

    @property
    def end(self) -> int:
        return self.start + self.elements * self.width // 8


@dataclass(frozen=True)
class Case:
    """One call: its arguments in order, its arrays, and the numbers that are known."""

    spec: Spec
    numbers: Numbers
    arguments: tuple[Value, ...]
    arrays: tuple[Array, ...]

    def memory(self, terms: Terms, segments: Sequence[tuple[int, bytes]]) -> Memory:
        cells: dict[int, Cell] = {}
        for start, contents in segments:
            cells |= {start + k: (byte, 0, 1) for k, byte in enumerate(contents)}
        for array in self.arrays:
            size = array.width // 8
            for k, symbol in enumerate(array.symbols):
                cells |= {array.start + size * k + j: (symbol, j, size) for j in range(size)}
        return Memory(terms, cells, MEMORY)

    def owner(self, address: int) -> Array | None:
        return next((a for a in self.arrays if a.start <= address < a.end), None)


def case_of(spec: Spec, numbers: Numbers, terms: Terms) -> Case:
    arguments: list[Value] = []
    arrays = []
    start = FIRST_ARRAY
    for param in spec.params:
        if not param.is_array:
            known = numbers.get(param.name)
            width = WIDTHS[param.type]
            arguments.append(terms.symbol(param.name, width) if known is None else known & ((1 << width) - 1))
            continue
        kind = param.type.removesuffix("[]")
        elements = spec.domain.length(param.name, numbers)
        if elements * WIDTHS[kind] // 8 > SPACING - 256:
            raise Undecided(f"{param.name} has {elements} elements: too many for one proof")
        limit: Mapping[str, int] = {}
        if param.name in spec.domain.limits:
            low, high = spec.domain.limits[param.name](numbers)
            limit = {"low": low, "high": high}
        suffix = f" below {limit['high'] + 1}" if limit else ""
        symbols = tuple(
            terms.symbol(f"{param.name}[{k}]{suffix}", WIDTHS[kind], **limit) for k in range(elements)
        )
        at = start + (1 if WIDTHS[kind] == 8 else 0)  # byte arrays may lie anywhere: not aligned here
        arrays.append(Array(param, at, elements, symbols))
        arguments.append(at)
        start += SPACING
    return Case(spec, numbers, tuple(arguments), tuple(arrays))


def in_stack(address: int) -> bool:
    return 0 <= address < STACK_BYTES
