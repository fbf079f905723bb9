"""Build the kernel catalogue: variants.toml → dist/{base,simd,relaxedSimd}.bin, kernels.js, manifest.json.

python -m kernels_wasm.build            build what changed, verify every module against checksums.txt
python -m kernels_wasm.build --update   accept new bytes: rewrite checksums.txt
python -m kernels_wasm.build --check    compile everything afresh and compare; write nothing
"""

from __future__ import annotations

import argparse
import fcntl
import gzip
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kernels_wasm.build import dispatcher, scripts, verdicts
from kernels_wasm.build.catalogue import (
    BUNDLES,
    DATA_BYTES,
    Catalogue,
    CatalogueError,
    KernelRow,
    VariantRow,
    load,
)
from kernels_wasm.build.compiler import BuildError, Built, compile_variant, compiler, placement, sha256
from kernels_wasm.profile import profile

ROOT = Path(__file__).resolve().parents[1]
GZIP_LIMIT = 400_000  # bytes, all that the benchmark fetches together
ALIGNMENT = 64


def build_modules(catalogue: Catalogue, root: Path, cache: Path, *, fresh: bool) -> dict[str, bytes]:
    """Every module by its label; unchanged ones come from the cache unless `fresh`."""
    zig, version = compiler()
    header = (root / "src/fleetune.h").read_bytes()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        zig_cache = Path(scratch) if fresh else cache / "zig"

        def one(row: VariantRow) -> Built | BuildError:
            source = (root / f"src/{row.kernel}.c").read_bytes()
            settings = json.dumps(
                [version, catalogue.flags, catalogue.linker, placement(row.data_start), row.flags]
            )
            key = sha256(b"\0".join((settings.encode(), header, source)))
            kept = cache / f"{key}.built"
            if kept.exists() and not fresh:
                return Built.from_bytes(kept.read_bytes())
            try:
                built = compile_variant(zig, catalogue, row, root, zig_cache)
            except BuildError as error:
                return error
            if not fresh:
                write(kept, built.to_bytes())
            return built

        rows = [v for k in catalogue.kernels for v in k.variants]
        with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
            results = list(pool.map(one, rows))
    if failed := [str(result) for result in results if isinstance(result, BuildError)]:
        raise BuildError("\n".join(failed))
    built = {row.label: item for row, item in zip(rows, results, strict=True) if isinstance(item, Built)}
    refuse_twins(catalogue, {label: item.essence for label, item in built.items()})
    return {label: item.data for label, item in built.items()}


def refuse_twins(catalogue: Catalogue, essences: dict[str, str]) -> None:
    """A variant that is another but for where its tables lie is a second name for the same thing."""
    twins = []
    for kernel in catalogue.kernels:
        seen: dict[str, str] = {}
        for row in kernel.variants:
            first = seen.setdefault(essences[row.label], row.label)
            if first != row.label:
                twins.append(f"{row.label} is the same module as {first}")
    if twins:
        raise BuildError("\n".join(twins))


def compare_checksums(modules: dict[str, bytes], listed: dict[str, str]) -> None:
    """Raise unless the modules are exactly those that checksums.txt lists."""
    found = {label: sha256(data) for label, data in modules.items()}
    wrong = [f"{label}: not in checksums.txt" for label in sorted(found.keys() - listed.keys())]
    wrong += [f"{label}: listed but not built" for label in sorted(listed.keys() - found.keys())]
    wrong += [
        f"{label}: bytes differ (listed {listed[label][:12]}…, built {found[label][:12]}…)"
        for label in sorted(found.keys() & listed.keys())
        if found[label] != listed[label]
    ]
    if wrong:
        raise BuildError("\n".join([*wrong, "if this is intended: python -m kernels_wasm.build --update"]))


