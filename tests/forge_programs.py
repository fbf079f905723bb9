"""Random programs in the forge's Python: what the checker lets through must mean one thing everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

INTEGERS, FLOATS = ("i32", "u32"), ("f32", "f64")
LITERALS = {
    "i32": ("0", "1", "-1", "2", "7", "31", "255", "-128", "65535", "2147483647", "-2147483648", "-7"),
    "u32": ("0", "1", "3", "8", "255", "65536", "2147483648", "4294967295"),
    "f32": ("0.0", "1.0", "-1.5", "0.1", "3.0", "1e-40", "16777217.0", "3e38", "-2147483648.0", "1e10"),
    "f64": ("0.0", "-1.0", "0.1", "1e300", "4294967295.5", "-2147483648.5", "2.5", "1e-310"),
}
ARRAYS = {"a": "i8", "b": "u8", "c": "i16", "d": "u16", "e": "i32", "f_": "u32", "g": "f32", "h": "f64"}
OUTS = {"o8": "u8", "p8": "i8", "o16": "u16", "o32": "i32", "u_32": "u32", "of": "f32", "od": "f64"}
LENGTH = 16
COUNTERS = ("i", "j", "k")


def promoted(element: str) -> str:
    return element if element in (*INTEGERS, *FLOATS) else "i32"


@dataclass
class Writer:
    """Draws statements and expressions; `names` are the variables that surely have a value, with their types."""

    draw: st.DrawFn
    names: dict[str, str]
    counters: list[str] = field(default_factory=list)
    helper: bool = True
    made: int = 0
    arrays: dict[str, str] = field(default_factory=lambda: ARRAYS)

    def pick(self, *options: str) -> str:
        return self.draw(st.sampled_from(options))

    def either(self) -> bool:
        return self.pick("yes", "no") == "yes"

    def literal(self, kind: str) -> str:
        """A literal on its own has a type of its own, so it is written as that type's."""
        return f"{kind}({self.pick(*LITERALS[kind])})"

    def index(self, depth: int) -> str:
        if self.counters and self.either():
            return self.pick(*self.counters)
        return f"({self.expression('i32', depth - 1)} & {LENGTH - 1})"

    def expression(self, kind: str, depth: int) -> str:
        known = [name for name, of in self.names.items() if of == kind]
        if depth <= 0:
            return self.pick(*known, self.literal(kind)) if known else self.literal(kind)
        arrays = [name for name, element in self.arrays.items() if promoted(element) == kind]
        ways = ["literal", "load", "binary", "binary", "binary", "unary", "convert", "limits", "choice"]
        match self.pick(*ways, *(["name"] if known else []), *(["call"] if self.helper else [])):
            case "name":
                return self.pick(*known)
            case "load" if arrays:
                return f"{self.pick(*arrays)}[{self.index(depth)}]"
            case "binary":
                return self.binary(kind, depth)
            case "unary":
                return self.unary(kind, depth)
            case "convert":
                return self.convert(kind, depth)
            case "limits":
                left, right = self.expression(kind, depth - 1), self.expression(kind, depth - 1)
                return f"{self.pick('min', 'max')}({left}, {right})"
            case "choice":
                then, other = self.expression(kind, depth - 1), self.expression(kind, depth - 1)
                return f"({then} if {self.condition(depth - 1)} else {other})"
            case "call" if kind == "i32":
                return f"helped({self.expression('i32', depth - 1)}, {self.expression('f32', depth - 1)})"
        return self.literal(kind)

    def binary(self, kind: str, depth: int) -> str:
        left = self.expression(kind, depth - 1)
        if kind in FLOATS:
            op = self.pick("+", "-", "*", "/")
            right = self.pick(*LITERALS[kind]) if self.either() else self.expression(kind, depth - 1)
            return f"({left} {op} {right})"
        op = self.pick("+", "-", "*", "&", "|", "^", "<<", ">>", "//", "%")
        if op in ("//", "%"):
            # A divisor that may be 0 ends the program everywhere; most should go on.
            divisor = self.pick("3", "8", "255", "1", "10", "7", f"({self.expression(kind, depth - 1)} | 1)")
            if kind == "i32" and self.either():
                divisor = self.pick("-1", "-3", "-8", divisor)
            return f"({left} {op} {divisor})"
        if op in ("<<", ">>") and self.either():
            return f"({left} {op} {self.pick('0', '1', '7', '31')})"
        right = self.pick(*LITERALS[kind]) if self.either() else self.expression(kind, depth - 1)
        if op in ("<<", ">>"):  # counts beyond 31 too, but no literal ones, which are refused
            right = f"({self.expression(kind, depth - 1)} | 0)"
        return f"({left} {op} {right})"

    def unary(self, kind: str, depth: int) -> str:
        inner = self.expression(kind, depth - 1)
        if kind in FLOATS:
            return {"-": f"(-{inner})", "abs": f"abs({inner})", "sqrt": f"sqrt({inner})"}[
                self.pick("-", "abs", "sqrt")
            ]
        if kind == "i32" and self.either():
            return f"{self.expression(self.pick(*INTEGERS), depth - 1)}.bit_count()"
        return {"-": f"(-{inner})", "~": f"(~{inner})", "abs": f"abs({inner})"}[self.pick("-", "~", "abs")]

    def convert(self, kind: str, depth: int) -> str:
        if kind == "i32":
            match self.pick("narrow", "condition", "plain"):
                case "narrow":
                    name = self.pick("u8", "i8", "u16", "i16")
                    return f"{name}({self.expression(self.pick(*INTEGERS), depth - 1)})"
                case "condition":
                    return f"i32({self.condition(depth - 1)})"
        source = self.pick(*(k for k in (*INTEGERS, *FLOATS) if k != kind))
        return f"{kind}({self.expression(source, depth - 1)})"

    def condition(self, depth: int) -> str:
        kind = self.pick(*INTEGERS, *FLOATS)
        left, right = self.expression(kind, depth - 1), self.expression(kind, depth - 1)
        one = f"{left} {self.pick('<', '<=', '>', '>=', '==', '!=')} {right}"
        if depth > 0:
            match self.pick("one", "and", "or", "not"):
                case "and" | "or" as word:
                    return f"({one} {word} {self.condition(depth - 1)})"
                case "not":
                    return f"(not {one})"
        return f"({one})"

    def statements(self, count: int, depth: int, pad: str) -> list[str]:
        lines: list[str] = []
        for _ in range(count):
            lines += self.statement(depth, pad)
        return lines

    def statement(self, depth: int, pad: str) -> list[str]:
        kinds = ["assign", "assign", "store", "store", "change", "add"]
        if depth > 0:
            kinds += ["if", "for", "while"]
        free = [name for name in self.names if name not in self.counters]  # a counter may not be assigned
        match self.pick(*kinds):
            case "assign":
                kind = self.pick(*INTEGERS, *FLOATS)
                value = self.expression(kind, 3)
                self.made += 1
                name = f"v{self.made}"
                self.names[name] = kind
                return [f"{pad}{name} = {value}"]
            case "change" if free:
                name = self.pick(*free)
                return [f"{pad}{name} = {self.expression(self.names[name], 3)}"]
            case "add" if free:
                name = self.pick(*free)
                return [f"{pad}{name} += {self.expression(self.names[name], 2)}"]
            case "if":
                return self.branch(depth, pad)
            case "for" if len(self.counters) < len(COUNTERS):
                return self.loop(depth, pad)
            case "while":
                self.made += 1
                left = f"left{self.made}"
                before = dict(self.names)
                body = self.statements(2, depth - 1, pad + "    ")
                self.names = before
                return [f"{pad}{left} = i32({self.pick('0', '1', '3')})", f"{pad}while {left} > 0:",
                        f"{pad}    {left} -= 1", *body]  # fmt: skip
        name = self.pick(*OUTS)
        kind = promoted(OUTS[name])
        kind = self.pick(*INTEGERS) if kind in INTEGERS else kind
        return [f"{pad}{name}[{self.index(2)}] = {self.expression(kind, 3)}"]

    def branch(self, depth: int, pad: str) -> list[str]:
        condition = self.condition(1)
        before = dict(self.names)
        then = self.statements(2, depth - 1, pad + "    ")
        self.names = dict(before)
        other = self.statements(1, depth - 1, pad + "    ")
        self.names = before
        return [f"{pad}if {condition}:", *then, f"{pad}else:", *other]

    def loop(self, depth: int, pad: str) -> list[str]:
        counter = COUNTERS[len(self.counters)]
        bounds = self.pick("n", f"0, {LENGTH}", "0, n, 3", f"{LENGTH - 1}, -1, -1", "2, n")
        before = dict(self.names)
        self.counters.append(counter)
        self.names[counter] = "i32"
        body = self.statements(2, depth - 1, pad + "    ")
        self.counters.pop()
        self.names = before
        return [f"{pad}for {counter} in range({bounds}):", *body]


