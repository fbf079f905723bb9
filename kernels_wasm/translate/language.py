"""The types of the forge's Python, as they run in CPython: what a function means.

A function is written with the builtin operators over four number types and arrays of eight element types.
The rules, the same here, in the generated C and in the generated JavaScript:

- i32 and u32 wrap around; f32 rounds after every operation; f64 is Python's float.
- Both sides of an operator have one type. A literal takes the other side's type; alone it is i32 or f64.
- Elements of i8, u8, i16 and u16 are i32 once read, and are cut to their width when stored.
- `//` and `%` round down, as in Python, and fail for 0; INT_MIN // -1 wraps. Shift counts are taken modulo 32.
- Division of floats by 0 gives infinity or NaN. Converting a float to an integer drops the fraction, NaN gives 0, and
  what does not fit gives the nearest value that does.
- `min(a, b)` is `b if b < a else a`, `max(a, b)` is `b if b > a else a`, NaN and -0 included.
- An index outside an array is an error, also a negative one. Arrays do not overlap.
"""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")

LOW, HIGH = -(1 << 31), (1 << 31) - 1
ELEMENTS: dict[str, tuple[int, bool]] = {  # bits, signed
    "i8": (8, True), "u8": (8, False), "i16": (16, True), "u16": (16, False), "i32": (32, True), "u32": (32, False),
}  # fmt: skip


class MeaningError(TypeError):
    """A program does what the language does not define; the message says what."""


def wrap(value: int, element: str) -> int:
    """The value cut to the width of an integer type."""
    bits, signed = ELEMENTS[element]
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def rounded(value: float) -> float:
    """The nearest f32."""
    return ctypes.c_float(value).value


def divided(a: float, b: float) -> float:
    """IEEE division."""
    if b:
        return a / b
    if math.isnan(a) or math.isnan(b) or not a:
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


class Number:
    """A value of one of the four types, or a literal that has not met another value yet."""

    __slots__ = ("value",)
    name = "literal"

    def __init__(self, value: Any = 0) -> None:
        self.value: Any = self.converted(value.value if isinstance(value, Number) else value)

    @classmethod
    def converted(cls, value: float) -> float:
        return value

    def __index__(self) -> int:
        if isinstance(self.value, int):
            return self.value
        raise MeaningError(f"{self.name} cannot be an index")

    def __repr__(self) -> str:
        return f"{self.name}({self.value!r})"

    def __hash__(self) -> int:
        return hash(self.value)

    def __bool__(self) -> bool:
        raise MeaningError("a condition must compare something, such as x != 0")

    def __eq__(self, other: object) -> bool:
        return _compare(operator.eq, self, other)

    def __ne__(self, other: object) -> bool:
        return _compare(operator.ne, self, other)

    def __lt__(self, other: object) -> bool:
        return _compare(operator.lt, self, other)

    def __le__(self, other: object) -> bool:
        return _compare(operator.le, self, other)

    def __gt__(self, other: object) -> bool:
        return _compare(operator.gt, self, other)

    def __ge__(self, other: object) -> bool:
        return _compare(operator.ge, self, other)

    def __neg__(self) -> Number:
        kind = _alone(self)
        return kind(-kind(self).value)

    def __invert__(self) -> Number:
        kind = _alone(self)
        return kind(~_whole(kind(self)))

    def __abs__(self) -> Number:
        kind = _alone(self)
        return kind(abs(kind(self).value))

    def bit_count(self) -> Number:
        """How many of the 32 bits are set."""
        return i32((_whole(_alone(self)(self)) & 0xFFFFFFFF).bit_count())


class i32(Number):  # noqa: N801 (named as the WebAssembly type)
    """A 32-bit integer, signed."""

    __slots__ = ()
    name = "i32"
    low, high = LOW, HIGH

    @classmethod
    def converted(cls, value: float) -> int:
        if isinstance(value, float):
            if math.isnan(value):
                return 0
            return int(max(cls.low, min(cls.high, value)))
        return wrap(int(value), cls.name)


class u32(i32):  # noqa: N801
    """A 32-bit integer, unsigned."""

    __slots__ = ()
    name = "u32"
    low, high = 0, (1 << 32) - 1


class f32(Number):  # noqa: N801
    """A single-precision number."""

    __slots__ = ()
    name = "f32"

    @classmethod
    def converted(cls, value: float) -> float:
        return rounded(float(value))


class f64(Number):  # noqa: N801
    """A double-precision number."""

    __slots__ = ()
    name = "f64"

    @classmethod
    def converted(cls, value: float) -> float:
        return float(value)


NUMBERS: dict[str, type[Number]] = {"i32": i32, "u32": u32, "f32": f32, "f64": f64}


def narrow(element: str) -> Callable[[Any], Number]:
    """`u8(x)` and its like: the value cut to the width, as an i32."""
    return lambda value: i32(wrap(_whole(i32(value) if not isinstance(value, u32) else value), element))


i8, u8, i16, u16 = (narrow(name) for name in ("i8", "u8", "i16", "u16"))


def _whole(value: Number) -> int:
    if not isinstance(value.value, int):
        raise MeaningError(f"{value.name} has no bits to work on")
    return value.value


def _alone(value: Number) -> type[Number]:
    """The type of a literal on its own."""
    if type(value) is not Number:
        return type(value)
    return f64 if isinstance(value.value, float) else i32


def literal(value: object) -> object:
    """A plain Python number as a literal; the forge's own copy of a program has no others."""
    return Number(value) if type(value) in (int, float) else value


