// Milliseconds (median of 20) to apply the delta of a folder {old, delta, new} in Pyodide; the result is checked.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "../../browser/node_modules/pyodide/pyodide.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const vendor = join(root, "browser", "vendor");
const pyodide = await loadPyodide({ stdout: (line) => process.stderr.write(`${line}\n`) });
const numpy = readdirSync(vendor).find((name) => name.startsWith("numpy-"));
pyodide.unpackArchive(new Uint8Array(readFileSync(join(vendor, numpy))), "whl");
for (const [folder, place] of [[join(root, "browser/fleetune"), "/src/fleetune"], [process.argv[2], "/files"]]) {
  pyodide.FS.mkdirTree(place);
  pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: folder }, place);
}
process.stdout.write(String(pyodide.runPython(`
import statistics, sys, time
sys.dont_write_bytecode = True
sys.path.insert(0, "/src")
from pathlib import Path
from fleetune.delta import apply
old, delta, new = ((Path("/files") / name).read_bytes() for name in ("old", "delta", "new"))
times = []
for _ in range(20):
    start = time.perf_counter()
    result = apply(old, delta)
    times.append((time.perf_counter() - start) * 1000)
    assert result == new
round(statistics.median(times), 2)
`)), () => process.exit(0));
