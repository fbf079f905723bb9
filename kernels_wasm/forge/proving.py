"""Verdicts on candidates: a function's description as the prover's specification, and its answers in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from kernels_wasm.build.params import Param
from kernels_wasm.forge.candidates import Candidate
from kernels_wasm.forge.proof import Domain, Prover, Spec, Verdict
from kernels_wasm.forge.write import Named
from kernels_wasm.translate.source import Source, evaluated

MOST = 64  # the largest size that is tried
WIDE = 24  # for each of two sides
WORDS = {
    "equal": "equal",
    "reassociated": "equal up to reassociation",
    "fused": "equal up to fusing",
    "refuted": "refuted",
    "undecided": "not decided",
}


def specification(source: Source) -> Spec:
    """The calls that are proved: every size up to N with the declared numbers of each pattern."""
    factors = source.size.split(" * ")
    fixed = [{**source.values, **numbers} for numbers in source.patterns.values()]
    known = [{k: int(v) for k, v in numbers.items() if _whole(source, k)} for numbers in fixed]

    def cases(n: int) -> Iterable[dict[str, int]]:
        shapes = [{factors[0]: n}] if len(factors) == 1 else _shapes(factors, n)
        distinct = {tuple(sorted({**shape, **numbers}.items())) for shape in shapes for numbers in known}
        return [dict(one) for one in sorted(distinct)]

    sides = (
        f"every {factors[0]}" if len(factors) == 1 else f"{' and '.join(factors)} of square and oblong shapes"
    )
    lengths = {p.name: _length(source.lengths.get(p.name, source.size)) for p in source.params if p.dir}
    domain = Domain(cases, lengths, note=f"{sides} up to N", most=MOST if len(factors) == 1 else WIDE)
    relative, absolute = source.tolerance
    params = tuple(Param(p.name, p.type, p.dir) for p in source.params)
    return Spec(source.name, params, source.program.main.returns, domain, relative, absolute)


def _whole(source: Source, word: str) -> bool:
    return any(p.name == word and p.type in ("i32", "u32") for p in source.params)


def _shapes(factors: Sequence[str], n: int) -> list[dict[str, int]]:
    """Sides that differ, so that no two are mistaken for each other."""
    return [dict.fromkeys(factors, n), {f: n if k == 0 else n // 2 + 1 for k, f in enumerate(factors)},
            {f: n if k else n // 2 + 1 for k, f in enumerate(factors)}]  # fmt: skip


def _length(text: str) -> Callable[[dict[str, int]], int]:
    return lambda numbers: int(evaluated(text, numbers))


def verdicts(
    source: Source, variants: Sequence[Named], scalar: Candidate, seconds: float
) -> Iterator[tuple[Named, Verdict]]:
    """The verdict on each variant against the scalar one, within about so many seconds each."""
    prover = Prover(specification(source), scalar.module)
    for variant in variants:
        elements = int(variant.candidate.cost["elements"])
        wanted = min(MOST, max(32, 2 * elements))
        enough = min(wanted, max(17, elements + 1), prover.spec.domain.most)
        yield variant, prover.prove(variant.candidate.module, wanted, seconds, enough=enough)


def in_words(verdict: Verdict) -> str:
    """The verdict, N, and what it rests on."""
    text = WORDS[verdict.kind]
    if verdict.kind == "refuted" and verdict.counterexample is not None:
        return f"{text}: {verdict.counterexample.as_dict()}"
    if verdict.kind == "undecided":
        proved = f", proved up to N = {verdict.n}" if verdict.n >= 0 else ""
        return f"{text}{proved}: {verdict.reason}; {verdict.tested} inputs tested"
    return f"{text}, N = {verdict.n} ({verdict.seconds:.1f} s); {'; '.join(verdict.assumptions)}"
