"""A strict reader of the WebAssembly modules that the catalogue holds: sections, functions, instructions.

Covers the MVP, sign extension, non-trapping conversion, multi-value, bulk memory, reference types, SIMD and
relaxed SIMD (https://webassembly.github.io/spec/core/binary/). Anything else is an error with its offset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kernels_wasm.profile.instructions import Instruction, ProfileError, Reader, read_instructions

__all__ = ["Instruction", "Module", "ProfileError", "parse"]


@dataclass
class Module:
    """A parsed module. `bodies` excludes imported functions, which come first in the index space."""

    size: int
    types: list[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    imports: list[tuple[str, str, int]] = field(default_factory=list)  # module, name, kind
    functions: list[int] = field(default_factory=list)  # type indices
    exports: dict[str, tuple[int, int]] = field(default_factory=dict)  # name → kind, index
    bodies: list[list[Instruction]] = field(default_factory=list)
    locals: list[tuple[int, ...]] = field(default_factory=list)  # value types of each body's own locals
    segments: list[tuple[int, bytes]] = field(default_factory=list)  # static data: first byte, contents
    code_bytes: int = 0
    data_bytes: int = 0
    data_start: int = -1  # first byte of the static data; -1 if there is none
    data_end: int = 0  # first byte after the static data, or after the stack if there is none
    globals: list[int] = field(default_factory=list)  # initial values of i32 globals
    memories: list[tuple[int, int | None, bool]] = field(default_factory=list)  # least, most pages; shared
    constants: dict[int, int] = field(default_factory=dict)  # initial values of i32 globals by index
    imported_globals: int = 0
    entry: str = "run"  # the export that does the work

    @property
    def imported_functions(self) -> int:
        return sum(kind == 0 for _, _, kind in self.imports)


MAGIC = b"\0asm\1\0\0\0"
ORDER = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11)  # the data count comes before the code
TAGS = 13  # the section of exceptions
GC_FORMS = (0x4E, 0x4F, 0x50, 0x5E, 0x5F)
MAX_LOCALS = 50_000  # what engines accept
VALUE_TYPES = frozenset({0x7F, 0x7E, 0x7D, 0x7C, 0x7B, 0x70, 0x6F})


def parse(data: bytes) -> Module:
    """Read a whole module. Raises ProfileError naming what is wrong and at which offset."""
    if data[:8] != MAGIC:
        raise ProfileError("not a WebAssembly 1 module: wrong magic number or version at offset 0")
    module = Module(len(data))
    r, last = Reader(data, 8, len(data)), -1
    while r.at < r.end:
        start = r.at
        section, size = r.byte(), r.unsigned()
        if size > r.end - r.at:
            raise r.fail(f"truncated: section {section} wants {size} bytes, {r.end - r.at} left", start)
        inner = Reader(data, r.at, r.at + size)
        r.at += size
        if section == 0:
            continue  # names and other custom sections mean nothing here
        if section not in SECTIONS:
            named = " (exceptions: not supported)" if section == TAGS else ""
            raise r.fail(f"unknown section {section}{named}", start)
        if ORDER.index(section) <= last:
            raise r.fail(f"section {section} out of order", start)
        last = ORDER.index(section)
        SECTIONS[section](inner, module)
        if inner.at != inner.end:
            raise inner.fail(f"{inner.end - inner.at} bytes too many in section {section}")
    if len(module.bodies) != len(module.functions):
        raise r.fail(f"{len(module.functions)} functions but {len(module.bodies)} bodies")
    _check_indices(module)
    if not module.data_bytes and module.globals:
        module.data_end = max(module.data_end, module.globals[0])  # the stack pointer starts at its top
    return module


def _check_indices(module: Module) -> None:
    functions = module.imported_functions + len(module.functions)
    for index in module.functions:
        if index >= len(module.types):
            raise ProfileError(f"function of unknown type {index}")
    for name, (kind, index) in module.exports.items():
        if kind == 0 and index >= functions:
            raise ProfileError(f"export {name!r} names unknown function {index}")
    for body in module.bodies:
        for item in body:
            if item.code == 0x10 and item.argument >= functions:
                raise ProfileError(f"call of unknown function {item.argument} at offset {item.offset}")


def _value_type(r: Reader) -> int:
    start, kind = r.at, r.byte()
    if kind not in VALUE_TYPES:
        raise r.fail(f"unknown value type 0x{kind:02X}", start)
    return kind


def _type(r: Reader) -> tuple[tuple[int, ...], tuple[int, ...]]:
    start, form = r.at, r.byte()
    if form != 0x60:
        named = " (garbage collection: not supported)" if form in GC_FORMS else ""
        raise r.fail(f"unknown type form 0x{form:02X}{named}", start)
    parameters = tuple(_value_type(r) for _ in range(r.count()))
    return parameters, tuple(_value_type(r) for _ in range(r.count()))


def _limits(r: Reader) -> tuple[int, int | None, bool]:
    start, flags = r.at, r.byte()
    if flags > 3:
        raise r.fail(f"unknown limits 0x{flags:02X}", start)
    return r.unsigned(), r.unsigned() if flags & 1 else None, bool(flags & 2)


def _global_type(r: Reader) -> int:
    kind = _value_type(r)
    r.byte()
    return kind


def _types(r: Reader, module: Module) -> None:
    module.types = [_type(r) for _ in range(r.count())]


def _imports(r: Reader, module: Module) -> None:
    for _ in range(r.count()):
        owner, name, start, kind = r.name(), r.name(), r.at, r.byte()
        if kind == 0:
            r.unsigned()
        elif kind == 1:
            _value_type(r)
            _limits(r)
        elif kind == 2:
            module.memories.append(_limits(r))
        elif kind == 3:
            _global_type(r)
            module.imported_globals += 1
        else:
            raise r.fail(f"unknown import kind {kind}", start)
        module.imports.append((owner, name, kind))


def _functions(r: Reader, module: Module) -> None:
    module.functions = [r.unsigned() for _ in range(r.count())]


def _tables(r: Reader, module: Module) -> None:
    for _ in range(r.count()):
        _value_type(r)
        _limits(r)


def _memories(r: Reader, module: Module) -> None:
    module.memories += [_limits(r) for _ in range(r.count())]


def _globals(r: Reader, module: Module) -> None:
    for index in range(r.count()):
        kind, start = _global_type(r), read_instructions(r)
        if kind == 0x7F and start[0].code == 0x41:
            module.globals.append(start[0].argument)
            module.constants[module.imported_globals + index] = start[0].argument


def _exports(r: Reader, module: Module) -> None:
    for _ in range(r.count()):
        name = r.name()
        module.exports[name] = r.byte(), r.unsigned()


def _start(r: Reader, module: Module) -> None:
    r.unsigned()


def _elements(r: Reader, module: Module) -> None:
    """All eight kinds (core specification 2.0, 5.5.12): bit 0 is passive or declared, bit 1 names the table or
    means declared, bit 2 is expressions instead of function numbers."""
    for _ in range(r.count()):
        start, kind = r.at, r.unsigned()
        if kind > 7:
            raise r.fail(f"element segment of kind {kind}", start)
        if not kind & 1:
            if kind & 2:
                r.unsigned()  # the table
            read_instructions(r)
        if kind & 3:
            r.byte()  # the type of its elements
        for _ in range(r.count()):
            if kind & 4:
                read_instructions(r)
            else:
                r.unsigned()


def _code(r: Reader, module: Module) -> None:
    module.code_bytes = r.end - r.at
    for _ in range(r.count()):
        size = r.unsigned()
        if size > r.end - r.at:
            raise r.fail(f"truncated: a body of {size} bytes, {r.end - r.at} left")
        body = Reader(r.data, r.at, r.at + size)
        own: tuple[int, ...] = ()
        for _ in range(body.count()):
            start, number, kind = body.at, body.unsigned(), _value_type(body)
            if len(own) + number > MAX_LOCALS:
                raise body.fail(f"over {MAX_LOCALS} locals", start)
            own += (kind,) * number
        module.locals.append(own)
        module.bodies.append(read_instructions(body))
        if body.at != body.end:
            raise body.fail("instructions after the end of a function")
        r.at = body.end


def _data(r: Reader, module: Module) -> None:
    for _ in range(r.count()):
        start, flags = r.at, r.unsigned()
        if flags > 1:
            raise r.fail(f"data segment of kind {flags}", start)
        base = read_instructions(r)[0].argument if flags == 0 else 0
        contents = r.take(r.unsigned())
        size = len(contents)
        module.data_bytes += size
        if flags == 0 and size:
            module.segments.append((base, contents))
            module.data_start = base if module.data_start < 0 else min(base, module.data_start)
        module.data_end = max(module.data_end, base + size)


def _data_count(r: Reader, module: Module) -> None:
    r.unsigned()


SECTIONS: dict[int, Callable[[Reader, Module], None]] = {
    1: _types,
    2: _imports,
    3: _functions,
    4: _tables,
    5: _memories,
    6: _globals,
    7: _exports,
    8: _start,
    9: _elements,
    10: _code,
    11: _data,
    12: _data_count,
}
