"""What a page transfers for its first `kernel("dot")`: python tests/benchmarks/first_kernel.py [--json]

gzip bytes, file by file: the module and what it imports at once; what it fetches for the kernel (entry, script, its
largest module, decisions) and loads on the way. `minified`: the same scripts in one bundle of esbuild's, as an app
that installs the npm package ships them. `checked`: with what checks signatures, and the root of the server's keys.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import re
import subprocess
import tempfile
from pathlib import Path

from tests import npm, releases
from tests.kernel_runner import DIST

from fleetune.model import Model
from fleetune_server.common.assets import Asset
from fleetune_server.kernels.catalogue import Catalogue
from fleetune_server.publish.decisions import Decisions
from fleetune_server.publish.distribute import Sealer
from fleetune_server.publish.keys import KeyRing

ROOT = Path(__file__).resolve().parents[2]
ENTRY = ROOT / "browser" / "web" / "embed" / "fleetune.js"
ON_THE_WAY = ("../shared/storage.js", "./confirmed.js")  # what a visitor measured at an earlier visit
CHECKED = "../shared/trust.js"  # where the client is not the server's own
ENGINE = "other-relaxedSimd"


def packed(data: bytes) -> int:
    return len(gzip.compress(data, 9, mtime=0))


def imported(entries: list[Path]) -> list[Path]:
    """These modules and what they import at once."""
    files: list[Path] = []
    while entries:
        file = entries.pop(0)
        if file not in files:
            files.append(file)
            names = re.findall(r'^(?:import|export) [^"]*from "(\.[^"]+)"', file.read_text(), re.M)
            entries += [(file.parent / name).resolve() for name in names]
    return files


def bundled(entries: list[Path]) -> int:
    """One minified file of what the page loads; the rest stays behind `import()`."""
    with tempfile.TemporaryDirectory() as folder:
        all_in = Path(folder) / "entry.js"
        all_in.write_text("".join(f"export * from {json.dumps(str(entry))};\n" for entry in entries))
        out = Path(folder) / "out"
        esbuild = npm.TOOLS / "node_modules" / ".bin" / "esbuild"
        options = (
            "--bundle",
            "--splitting",
            "--minify",
            "--format=esm",
            "--log-level=error",
            f"--outdir={out}",
        )
        subprocess.run([esbuild, all_in, *options], check=True)
        chunks = {out / "entry.js"}
        queue = [out / "entry.js"]
        while queue:
            for name in re.findall(r'(?:from|import)"(\./[^"]+)"', queue.pop().read_text()):
                if out / name not in chunks:
                    chunks.add(out / name)
                    queue.append(out / name)
        return sum(packed(chunk.read_bytes()) for chunk in chunks)


def figures() -> dict[str, object]:
    entries = [ENTRY, *((ENTRY.parent / name).resolve() for name in ON_THE_WAY)]
    scripts = {file.name: packed(Asset.of(file).body) for file in imported(list(entries))}
    catalogue = Catalogue.load(DIST)
    model = Model.from_bytes(releases.first())
    with tempfile.TemporaryDirectory() as folder:
        keys = KeyRing.open(Path(folder))
        engine = asyncio.run(Decisions(lambda: catalogue, Sealer(keys)).of_engine(model, ENGINE))
        names, decisions = engine.names.asset.body, engine.kernels["dot"].asset.body
        root = json.dumps(keys.root()).encode()
    entry = json.loads(catalogue.files["embed/dot.json"].body)
    chosen = max(
        len(gzip.compress(catalogue.files[f"embed/dot/{one['name']}.wasm"].body)) for one in entry["variants"]
    )
    kernel = {
        "names of all kernels": packed(names),
        "decisions": packed(decisions),
        "dot.json": packed(catalogue.files["embed/dot.json"].body),
        "dot.js": packed(catalogue.files["embed/dot.js"].body),
        "largest dot module": chosen,
    }
    return {
        "scripts": scripts,
        "kernel": kernel,
        "scripts_gzip_bytes": sum(scripts.values()),
        "scripts_gzip_bytes_minified": bundled(entries),
        "kernel_gzip_bytes": sum(kernel.values()),
        "checked_scripts_gzip_bytes_minified": bundled([*entries, (ENTRY.parent / CHECKED).resolve()]),
        "checked_root_gzip_bytes": packed(root),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    print(json.dumps(figures(), indent=None if parser.parse_args().json else 2))


if __name__ == "__main__":
    main()
