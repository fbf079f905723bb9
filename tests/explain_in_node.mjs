// Reads {root, decisions, steps} on stdin: kernels' files below root, as a server gives them. A page's calls, and what
// `explain` says after each.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { Tuner } from "../browser/web/embed/fleetune.js";

const { root, decisions, steps } = JSON.parse(readFileSync(0, "utf8"));
const types = { json: "application/json", wasm: "application/wasm" };
globalThis.fetch = async (url) => {
  const type = types[String(url).split(".").at(-1)];
  return new Response(readFileSync(new URL(url)), { headers: { "content-type": type } });
};
const server = pathToFileURL(`${root}/`).href;
const tuner = new Tuner(server, { browser: "other", simd: true }, { memoryBytes: 1 << 20 }, decisions);
const call = await tuner.kernel("saxpy");
const said = steps.map(({ inside, n, explain }) => {
  if (explain) return tuner.explain("saxpy", explain);
  const make = (length) => (inside ? tuner.alloc("saxpy", Float32Array, length) : new Float32Array(length));
  call(2, make(n), make(n), make(n), n);
  return tuner.explain("saxpy");
});
process.stdout.write(JSON.stringify(said));
