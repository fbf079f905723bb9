// @ts-check
/**
 * The timing loops: JavaScript and WebAssembly, no Python. Operations: `open` the catalogue, `load` one context,
 * `check` a candidate against the JavaScript baseline, `calibrate` it, `run` batches. The owner ends this worker
 * when an answer does not come.
 */
import { near, seeded } from "./compare.js";
import { serve } from "./rpc.js";

const PAGE = 65536;
const ALIGNMENT = 64;
/** Input sets are cycled so that a branch predictor cannot learn one by heart. */
const MAX_SETS = 64;
const SETS_BYTES = 1 << 17;
const WARM_BATCHES = 2;

/** @typedef {{args: any[], resets: [any, any][], inputs: [any, any][], outputs: [any, any][]}} InputSet */
/** @typedef {{call: Function, loop: (f: Function, sets: InputSet[], iterations: number) => number, sets: InputSet[], memory?: WebAssembly.Memory}} Candidate */

/** @type {any} */
let manifest;
/** @type {any} */
let scripts;
/** @type {Map<string, Promise<ArrayBuffer>>} */
const bundles = new Map();
/** @type {Map<string, WebAssembly.Module>} */
const modules = new Map();
/** @type {{entry: any, script: any, inputs: any[][], candidates: Map<string, Candidate>}} */
let cell;
let sink = 0;

/** @param {number} bytes */
const aligned = (bytes) => (bytes + ALIGNMENT - 1) & -ALIGNMENT;
/** @param {unknown} value @returns {value is Float32Array} any typed array */
const isArray = (value) => ArrayBuffer.isView(value);

/** The bytes of a bundle, checked against the manifest. @param {string} name */
async function bundle(name) {
  if (!bundles.has(name)) {
    const loading = (async () => {
      const { path, sha256 } = manifest.bundles[name];
      const response = await fetch(manifest.root + path);
      if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
      const bytes = await response.arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
      if (hex !== sha256) throw new Error(`${path} is not the file that the manifest names`);
      return bytes;
    })();
    loading.catch(() => bundles.delete(name));
    bundles.set(name, loading);
  }
  return /** @type {Promise<ArrayBuffer>} */ (bundles.get(name));
}

/** @param {any} entry @param {string} name */
async function compiled(entry, name) {
  const key = `${entry.name}/${name}`;
  const ready = modules.get(key);
  if (ready) return ready;
  const variant = entry.variants.find((/** @type {any} */ v) => v.name === name);
  if (!variant) throw new Error(`${entry.name} has no variant ${name}`);
  const bytes = await bundle(variant.bundle);
  const module = await WebAssembly.compile(bytes.slice(variant.offset, variant.offset + variant.size));
  modules.set(key, module);
  return module;
}

/** Sets for JavaScript: own copies, so that candidates do not see each other's writes. @param {any} entry @param {any[][]} inputs @returns {InputSet[]} */
function scriptSets(entry, inputs) {
  return inputs.map((input) => {
    const args = input.map((value) => (isArray(value) ? value.slice() : value));
    /** @type {[any, any][]} */
    const resets = [];
    entry.params.forEach((/** @type {any} */ { dir }, /** @type {number} */ i) => dir === "inout" && resets.push([args[i], input[i]]));
    return { args, resets, inputs: [], outputs: [] };
  });
}

/** Sets laid out in a module's memory. @param {any} entry @param {any[][]} inputs @param {boolean} copied */
function moduleSets(entry, inputs, copied) {
  let end = entry.dataEnd;
  for (const input of inputs) for (const value of input) if (isArray(value)) end = aligned(end) + value.byteLength + ALIGNMENT;
  const memory = new WebAssembly.Memory({ initial: Math.ceil(end / PAGE) + 1 });
  let at = aligned(entry.dataEnd);
  const sets = inputs.map((input) => {
    /** @type {InputSet} */
    const set = { args: [], resets: [], inputs: [], outputs: [] };
    input.forEach((value, i) => {
      if (!isArray(value)) return set.args.push(value);
      const { dir } = entry.params[i];
      const View = /** @type {any} */ (value.constructor);
      const view = new View(memory.buffer, at, value.length);
      set.args.push(at);
      at = aligned(at + value.byteLength);
      const own = copied ? value.slice() : view;
      if (!copied) view.set(value);
      if (dir === "inout") set.resets.push([own, value]);
      if (copied && (dir === "in" || dir === "inout")) set.inputs.push([view, own]);
      if (copied && (dir === "out" || dir === "inout")) set.outputs.push([own, view]);
      return undefined;
    });
    return set;
  });
  return { memory, sets };
}

/** @param {Candidate} candidate @param {number} iterations */
function batch(candidate, iterations) {
  const began = performance.now();
  sink += candidate.loop(candidate.call, candidate.sets, iterations);
  return performance.now() - began;
}

/** The least step that the clock is seen to make, in milliseconds. */
function timerStep() {
  let least = Infinity;
  for (let seen = 0; seen < 20; seen++) {
    const began = performance.now();
    let now = began;
    while (now === began) now = performance.now();
    least = Math.min(least, now - began);
  }
  return least;
}

