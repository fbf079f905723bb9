// Starts Python as the page's worker does, from each {file, sha256} on the command line, and prints what came of each.
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { startPyodide } from "../browser/web/workers/start_pyodide.js";
import { loadPyodide } from "../browser/node_modules/pyodide/pyodide.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "browser", "node_modules", "pyodide");
const server = createServer((request, response) => {
  try {
    response.end(readFileSync(decodeURIComponent(request.url.slice(1))));
  } catch {
    response.writeHead(404).end();
  }
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const fetched = globalThis.fetch;
const address = `http://127.0.0.1:${server.address().port}`;
globalThis.fetch = (url, options) => fetched(`${address}/${encodeURIComponent(String(url).slice(root.length + 1))}`, options);

const results = [];
for (const snapshot of JSON.parse(process.argv[2])) {
  const warnings = [];
  const began = performance.now();
  const pyodide = await startPyodide(loadPyodide, `${root}/`, snapshot, (text) => warnings.push(text));
  const seconds = (performance.now() - began) / 1000;
  const seen = pyodide.runPython("import json, secrets, sys; json.dumps({'version': sys.version_info[:2], 'secret': secrets.token_hex(8), 'sum': sum(range(10))})");
  results.push({ name: snapshot?.file ?? "none", warnings, seconds, ...JSON.parse(seen) });
}
process.stdout.write(JSON.stringify(results), () => process.exit(0));
