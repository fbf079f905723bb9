// Reads {dist, tuned, cases, own, every, most} on stdin; makes the cases' calls, counts those that reach a module, and writes what
// was wrong as JSON. `own`: {root, entries} of operators' kernels, which the cases are then about.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { runner } from "./run.mjs";

const { dist, tuned, cases, own, ...options } = JSON.parse(readFileSync(0, "utf8"));
const { TunedKernel } = await import(pathToFileURL(tuned).href);
const manifest = JSON.parse(readFileSync(`${dist}/manifest.json`, "utf8"));
const bundles = Object.fromEntries(Object.entries(manifest.bundles).map(([name, { path }]) => [name, readFileSync(`${dist}/${path}`)]));
const compiled = new Map();
const load = (entry) => async (candidate) => {
  const row = entry.variants.find(({ name }) => name === candidate);
  if (!row) throw new Error(`no module ${candidate}`);
  const key = `${entry.name}/${candidate}`;
  const bytes = () => (own ? readFileSync(`${own.root}/${row.bundle}`) : bundles[row.bundle].subarray(row.offset, row.offset + row.size));
  if (!compiled.has(key)) compiled.set(key, WebAssembly.compile(bytes()));
  return compiled.get(key);
};
let ran = 0;
const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = async (...given) => {
  const { exports } = await instantiate(...given);
  const run = (...args) => {
    ran++;
    return exports.run(...args);
  };
  return { exports: { ...exports, run } };
};
const script = (name) => import(pathToFileURL(`${own?.root ?? dist}/embed/${name}.js`).href);
const entries = Object.fromEntries((own?.entries ?? manifest.kernels).map((entry) => [entry.name, entry]));
const run = runner({ TunedKernel, load, script, modulesRan: () => ran });
process.stdout.write(JSON.stringify(await run(cases, entries, options)));