/** What a call gave: its result and every array that it may write. @param {any} entry @param {unknown} result @param {any[]} arrays */
function written(entry, result, arrays) {
  /** @type {[string, ArrayLike<number>][]} */
  const values = entry.params.flatMap((/** @type {any} */ { name, dir }, /** @type {number} */ i) =>
    dir === "out" || dir === "inout" ? [[name, arrays[i].slice()]] : [],
  );
  if (entry.returns && entry.returns !== "void") {
    values.push(["the result", [entry.returns === "u32" ? Number(result) >>> 0 : Number(result)]]);
  }
  return values;
}

serve({
  /** @param {{manifest: any, root: string}} args */
  async open(args) {
    manifest = { ...args.manifest, root: args.root };
    scripts = (await import(new URL(args.root + manifest.scripts.path, location.href).href)).kernels;
    return { timerStep: timerStep(), isolated: self.crossOriginIsolated === true };
  },

  /** @param {{kernel: string, size: number, pattern: string, copied: boolean, seed: number, candidates: string[]}} args */
  async load({ kernel, size, pattern, copied, seed, candidates }) {
    const entry = manifest.kernels.find((/** @type {any} */ k) => k.name === kernel);
    const script = scripts[kernel];
    if (!entry || !script) throw new Error(`the catalogue has no kernel ${kernel}`);
    const random = seeded(seed);
    const inputs = [script.makeInput(size, pattern, random)];
    const bytes = inputs[0].reduce((/** @type {number} */ sum, /** @type {any} */ v) => sum + (isArray(v) ? v.byteLength : 0), 1);
    const count = Math.max(2, Math.min(MAX_SETS, Math.floor(SETS_BYTES / bytes)));
    while (inputs.length < count) inputs.push(script.makeInput(size, pattern, random));
    cell = { entry, script, inputs, candidates: new Map() };
    const loops = script.loops[copied ? "copied" : "resident"];
    /** @type {Record<string, string>} */
    const failed = {};
    for (const name of candidates) {
      try {
        if (entry.baselines.includes(name)) {
          cell.candidates.set(name, {
            call: name === "js" ? script.js : script.jsTuned, loop: loops[name], sets: scriptSets(entry, inputs),
          });
        } else {
          const module = await compiled(entry, name);
          const { memory, sets } = moduleSets(entry, inputs, copied);
          const instance = await WebAssembly.instantiate(module, { env: { memory } });
          cell.candidates.set(name, { call: /** @type {Function} */ (instance.exports.run), loop: loops[name], sets, memory });
        }
      } catch (error) {
        failed[name] = /** @type {Error} */ (error).message;
      }
    }
    return { failed };
  },

  /** One call on the first input sets against the baseline's answer. @param {{candidate: string}} args */
  check({ candidate }) {
    const { entry, script, inputs, candidates } = cell;
    const own = /** @type {Candidate} */ (candidates.get(candidate));
    for (let i = 0; i < Math.min(3, inputs.length); i++) {
      const reference = inputs[i].map((value) => (isArray(value) ? value.slice() : value));
      const expected = written(entry, script.js(...reference), reference);
      const set = own.sets[i];
      for (const [target, pristine] of set.resets) target.set(pristine);
      for (const [view, array] of set.inputs) view.set(array);
      const result = own.call(...set.args);
      const memory = entry.baselines.includes(candidate) ? undefined : viewsOf(candidate, inputs[i], i);
      const actual = written(entry, result, memory ?? set.args);
      for (const [at, [name, values]] of expected.entries()) {
        const got = actual[at][1];
        for (let k = 0; k < values.length; k++) {
          if (!near(entry.tolerance, values[k], got[k])) {
            return { ok: false, error: `${name}${values.length > 1 ? `[${k}]` : ""} is ${got[k]}, JavaScript gives ${values[k]}` };
          }
        }
      }
    }
    return { ok: true, error: null };
  },

  /**
   * Iterations for batches of about `targetMs`, after warm-up.
   * @param {{candidate: string, targetMs: number}} args
   */
  calibrate({ candidate, targetMs }) {
    const own = /** @type {Candidate} */ (cell.candidates.get(candidate));
    let iterations = 1;
    let elapsed = batch(own, iterations);
    while (elapsed < targetMs / 2) {
      iterations = Math.ceil(iterations * Math.min(8, Math.max(2, targetMs / Math.max(elapsed, targetMs / 8))));
      elapsed = batch(own, iterations);
    }
    for (let i = 0; i < WARM_BATCHES; i++) elapsed = Math.min(elapsed, batch(own, iterations));
    return { iterations: Math.max(1, Math.ceil((iterations * targetMs) / elapsed)), ms: elapsed / iterations };
  },

  /** Batches in the given order; milliseconds of each. @param {{order: [string, number][]}} args */
  run({ order }) {
    return order.map(([name, iterations]) => batch(/** @type {Candidate} */ (cell.candidates.get(name)), iterations));
  },

  /** So that nothing is optimised away, the sum of everything computed can be asked for. */
  sink: () => sink,
});

/** The array arguments of one set as views of the module's memory. @param {string} candidate @param {any[]} input @param {number} i */
function viewsOf(candidate, input, i) {
  const { sets, memory } = /** @type {Required<Candidate>} */ (cell.candidates.get(candidate));
  return input.map((value, at) =>
    isArray(value) ? new /** @type {any} */ (value.constructor)(memory.buffer, sets[i].args[at], value.length) : value,
  );
}
