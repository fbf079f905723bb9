"""Elements that lie several apart, taken out of registers side by side, and put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Put = Callable[[str], str]
NAMES = {1: "i8x16", 2: "i16x8", 4: "i32x4", 8: "i64x2"}


def shuffled(put: Put, width: int, one: str, other: str, lanes: Sequence[int]) -> str:
    return put(f"wasm_{NAMES[width]}_shuffle({one}, {other}, {', '.join(map(str, lanes))})")


def gathered(put: Put, width: int, registers: Sequence[str], wanted: Sequence[int]) -> str:
    """A register of the elements with these numbers; element k lies in register k // lanes."""
    lanes = 16 // width
    found = registers[0]
    done = [at if at < lanes else -1 for at in wanted]
    if all(at == -1 or at == k for k, at in enumerate(done)) and -1 not in done:
        return found
    for number, register in enumerate(registers[1:], 1):
        here = [lanes + at - number * lanes if at // lanes == number else None for at in wanted]
        if all(at is None for at in here):
            continue
        first = number == 1 or found is registers[0]
        order = []
        for k, at in enumerate(here):
            if at is not None:
                order.append(at)
            else:  # what an earlier step brought stays; the first step brings it from its place
                order.append((done[k] if done[k] >= 0 else k) if first else k)
        found = shuffled(put, width, found, register, order)
    if found is registers[0]:
        found = shuffled(put, width, found, found, done)
    return found


def every(put: Put, width: int, registers: Sequence[str], stride: int, component: int) -> list[str]:
    """Elements component, component + stride, … of registers that hold `stride` times what is returned."""
    lanes = 16 // width
    count = len(registers) // stride
    return [
        gathered(
            put,
            width,
            registers[k * stride : (k + 1) * stride],
            [component + stride * lane for lane in range(lanes)],
        )
        for k in range(count)
    ]


def woven(put: Put, width: int, components: Sequence[Sequence[str]]) -> list[str]:
    """Registers of a[0], b[0], c[0], a[1], … from one list of registers each for a, b, c."""
    if len(components) in (2, 4):
        return _zipped(put, width, [list(c) for c in components])
    lanes, stride = 16 // width, len(components)
    found = []
    for group in zip(*components, strict=True):
        for block in range(stride):
            places = [divmod(block * lanes + k, stride) for k in range(lanes)]  # (element, component)
            numbers = [component * lanes + element for element, component in places]
            found.append(gathered(put, width, group, numbers))
    return found


def _zipped(put: Put, width: int, components: list[list[str]]) -> list[str]:
    """Pairs woven, then pairs of pairs as wider elements."""
    if len(components) == 4:
        a, b, c, d = components
        return _zipped(put, 2 * width, [_zipped(put, width, [a, b]), _zipped(put, width, [c, d])])
    if width == 16:
        return [register for pair in zip(*components, strict=True) for register in pair]
    lanes = 16 // width
    low = [k // 2 + (lanes if k % 2 else 0) for k in range(lanes)]
    high = [lane + lanes // 2 for lane in low]
    return [
        shuffled(put, width, one, other, order)
        for one, other in zip(*components, strict=True)
        for order in (low, high)
    ]
