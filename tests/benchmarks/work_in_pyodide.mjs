// Processor seconds that Python in a page takes for so many hashes of proof of work: the search itself, without pauses.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "../../browser/dist/pyodide/pyodide.mjs";

const packed = join(dirname(fileURLToPath(import.meta.url)), "../../browser/dist/pyodide");
const wheel = readdirSync(packed).find((name) => name.endsWith(".whl"));
const pyodide = await loadPyodide({ stdout: (line) => process.stderr.write(`${line}\n`) });
pyodide.unpackArchive(new Uint8Array(readFileSync(join(packed, wheel))), "whl");
pyodide.FS.mkdirTree("/src/fleetune");
pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: process.argv[2] }, "/src/fleetune");
const search = pyodide.runPython(`
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, "/src")
from fleetune.work import search
lambda tries: search("${"0".repeat(16)}", "${"0".repeat(32)}", 63, 0, tries)  # no answer among them
`);
search(10_000);
const before = process.cpuUsage();
search(Number(process.argv[3]));
const { user, system } = process.cpuUsage(before);
process.stdout.write(JSON.stringify((user + system) / 1e6), () => process.exit(0));
