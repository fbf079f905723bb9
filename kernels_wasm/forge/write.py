"""Write a ready kernel: description, JavaScript and modules, as `fleetune kernels check` and `add` take them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kernels_wasm.forge.candidates import Candidate
from kernels_wasm.forge.compiling import Compiler
from kernels_wasm.profile import reader
from kernels_wasm.translate import ir, to_js
from kernels_wasm.translate.module import candidates, script
from kernels_wasm.translate.source import Source

MOST = 24  # variants that a kernel may have


@dataclass(frozen=True)
class Named:
    """A candidate under a name that no other has."""

    candidate: Candidate
    optimisations: tuple[str, ...]

    @property
    def name(self) -> str:
        return "+".join(sorted(self.optimisations)) or "scalar"


def named(candidates: Sequence[Candidate]) -> list[Named]:
    """Each candidate with a name of its own: a second with the same optimisations says what its form is."""
    taken: set[str] = set()
    found = []
    for candidate in candidates:
        optimisations = tuple(sorted(candidate.form.optimisations))
        one = Named(candidate, optimisations)
        if one.name in taken and candidate.form.detail:
            one = replace(one, optimisations=(*optimisations, candidate.form.detail))
        number = 2
        while one.name in taken:
            one = replace(one, optimisations=(*optimisations, f"form{number}"))
            number += 1
        taken.add(one.name)
        found.append(one)
    return found


def renamed(kept: Sequence[Named]) -> list[Named]:
    """The kept ones named anew, without numbers that tell them from what was dropped."""
    return named([one.candidate for one in kept])


def spread(sizes: Sequence[int], count: int) -> list[int]:
    """So many of the sizes, spread over the range, the largest among them."""
    step = len(sizes) / max(1, min(count, len(sizes)))
    return sorted({sizes[-1 - int(k * step)] for k in range(max(1, min(count, len(sizes))))})


def description(source: Source, variants: Sequence[Named], verdicts: Mapping[str, str]) -> str:
    """The kernel's .toml; `verdicts` by a module's digest."""
    params = [_param(source, p) for p in source.params]
    relative, absolute = source.tolerance
    code = script(source)
    lines = [
        f"# From {Path(source.path).name} by `fleetune forge`.",
        f"name = {json.dumps(source.name)}",
        f"family = {json.dumps(source.family)}",
        f"summary = {json.dumps(source.summary, ensure_ascii=False)}",
        f"dtype = {json.dumps(source.dtype)}",
        f'script = "{source.name}.js"',
        f"jsTuned = {str('jsTuned' in candidates(code)).lower()}",
        f"params = {json.dumps(params)}",
        f'returns = "{source.program.main.returns}"',
        f'size = "{source.size}"',
        f"sizes = {list(source.sizes)}",
        f"patterns = {json.dumps(list(source.patterns))}",
        f"tolerance = {{ relative = {relative}, absolute = {absolute} }}",
    ]
    for variant in variants:
        lines += [
            "",
            f"# {verdicts.get(variant.candidate.digest) or tested(variant)}",
            "[[variants]]",
            f'module = "{file_name(source, variant)}"',
            f"export = {json.dumps(source.export)}",
            f"optimisations = {json.dumps(list(variant.optimisations))}",
            f"features = {json.dumps(list(variant.candidate.form.features))}",
        ]
    return "\n".join([*lines, ""])


def _param(source: Source, param: ir.Param) -> str:
    """The parameter as descriptions list it, with the length where that is a formula they know."""
    name = to_js.name(param.name)
    if not param.dir:
        return f"{name}: {param.type}"
    length = source.lengths.get(param.name, source.size)
    return f"{name}: {param.dir} {param.element}[{'' if '//' in length else length}]"


def file_name(source: Source, variant: Named) -> str:
    return f"{source.name}.{variant.name.replace('+', '-')}.wasm"


def tested(variant: Named) -> str:
    """What the tests saw, where there is no proof."""
    candidate = variant.candidate
    if not candidate.form.optimisations:
        return "the reference" if candidate.form.text else "the reference, tested against CPython"
    if candidate.exact:
        return "not decided: equal in every test"
    return (
        f"not decided: differs by at most {candidate.gap[0]:.1e} (relative {candidate.gap[1]:.1e}) in tests"
    )


def files(
    source: Source,
    variants: Sequence[Named],
    compiler: Compiler,
    verdicts: Mapping[str, str] | None = None,
    first: int = 0,
) -> dict[str, bytes]:
    """Every file of the kernel by its name; static tables lie in places from `first` on."""
    made = {
        f"{source.name}.toml": description(source, variants, verdicts or {}).encode(),
        f"{source.name}.js": script(source).encode(),
    }
    for place, variant in enumerate(variants, first):
        module = variant.candidate.module
        if (
            reader.parse(module).data_start >= 0
        ):  # a place of its own only for tables: it asks for more memory
            module = compiler.link(variant.candidate.unit, place, source.export)
        made[file_name(source, variant)] = module
    return made


def write(folder: Path, made: dict[str, bytes]) -> list[Path]:
    """Put the files there, replacing what an earlier run wrote; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in made.items():
        fresh = folder / f".{name}.part"
        fresh.write_bytes(data)
        fresh.replace(folder / name)
    return [folder / name for name in made]