@st.composite
def programs(draw: st.DrawFn) -> str:
    """The text of a file with a helper and a kernel over arrays of every element type."""
    helper = Writer(draw, {"x": "i32", "y": "f32"}, helper=False)
    inner = [f"    w = {helper.expression('i32', 2)}".replace("[", "(").replace("]", ")")]
    if any(f"{name}(" in inner[0] for name in ARRAYS):
        inner = ["    w = x * 3 + i32(y)"]
    writer = Writer(draw, {"t": "i32", "s": "u32", "p": "f32", "q": "f64"})
    body = writer.statements(draw(st.integers(2, 6)), 2, "    ")
    result = draw(st.sampled_from((*INTEGERS, *FLOATS)))
    params = [f"{name}: In[{kind}]" for name, kind in ARRAYS.items()]
    params += [f"{name}: InOut[{kind}]" for name, kind in OUTS.items()]
    lengths = ", ".join(f'"{name}": "{LENGTH}"' for name in (*ARRAYS, *OUTS))
    return "\n".join(
        [
            "def helped(x: i32, y: f32) -> i32:", *inner, "    return w", "",
            f"@kernel(lengths={{{lengths}}}, values={{'t': 3, 's': 5}})",
            f"def program({', '.join(params)}, t: i32, s: u32, p: f32, q: f64, n: i32) -> {result}:",
            *body, f"    return {writer.expression(result, 2)}", "",
        ]
    )  # fmt: skip


