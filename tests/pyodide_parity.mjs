// Runs tests/parity_cases.py in Pyodide in Node, as pages load it: JSON inputs from a file, results to stdout.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "../browser/dist/pyodide/pyodide.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const packed = join(root, "browser", "dist", "pyodide");
const wheel = readdirSync(packed).find((name) => name.endsWith(".whl"));
try {
  const pyodide = await loadPyodide({ stdout: (line) => process.stderr.write(`${line}\n`) });
  pyodide.unpackArchive(new Uint8Array(readFileSync(join(packed, wheel))), "whl");
  for (const [folder, place] of [["browser/fleetune", "/src/fleetune"], ["tests", "/src/tests"]]) {
    pyodide.FS.mkdirTree(place);
    pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: join(root, folder) }, place);
  }
  pyodide.runPython("import sys; sys.dont_write_bytecode = True; sys.path.insert(0, '/src')");
  const { run } = pyodide.pyimport("tests.parity_cases");
  process.stdout.write(run(readFileSync(process.argv[2], "utf8")), () => process.exit(0));
} catch (error) {
  // The stack would quote Pyodide's whole minified source.
  process.stderr.write(`${error.message ?? error}\n`, () => process.exit(1));
}
