// Reads {dist, kernel, cases: [{size, pattern, seed}]} on stdin; runs js, js-tuned and every variant through the resident
// and copied loops of kernels.js; writes arguments and outcomes as JSON on stdout.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const request = JSON.parse(readFileSync(0, "utf8"));
const manifest = JSON.parse(readFileSync(`${request.dist}/manifest.json`, "utf8"));
const { kernels } = await import(pathToFileURL(`${request.dist}/kernels.js`).href);
const row = manifest.kernels.find((kernel) => kernel.name === request.kernel);
const scripts = kernels[row.name];
const bundles = {};
for (const [name, bundle] of Object.entries(manifest.bundles)) bundles[name] = readFileSync(`${request.dist}/${bundle.path}`);

function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const asJson = (value) =>
  ArrayBuffer.isView(value)
    ? { type: value.constructor.name, data: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") }
    : value;
const arrays = (dirs) => row.params.flatMap((p, i) => (dirs.includes(p.dir) ? [i] : []));
const clone = (args) => args.map((a) => (ArrayBuffer.isView(a) ? a.slice() : a));

/** One set with arrays of its own; the second call of a loop must see fresh inputs. */
function scriptSet(args) {
  const own = clone(args);
  return { args: own, resets: arrays(["inout"]).map((i) => [own[i], args[i]]), inputs: [], outputs: [] };
}

function memorySet(memory, at, args, copied) {
  const script = clone(args), views = [], pointers = [];
  args.forEach((a, i) => {
    if (!ArrayBuffer.isView(a)) return pointers.push(a);
    at = Math.ceil(at / 16) * 16;
    views[i] = new a.constructor(memory.buffer, at, a.length);
    if (!copied) views[i].set(a);
    pointers.push(at);
    at += a.byteLength;
  });
  return {
    args: pointers,
    resets: arrays(["inout"]).map((i) => [copied ? script[i] : views[i], args[i]]),
    inputs: copied ? arrays(["in", "inout"]).map((i) => [views[i], script[i]]) : [],
    outputs: copied ? arrays(["inout", "out"]).map((i) => [script[i], views[i]]) : [],
    results: copied ? script : views,
  };
}

function outcome(result, results) {
  const outputs = arrays(["inout", "out"]).map((i) => [row.params[i].name, asJson(results[i].slice())]);
  if (row.returns === "u32") result >>>= 0;
  const shown = row.returns === "void" ? null : Number.isFinite(result) ? result : String(result);
  return { result: shown, outputs: Object.fromEntries(outputs) };
}

const answers = request.cases.map(({ size, pattern, seed }) => {
  const args = scripts.makeInput(size, pattern, generator(seed));
  const outcomes = [];
  const record = (candidate, mode, f, set, results) => {
    // Once for the result alone, then three times through the loop: the same set again must not change anything.
    const loop = scripts.loops[mode][candidate];
    const result = loop(f, [set], 1);
    const total = loop(f, [set, set], 3);
    if (row.returns === "void" && total !== 3) throw new Error(`${candidate}: the loop did not run three times`);
    outcomes.push({ candidate, mode, ...outcome(result, results) });
  };
  for (const mode of row.copied ? ["resident", "copied"] : ["resident"]) {
    for (const candidate of row.baselines) {
      const set = scriptSet(args);
      record(candidate, mode, candidate === "js" ? scripts.js : scripts.jsTuned, set, set.args);
    }
    for (const variant of row.variants) {
      const bytes = bundles[variant.bundle].subarray(variant.offset, variant.offset + variant.size);
      const memory = new WebAssembly.Memory({ initial: 512 });
      const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
      const set = memorySet(memory, row.dataEnd, args, mode === "copied");
      record(variant.name, mode, instance.exports.run, set, set.results);
    }
  }
  return { size, pattern, arguments: args.map(asJson), outcomes };
});
process.stdout.write(JSON.stringify(answers));