PLACES = (
    "i",
    "i + 1",
    "i + 3",
    "2 * i",
    "2 * i + 1",
    "3 * i + 1",
    "4 * i",
    "4 * i + 1",
    "4 * i + 3",
    "n - i",
)


@dataclass
class LoopWriter(Writer):
    """Draws the body of a loop over i: loads at and around i, choices, reductions, running totals, exits."""

    def index(self, depth: int) -> str:
        return self.pick(*PLACES, *PLACES[:2], f"({self.pick('i', 'k')} & 7)")

    def expression(self, kind: str, depth: int) -> str:
        arrays = [name for name, element in self.arrays.items() if promoted(element) == kind]
        if arrays and self.either():
            return f"{self.pick(*arrays)}[{self.index(depth)}]"
        return super().expression(kind, depth)

    def convert(self, kind: str, depth: int) -> str:
        # Random arithmetic on all types rarely meets the narrow lanes: most values come from the arrays.
        return super().convert(kind, depth) if depth > 1 else self.literal(kind)


@st.composite
def loops(draw: st.DrawFn) -> str:
    """The text of a kernel with one loop that may well be turned into vectors."""
    elements = ["i8", "u8", "u8", "i16", "u16", "i32", "u32", "f32", "f32"]
    arrays = {
        "a": draw(st.sampled_from(elements)),
        "b": draw(st.sampled_from(elements)),
        "c": "i32",
        "g": "f32",
    }
    writer = LoopWriter(draw, {"i": "i32", "k": "i32", "x": "f32"}, arrays=arrays, helper=False)
    outs = {"o": draw(st.sampled_from(elements)), "r": draw(st.sampled_from(elements))}
    kinds = {"t": draw(st.sampled_from(("i32", "u32"))), "s": draw(st.sampled_from(("i32", "u32")))}
    body: list[str] = []
    if draw(st.integers(0, 3)) == 0:
        writer_exit = f"        if {writer.condition(1)}:"
        body += [writer_exit, f"            {writer.pick('break', 'return t')}"]
    if draw(st.integers(0, 4)) == 0:
        body += [f"        if {writer.condition(1)}:", "            continue"]
    for number in range(draw(st.integers(1, 4))):
        match writer.pick("temporary", "store", "store", "reduce", "scan", "choose", "masked", "weave"):
            case "temporary":
                kind = writer.pick("i32", "u32", "f32", "i32")
                body.append(f"        v{number} = {writer.expression(kind, 3)}")
                writer.names[f"v{number}"] = kind
            case "store":
                name = writer.pick(*outs)
                kind = promoted(outs[name])
                value = writer.expression(writer.pick("i32", "u32") if kind in INTEGERS else kind, 3)
                body.append(
                    f"        {name}[{writer.pick('i', 'i', '2 * i', '4 * i + 1', 'i + 2')}] = {value}"
                )
            case "reduce":
                value = writer.expression(kinds["t"], 3)
                ways = ("t += {}", "t = min(t, {})", "t = max({}, t)", "t ^= {}", "t &= {}", "t -= {}")
                body.append("        " + writer.pick(*ways).format(value))
            case "scan":
                body.append(f"        s += {writer.expression(kinds['s'], 2)}")
                if promoted(outs["o"]) in INTEGERS:
                    body.append(f"        o[i] = s {writer.pick('+ 1', '>> 3', '& 255', '')}")
            case "choose":
                then, other = writer.expression("i32", 2), writer.expression("i32", 2)
                body += [f"        if {writer.condition(1)}:", f"            w{number} = {then}", "        else:",
                         f"            w{number} = {other}"]  # fmt: skip
                writer.names[f"w{number}"] = "i32"
            case "masked":
                kind = promoted(outs["r"])
                value = writer.expression(kind, 2)
                body += [f"        if {writer.condition(1)}:", f"            r[i] = {value}"]
                if writer.either():
                    body += ["        else:", f"            r[i] = {writer.expression(kind, 2)}"]
            case "weave":
                kind = promoted(outs["r"])
                stride = draw(st.sampled_from((2, 3, 4)))
                body += [
                    f"        r[{stride} * i + {k}] = {writer.expression(kind, 2)}" for k in range(stride)
                ]
    lengths = ", ".join(f'"{name}": "4 * n + 8"' for name in (*arrays, *outs))
    params = [f"{name}: In[{kind}]" for name, kind in arrays.items()]
    params += [f"{name}: InOut[{kind}]" for name, kind in outs.items()]
    return "\n".join(
        [
            f"@kernel(lengths={{{lengths}}}, values={{'k': 5}})",
            f"def program({', '.join(params)}, k: i32, x: f32, n: i32) -> {kinds['t']}:",
            f"    t = {kinds['t']}(7)", f"    s = {kinds['s']}(1)",
            "    for i in range(n):", *body, f"    return t ^ {kinds['t']}(s)", "",
        ]
    )  # fmt: skip
