"""A rewritten loop gives what the plain one gives, bit for bit where no float is reordered, and writes nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from kernels_wasm.forge import candidates, rewrites, to_c
from kernels_wasm.forge.candidates import Candidate
from kernels_wasm.forge.compiling import Compiler, a_compiler
from kernels_wasm.forge.rewrites import REWRITES, Form
from kernels_wasm.translate.expressions import SourceError
from kernels_wasm.translate.source import Source, read
from tests.forge_programs import loops

SOURCE_REWRITES = tuple(name for name in REWRITES if name not in ("plain", "unrolling", "compiler"))


@pytest.fixture(scope="module")
def compiler() -> Iterator[Compiler]:
    with a_compiler() as made:
        yield made


def compiled(form: Form, compiler: Compiler) -> Candidate:
    text = to_c.program(form.program, inline=form.inline, automatic=form.automatic)
    unit = compiler.compile(text, form.flags)
    return Candidate(form, unit, compiler.link(unit), text)


def forms_of(source: Source) -> list[Form]:
    return [
        form
        for name in SOURCE_REWRITES
        for form in REWRITES[name](rewrites.normalised(source.program))
        if not form.fuses
    ]


def hold(source: Source, compiler: Compiler) -> int:
    """How many forms there were; AssertionError for one that is wrong."""
    plain = compiled(next(rewrites.plain(rewrites.normalised(source.program))), compiler)
    known = candidates.expectations(source, plain)
    forms = forms_of(source)
    for form in forms:
        checked, problem = candidates.check(source, known, compiled(form, compiler))
        assert not problem, f"{form.name} ({form.detail}): {problem}\n{source.text}\n{checked.source}"
        assert checked.exact or form.reassociates
    return len(forms)


@settings(max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(text=loops())
def test_random_loops_keep_their_meaning(compiler: Compiler, text: str) -> None:
    try:
        source = read(text)
    except SourceError:
        return
    hold(source, compiler)


# Bodies of a loop over i that must become vectors; a, b of one element type, o and r of another.
CHOSEN = {
    "a counter beside the loop's": ("u8", "u8", "o[i] = a[k]\n        k += 3"),
    "a total before its addition": ("i16", "i32", "o[i] = t\n        t += a[i]"),
    "two totals": ("i32", "u32", "t += a[i]\n        k += b[i]\n        o[i] = t ^ k"),
    "least by if": ("i32", "i32", "if a[i] < t:\n            t = a[i]"),
    "greatest of bytes": ("u8", "u8", "t = max(t, a[i])"),
    "least of signed bytes": ("i8", "u8", "t = min(t, a[i])"),
    "sum of absolute differences": ("u8", "u8", "t += abs(a[i] - b[i])"),
    "products of shorts": ("i16", "i32", "t += a[i] * b[i]"),
    "products of bytes": ("u8", "u8", "t -= a[i] * b[i]"),
    "bits of shorts": ("u16", "u8", "t += (a[i] ^ b[i]).bit_count()"),
    "how many are": ("u8", "u8", "t += i32(a[i] == k)"),
    "the first that is": ("u8", "u8", "if a[i] == k:\n            return i"),
    "sum until": ("i16", "i16", "if a[i] == 77:\n            break\n        t += a[i]\n        o[i] = b[i]"),
    "mean of two": ("u8", "u8", "o[i] = (a[i] + b[i] + 1) >> 1"),
    "difference not below 0": ("u8", "u8", "o[i] = max(a[i] - b[i], 0)"),
    "three woven": ("u8", "u8", "o[3 * i] = a[i]\n        o[3 * i + 1] = b[i]\n        o[3 * i + 2] = a[i] ^ b[i]"),
    "four woven": ("u16", "i16", "".join(f"o[4 * i + {k}] = a[4 * i + {3 - k}]\n        " for k in range(4)).rstrip()),
    "every third": ("i8", "i16", "o[i] = a[3 * i] - a[3 * i + 2]"),
    "weights of four": ("u8", "u8", "o[i] = (a[4 * i] * 77 + a[4 * i + 1] * 150 - a[4 * i + 3] * 29) >> 8"),
    "a table": ("u8", "i32", "o[i] = b[a[i] & 7]"),
    "a branch": ("i16", "i16", "if a[i] > b[i]:\n            o[i] = a[i]\n        else:\n            o[i] = -b[i]"),
    "a choice and a sum": ("i32", "i32", "if a[i] > 0:\n            t += a[i]\n        else:\n            t += 3"),
    "division": ("u16", "u8", "o[i] = a[i] // 10 + a[i] % 10"),
    "shifts by a parameter": ("i16", "i32", "o[i] = (a[i] << k) ^ (b[i] >> k)"),
    "wrapping": ("i32", "i16", "o[i] = a[i] * 1000003 + b[i]"),
    "blend": ("u8", "u8", "o[i] = (a[i] * b[i] + b[i + 1] * (255 - b[i]) + 127) // 255"),
    "floats": ("f32", "f32", "o[i] = sqrt(abs(a[i])) / (b[i] + 0.5) - min(a[i], b[i])"),
    "doubles": ("f64", "f64", "o[i] = a[i] * b[i] - max(a[i], 0.25)"),
    "floats to bytes": ("f32", "u8", "o[i] = i32(a[i] * 255.0)"),
    "shorts to floats": ("i16", "f32", "o[i] = f32(a[i]) * 0.5"),
    "floats chosen": ("f32", "f32", "o[i] = a[i] if a[i] < b[i] else 0.0"),
    "skipped": ("i32", "i32", "if a[i] < 0:\n            continue\n        t += a[i]"),
    "the last one": ("i32", "i32", "last = a[i] + 1\n        o[i] = last"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOSEN)
def test_chosen_loops_become_vectors_and_keep_their_meaning(name: str, compiler: Compiler) -> None:
    element, out, body = CHOSEN[name]
    lengths = ", ".join(f'"{word}": "4 * n + 8"' for word in "abo")
    source = read(
        f"@kernel(lengths={{{lengths}}}, values={{'k': 5}})\n"
        f"def program(a: In[{element}], b: In[{element}], o: InOut[{out}], k: i32, n: i32) -> i32:\n"
        f"    t = 7\n    last = 0\n    for i in range(n):\n        {body}\n    return t ^ k ^ last\n"
    )
    assert rewrites.reasons(rewrites.normalised(source.program)) == []
    assert hold(source, compiler) >= 1


@pytest.mark.parametrize("element", ["i8", "u8", "i16", "u16", "i32", "u32", "f32", "f64"])
def test_every_kind_of_total_over_every_element_becomes_vectors(element: str, compiler: Compiler) -> None:
    kind = element if element in ("u32", "f32", "f64") else "i32"
    totals = {"sum": "{0} + a[i]", "less": "{0} - a[i]", "low": "min({0}, a[i])", "high": "max({0}, a[i])"}
    if element not in ("f32", "f64"):
        totals |= {"both": "{0} & a[i]", "any": "{0} | a[i]", "odd": "{0} ^ a[i]"}
    lines = [f"    {name}_ = {kind}(7)" for name in totals]
    lines += ["    for i in range(n):"]
    lines += [f"        {name}_ = {how.format(name + '_')}" for name, how in totals.items()]
    lines += [f"    o[{k}] = {name}_" for k, name in enumerate(totals)]
    source = read(
        f"@kernel(lengths={{'o': '8'}})\ndef program(a: In[{element}], o: Out[{kind}], n: i32) -> None:\n"
        + "\n".join(lines) + "\n"
    )  # fmt: skip
    assert rewrites.reasons(rewrites.normalised(source.program)) == []
    assert hold(source, compiler) >= 1