def read_checksums(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    pairs = (line.split("  ", 1) for line in path.read_text().splitlines())
    return {label: digest for digest, label in pairs}


def outputs(catalogue: Catalogue, modules: dict[str, bytes], root: Path) -> dict[str, bytes]:
    """File name → bytes of everything in dist."""
    bundles: dict[str, bytearray] = {name: bytearray() for name in BUNDLES.values()}
    sources = {k.name: (root / f"js/{k.name}.js").read_text() for k in catalogue.kernels}
    kernels = []
    util = (root / "js/util.js").read_text()
    embeds = {}
    proofs = read_proofs(modules, root)
    for kernel in catalogue.kernels:
        source = sources[kernel.name]
        path = f"embed/{kernel.name}.js"
        embeds[path] = dispatcher.embed_script(util, kernel, source).encode()
        entry = kernel_entry(kernel, modules, bundles, scripts.baselines(source), proofs)
        kernels.append(entry | {"embed": file_entry(path, embeds[path])})
    script = scripts.kernels_script(util, catalogue.kernels, sources).encode()
    manifest = {
        "schema": 1,
        "bundles": {
            name: file_entry(f"{name}.bin", bytes(bundles[name])) | {"features": list(features)}
            for features, name in BUNDLES.items()
        },
        "scripts": file_entry("kernels.js", script),
        "kernels": kernels,
    }
    files = {f"{name}.bin": bytes(data) for name, data in bundles.items()}
    files |= {
        "kernels.js": script,
        "manifest.json": (json.dumps(manifest, ensure_ascii=False) + "\n").encode(),
    }
    total = sum(len(gzip.compress(data, 9, mtime=0)) for data in files.values())
    if total > GZIP_LIMIT:
        raise BuildError(f"the page's files are {total} bytes gzip, the limit is {GZIP_LIMIT}")
    return files | embeds


def read_proofs(modules: dict[str, bytes], root: Path) -> dict[str, dict[str, Any]]:
    """What is proved of each module (verdicts.proof); one that is proved to be wrong fails the build."""
    rows = verdicts.read(root / "build/verdicts.json")
    digests = {sha256(data): label for label, data in modules.items()}
    if wrong := verdicts.refuted(rows, digests):
        raise BuildError(f"refuted by the forge, see build/verdicts.json: {', '.join(sorted(wrong))}")
    return {label: verdicts.proof(rows, digest) for digest, label in digests.items()}


def file_entry(path: str, data: bytes) -> dict[str, Any]:
    return {"path": path, "sha256": sha256(data), "size": len(data)}


def kernel_entry(
    kernel: KernelRow,
    modules: dict[str, bytes],
    bundles: dict[str, bytearray],
    baselines: list[str],
    proofs: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """One kernel's row of the manifest; appends its modules to their bundles."""
    variants, data_end, pages = [], 0, 0
    for row in kernel.variants:
        data = modules[row.label]
        offset = len(bundles[row.bundle])
        bundles[row.bundle] += data
        try:
            parsed = profile.parse(data)
            end, pages = parsed.data_end, max(pages, *(least for least, _, _ in parsed.memories))
            if end > row.data_start + DATA_BYTES:
                raise BuildError(f"{row.label}: its tables need more than {DATA_BYTES} bytes")
            data_end = max(data_end, end)
            cost = profile.variant_profile(data)
        except profile.ProfileError as error:
            raise BuildError(f"{row.label}: {error}") from error
        variants.append(
            {
                "name": row.name,
                "optimisations": [o.name for o in row.optimisations],
                "features": list(row.features),
                "bundle": row.bundle,
                "offset": offset,
                "size": len(data),
                "sha256": sha256(data),
                "profile": cost,
            }
            | proofs[row.label]
        )
    features = profile.kernel_profile(modules[f"{kernel.name}/scalar"])
    return {
        "name": kernel.name,
        "family": kernel.family,
        "summary": kernel.summary,
        "dtype": kernel.dtype,
        "params": [p.as_dict() for p in kernel.params],
        "returns": kernel.returns,
        "sizes": list(kernel.sizes),
        "patterns": list(kernel.patterns),
        "sizeOf": kernel.size,
        "copied": kernel.copied,
        "tolerance": kernel.tolerance,
        "dataEnd": -(-data_end // ALIGNMENT) * ALIGNMENT,
        "pages": {"least": pages},
        "baselines": baselines,
        "profile": features,
        "profileSignature": profile.signature(features),
        "variants": variants,
    }


def write(path: Path, data: bytes) -> None:
    """Write so that a reader sees the old file or the new one, never half."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    fresh.write_bytes(data)
    fresh.replace(path)


def build(root: Path = ROOT, *, update: bool = False, check: bool = False) -> dict[str, int]:
    """Build `root`/dist; returns counts and sizes. Raises BuildError, CatalogueError or ScriptError."""
    cache = root / ".cache"
    cache.mkdir(exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builds at once would mix their outputs
        catalogue = load(root / "variants.toml")
        modules = build_modules(catalogue, root, cache, fresh=check)
        listed = root / "checksums.txt"
        if update:
            lines = (f"{sha256(data)}  {label}\n" for label, data in sorted(modules.items()))
            write(listed, "".join(lines).encode())
        else:
            compare_checksums(modules, read_checksums(listed))
        files = outputs(catalogue, modules, root)
        if not check:
            (root / "dist/embed").mkdir(parents=True, exist_ok=True)
            for name, data in files.items():
                path = root / "dist" / name
                if not path.exists() or path.read_bytes() != data:
                    write(path, data)
    page = {name: data for name, data in files.items() if not name.startswith("embed/")}
    sizes = {name: len(gzip.compress(data, 9, mtime=0)) for name, data in page.items()}
    counts = {"kernels": len(catalogue.kernels), "modules": len(modules), "gzip": sum(sizes.values())}
    return counts | {f"gzip {name}": size for name, size in sizes.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the kernel catalogue.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--update", action="store_true", help="rewrite checksums.txt with the bytes built")
    mode.add_argument("--check", action="store_true", help="compile afresh, compare, write nothing")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    try:
        counts = build(update=options.update, check=options.check)
    except (BuildError, CatalogueError, scripts.ScriptError) as error:
        print(f"build failed:\n{error}", file=sys.stderr)
        return 1
    figures = ", ".join(f"{value} {name}" for name, value in counts.items())
    print(f"{figures} bytes; {time.perf_counter() - started:.1f} s")
    return 0