def typed(kind: type[Number], value: object) -> Number:
    """The value as one of that type: the same type, or a literal."""
    value = literal(value)
    if type(value) is kind:
        return value
    if type(value) is not Number:
        raise MeaningError(f"{value!r} is not {kind.name}")
    if issubclass(kind, i32) and not (isinstance(value.value, int) and kind.low <= value.value <= kind.high):
        raise MeaningError(f"{value.value!r} is not a value of {kind.name}")
    return kind(value)


def together(a: object, b: object) -> tuple[Number, Number, type[Number]]:
    """Both sides of an operator in their common type."""
    a, b = literal(a), literal(b)
    if not isinstance(a, Number) or not isinstance(b, Number):
        raise MeaningError(f"{a!r} and {b!r} are not both numbers")
    if type(a) is Number and type(b) is Number:
        kind: type[Number] = f64 if isinstance(a.value, float) or isinstance(b.value, float) else i32
    else:
        kind = type(b) if type(a) is Number else type(a)
    return typed(kind, a), typed(kind, b), kind


def _compare(how: Callable[[Any, Any], bool], a: object, b: object) -> bool:
    left, right, _ = together(a, b)
    return how(left.value, right.value)


def _quotient(a: Number, b: Number) -> float:
    if isinstance(a.value, int):
        raise MeaningError("/ is for f32 and f64")
    return divided(a.value, b.value)


# What each operator does with two values of one type, before the result is cut or rounded.
OPERATORS: dict[str, Callable[[Number, Number], Any]] = {
    "add": lambda a, b: a.value + b.value,
    "sub": lambda a, b: a.value - b.value,
    "mul": lambda a, b: a.value * b.value,
    "truediv": _quotient,
    "floordiv": lambda a, b: _whole(a) // _whole(b),
    "mod": lambda a, b: _whole(a) % _whole(b),
    "and": lambda a, b: _whole(a) & _whole(b),
    "or": lambda a, b: _whole(a) | _whole(b),
    "xor": lambda a, b: _whole(a) ^ _whole(b),
    "lshift": lambda a, b: _whole(a) << (_whole(b) & 31),
    "rshift": lambda a, b: _whole(a) >> (_whole(b) & 31),
}


def _method(name: str, *, swapped: bool) -> Callable[[Number, object], Number]:
    def method(self: Number, other: object) -> Number:
        a, b, kind = together(*((other, self) if swapped else (self, other)))
        return kind(OPERATORS[name](a, b))

    return method


for _name in OPERATORS:
    setattr(Number, f"__{_name}__", _method(_name, swapped=False))
    setattr(Number, f"__r{_name}__", _method(_name, swapped=True))


def smaller(a: object, b: object) -> Number:
    """`min` of two."""
    left, right, _ = together(a, b)
    return right if right.value < left.value else left


def larger(a: object, b: object) -> Number:
    """`max` of two."""
    left, right, _ = together(a, b)
    return right if right.value > left.value else left


def sqrt(value: object) -> Number:
    """The square root, NaN below 0."""
    value = literal(value)
    if not isinstance(value, Number) or isinstance(value.value, int):
        raise MeaningError(f"sqrt is for f32 and f64, not {value!r}")
    kind = _alone(value)
    return kind(math.sqrt(value.value) if value.value >= 0 else math.nan)


def steps(*bounds: object) -> Iterator[Number]:
    """`range` over i32. The end plus one step must be an i32 too."""
    values = [typed(i32, bound).value for bound in bounds]
    found = range(*values)
    if not LOW <= found.stop + found.step <= HIGH:
        raise MeaningError(f"range({found.start}, {found.stop}, {found.step}) runs out of i32")
    return map(i32, found)


class Array(Generic[T]):
    """An array of one element type; `raw` are its elements as Python numbers."""

    def __init__(self, element: str, raw: Sequence[float]) -> None:
        self.element = element
        cut = (lambda v: wrap(int(v), element)) if element in ELEMENTS else NUMBERS[element].converted
        plain = raw.tolist() if hasattr(raw, "tolist") else raw
        self.raw: list[float] = [cut(value) for value in plain]

    def _at(self, index: object) -> int:
        at = operator.index(index)  # type: ignore[arg-type]  # TypeError if it is none
        if not 0 <= at < len(self.raw):
            raise IndexError(f"index {at} of an array of {len(self.raw)}")
        return at

    def __getitem__(self, index: object) -> Number:
        value = self.raw[self._at(index)]
        return NUMBERS.get(self.element, i32)(value)

    def __setitem__(self, index: object, value: object) -> None:
        if self.element in ELEMENTS:
            value = literal(value)
            if type(value) is Number:
                value = typed(i32 if self.element != "u32" else u32, value)
            if not isinstance(value, i32):
                raise MeaningError(f"{value!r} is stored in an array of {self.element}")
            self.raw[self._at(index)] = wrap(value.value, self.element)
        else:
            self.raw[self._at(index)] = typed(NUMBERS[self.element], value).value


class In(Array[T]):
    """An array that is only read."""


class Out(Array[T]):
    """An array that is written; what it held before does not matter."""


class InOut(Array[T]):
    """An array that is read and changed."""


class Scratch(Array[T]):
    """Room to work in; what it holds before and after does not matter."""


def kernel(**_description: Any) -> Callable[[T], T]:
    """Marks the function to forge. It changes nothing: the forge reads the arguments from the source.

    `sizes`: 1 to 12 sizes; `size`: which parameters make the size, such as "n" or "width * height"; `lengths`: how many
    elements an array has, if not `size`, such as {"pixels": "4 * n"}; `ranges`: the values of an array or a number,
    such as {"weights": (0, 1)}; `values`: numbers that do not change, such as {"shift": 7}; `patterns`: names from
    PATTERNS in source.py, or {"name": {"stride": 3}}; `family`, `tolerance`: as in a kernel's description.
    """
    return lambda function: function
