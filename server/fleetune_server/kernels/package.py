"""What is served for a kernel of an operator's own: its manifest entry, its scripts, its modules.

Modules are read, never run: features, exports, imports and the profile come from their instructions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kernels_wasm.build import dispatcher, scripts
from kernels_wasm.build.catalogue import KernelRow, Optimisation, VariantRow
from kernels_wasm.profile import profile
from kernels_wasm.profile.reader import Module

from fleetune_server.kernels.memory import memory_problems, places, room_problems
from fleetune_server.kernels.spec import OwnKernel, OwnVariant, SpecError

ALIGNMENT = 64
FUNCTION, MEMORY = 0, 2  # kinds of exports and imports
SIMD, FIRST_RELAXED, AFTER_RELAXED = 0xFD, 0x100, 0x130


@dataclass(frozen=True)
class Package:
    """`files` by path below the catalogue's root; `bundles` as the manifest lists them. A job has neither."""

    entry: dict[str, Any]
    bundles: dict[str, dict[str, Any]]
    files: dict[str, bytes]
    job: bool = False


def build(kernel: OwnKernel) -> Package:
    """The package; SpecError if a module is not what the description says."""
    problems: list[str] = []
    parsed = {v.name: _read(kernel, v, number, problems) for number, v in enumerate(kernel.variants, 1)}
    if problems:
        raise SpecError(problems)
    if kernel.memory is None:
        problems += _overlaps(kernel, parsed) + room_problems(kernel, parsed.values())
    bundles: dict[str, dict[str, Any]] = {}
    files: dict[str, bytes] = {}
    variants = []
    features: dict[str, int] = {}
    for number, variant in enumerate(kernel.variants, 1):
        data = kernel.modules[variant.module]
        path = f"own/{kernel.name}/{variant.name}.wasm"
        files[path] = data
        bundles[path] = _file(path, data) | {"features": list(variant.features)}
        try:
            cost = profile.variant_profile(data, variant.export)
            if variant.name == "scalar":
                features = profile.kernel_profile(data, variant.export)
        except profile.ProfileError as error:
            problems.append(f"variants[{number}].module: {error}")
            continue
        variants.append(
            {
                "name": variant.name,
                "optimisations": list(variant.optimisations),
                "features": list(variant.features),
                "bundle": path,
                "offset": 0,
                "size": len(data),
                "sha256": bundles[path]["sha256"],
                "export": variant.export,
                "adapter": variant.adapter,
                "profile": cost,
            }
        )
    if problems:
        raise SpecError(problems)
    row = _row(kernel)
    source = f"embed/{kernel.name}.source.js"
    baselines = ["js", "js-tuned"] if kernel.tuned else ["js"]
    bench, calls = f"own/{kernel.name}.js", f"embed/{kernel.name}.js"
    files[source] = kernel.source.encode()
    arrays = kernel.memory is not None and kernel.memory.arrays
    files[bench] = scripts.own_script(row, baselines, f"../{source}", arrays=arrays).encode()
    local = f"./{kernel.name}.source.js"
    files[calls] = dispatcher.own_script(row, kernel.tuned, local, arrays=arrays).encode()
    end, pages = places(kernel, parsed.values())
    memory = kernel.memory and {
        "export": kernel.memory.export,
        "arrays": arrays,
        "allocator": kernel.memory.allocator,
        "scratch": kernel.memory.scratch,
    }
    entry = {
        "name": kernel.name,
        "family": kernel.family,
        "summary": kernel.summary,
        "dtype": kernel.dtype,
        "params": [param.as_dict() for param in kernel.params],
        "returns": kernel.returns,
        "sizes": list(kernel.sizes),
        "patterns": list(kernel.patterns),
        "sizeOf": kernel.size,
        "copied": True,
        "resident": memory is None,
        "tolerance": row.tolerance,
        "dataEnd": -(-end // ALIGNMENT) * ALIGNMENT,
        "pages": pages,
        "baselines": baselines,
        "profile": features,
        "profileSignature": profile.signature(features),
        "own": True,
        "memory": memory,
        "source": _file(source, files[source]),
        "script": _file(bench, files[bench]),
        "embed": _file(calls, files[calls]),
        "variants": variants,
    }
    return Package(entry, bundles, files)


def _file(path: str, data: bytes) -> dict[str, Any]:
    return {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def _row(kernel: OwnKernel) -> KernelRow:
    variants = tuple(
        VariantRow(kernel.name, tuple(Optimisation(name, "") for name in variant.optimisations), 0)
        for variant in kernel.variants
    )
    return KernelRow(
        name=kernel.name,
        family=kernel.family,
        summary=kernel.summary,
        dtype=kernel.dtype,
        params=kernel.params,
        returns=kernel.returns,
        sizes=kernel.sizes,
        patterns=kernel.patterns,
        size=kernel.size,
        copied=True,
        in_place=False,
        recounted=False,
        tolerance={"relative": kernel.relative, "absolute": kernel.absolute},
        variants=variants,
    )


def _read(kernel: OwnKernel, variant: OwnVariant, number: int, problems: list[str]) -> Module:
    where = f"variants[{number}]."
    try:
        module = profile.parse(kernel.modules[variant.module])
    except profile.ProfileError as error:
        problems.append(f"{where}module: {variant.module}: {error}")
        return Module(0)
    problems += [where + problem for problem in _problems(kernel, variant, module)]
    return module


def _problems(kernel: OwnKernel, variant: OwnVariant, module: Module) -> list[str]:
    problems = []
    functions = sorted(name for name, (kind, _) in module.exports.items() if kind == FUNCTION)
    if variant.export not in functions:
        problems.append(f"export: {variant.module} exports no function {variant.export}; {functions}")
    elif variant.adapter is None:
        problems += _signature(kernel, variant, module)
    own, shares = kernel.memory, ("env", "memory", MEMORY) in module.imports
    problems += [
        f"module: {variant.module} imports {owner}.{name}: only env.memory can be given; build it without a runtime "
        "that calls out (Emscripten: -sSTANDALONE_WASM --no-entry, AssemblyScript: usize pointers)"
        for owner, name, kind in module.imports
        if (owner, name, kind) != ("env", "memory", MEMORY)
    ]
    if shares and own is not None:
        problems.append(f"module: {variant.module} imports env.memory: leave [memory] out")
    elif not shares and own is None:
        problems.append(
            f"module: {variant.module} does not import env.memory; if it exports a memory, add [memory]"
        )
    else:
        problems += memory_problems(kernel, variant, module)
    if own is not None and not shares:
        if module.exports.get(own.export, (None,))[0] != MEMORY:
            problems.append(f"module: {variant.module} exports no memory {own.export} (memory.export)")
        if own.allocator and own.allocator not in functions:
            problems.append(
                f"module: {variant.module} exports no function {own.allocator} (memory.allocator)"
            )
    return problems + _features(variant, module)


def _signature(kernel: OwnKernel, variant: OwnVariant, module: Module) -> list[str]:
    """Whether the export takes the kernel's parameters: arrays as i32 pointers, numbers as they are."""
    code = {"f32": 0x7D, "f64": 0x7C}
    wanted = [0x7F if p.is_array else code.get(p.type, 0x7F) for p in kernel.params]
    gives = [] if kernel.returns == "void" else [code.get(kernel.returns, 0x7F)]
    index = module.exports[variant.export][1] - module.imported_functions
    if index < 0 or index >= len(module.functions):
        return [f"export: {variant.export} is not a function of {variant.module} itself"]
    takes, returns = module.types[module.functions[index]]
    if list(takes) == wanted and list(returns) == gives:
        return []
    shape, needed = _shape(takes, returns), _shape(wanted, gives)
    return [
        f"export: {variant.export} is {shape}, params and returns make it {needed}: correct them, "
        "or name an adapter"
    ]


def _shape(takes: Iterable[int], gives: Iterable[int]) -> str:
    names = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64"}
    left, right = (", ".join(names.get(code, "?") for code in codes) for codes in (takes, gives))
    return f"({left}) → ({right})"


def _features(variant: OwnVariant, module: Module) -> list[str]:
    codes = {item.code for body in module.bodies for item in body}
    vector = {code & 0xFFFF for code in codes if code >> 16 == SIMD}
    relaxed = any(FIRST_RELAXED <= code < AFTER_RELAXED for code in vector)
    needed = [*(["simd"] if vector else []), *(["relaxedSimd"] if relaxed else [])]
    missing = [feature for feature in needed if feature not in variant.features]
    if missing:
        return [f"features: {variant.module} uses {', '.join(missing)}, which must be listed"]
    return []


def _overlaps(kernel: OwnKernel, parsed: dict[str, Module]) -> list[str]:
    """Variants that import `env.memory` share one: their static data must lie apart."""
    spans: list[tuple[int, int, str, str]] = []
    for variant in kernel.variants:
        module = parsed[variant.name]
        if module.data_start >= 0:
            spans.append((module.data_start, module.data_end, variant.module, variant.name))
    problems = []
    for (_, end, file, name), (start, _, other_file, other) in zip(
        sorted(spans), sorted(spans)[1:], strict=False
    ):
        if start < end and file != other_file:
            problems.append(
                f"variants: {name} and {other} keep static data at the same addresses ({start} to {end}): "
                "link one of them with another --global-base"
            )
    return problems
