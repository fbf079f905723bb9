// @ts-check
/**
 * The timing room: JavaScript and WebAssembly, no Python. Operations: `open` the catalogue, `load` one cell,
 * `check` a candidate against the JavaScript baseline, `run` timed batches. It never times itself out: whoever
 * started it ends it when an answer does not come.
 */
import { compare, extent, inputSets, layout, scriptSets } from "./bench_sets.js";
import { clockStep } from "./clock.js";
import { sha256 as digest } from "./digest.js";
import { callOf, placeIn } from "./own_kernel.js";
import { serve } from "./rpc.js";

/** @typedef {import("./bench_sets.js").InputSet} InputSet */
/** @typedef {(f: Function, sets: InputSet[], iterations: number) => number} Loop */
/** @typedef {{call: Function, loop: Loop, sets: InputSet[], results: any[][]}} Candidate */

const PAGE = 65536;

/** @type {any} */
let manifest;
/** @type {any} */
let scripts;
let root = "";
/** @type {Map<string, Promise<ArrayBuffer>>} */
const bundles = new Map();
/** @typedef {{call: Function, exports: any, place?: {memory: WebAssembly.Memory, base: number, bytes: number}}} Instance */
/**
 * One instance per variant for the life of this worker: a second instance is a second call target, and a call site
 * that has seen several is slow in every engine. @type {Map<string, Instance>}
 */
const instances = new Map();
/** @type {Map<string, WebAssembly.Memory>} */
const memories = new Map();
/** @type {{entry: any, references: any[][], inputs: any[][], candidates: Map<string, Candidate>}} */
let cell;
let sink = 0;

/** An error about one candidate; its name travels in `detail`. */
class CandidateError extends Error {
  name = "CandidateError";
  /** @param {string} candidate @param {unknown} cause */
  constructor(candidate, cause) {
    super(`${candidate}: ${cause instanceof Error ? cause.message : cause}`);
    this.detail = { candidate };
  }
}

/** The bytes of a bundle, fetched once and checked against the manifest. @param {string} name @returns {Promise<ArrayBuffer>} */
function bundle(name) {
  const known = bundles.get(name);
  if (known) return known;
  const loading = (async () => {
    const { path, sha256 } = manifest.bundles[name];
    const response = await fetch(new URL(path, root)).catch((error) => {
      throw new Error(`the kernels' file ${path} could not be fetched (${error.message}): check the connection and try again`);
    });
    if (!response.ok) throw new Error(`the kernels' file ${path} is missing (HTTP ${response.status}): reload the page`);
    const bytes = await response.arrayBuffer();
    if ((await digest(bytes)) !== sha256) throw new Error(`the kernels' file ${path} is not the one that the manifest names: reload the page`);
    return bytes;
  })();
  loading.catch(() => bundles.delete(name)); // a later call may fetch it again
  bundles.set(name, loading);
  return loading;
}

/**
 * One memory for all variants of a kernel (their tables lie apart): an engine reserves gigabytes of addresses for
 * each memory and refuses the hundredth. @param {any} entry @returns {WebAssembly.Memory}
 */
function memoryOf(entry) {
  // A module asks for a memory that reaches up to its own tables, and those lie a page apart.
  const pages = Math.ceil(entry.dataEnd / PAGE) + entry.variants.length + 1;
  const memory = memories.get(entry.name) ?? new WebAssembly.Memory({ initial: pages });
  memories.set(entry.name, memory);
  return memory;
}

/** @param {any} entry @param {any} script @param {string} name @returns {Promise<Instance>} */
async function instance(entry, script, name) {
  const key = `${entry.name}/${name}`;
  const known = instances.get(key);
  if (known) return known;
  const variant = entry.variants.find((/** @type {any} */ v) => v.name === name);
  if (!variant) throw new Error(`${entry.name} has no variant ${name}`);
  const bytes = new Uint8Array(await bundle(variant.bundle), variant.offset, variant.size);
  const memory = entry.memory ? undefined : memoryOf(entry);
  const { exports } = await WebAssembly.instantiate(await WebAssembly.compile(bytes), { env: /** @type {any} */ ({ memory }) });
  const call = entry.own ? callOf(entry, name, exports, script.adapters, memory) : exports.run;
  const fresh = { call: /** @type {Function} */ (call), exports };
  instances.set(key, fresh);
  return fresh;
}

/**
 * Inputs laid out in the memory that a module brings, where a call's arrays are copied each time; or as JavaScript's,
 * for an adapter that copies them itself.
 * @param {any} entry @param {any[][]} inputs @param {Instance} own
 */
function ownLayout(entry, inputs, own) {
  if (entry.memory.arrays) {
    const sets = scriptSets(entry, inputs);
    return { sets, results: sets.map(({ args }) => args) };
  }
  const bytes = Math.max(...inputs.map(extent));
  if (!own.place || own.place.bytes < bytes) own.place = { ...placeIn(entry.memory, own.exports, bytes), bytes };
  return layout(entry, inputs, own.place.memory, true, own.place.base);
}

/** @param {any} entry @param {any[]} arrays @returns {any[]} */
function outputsOf(entry, arrays) {
  return arrays.filter((_, i) => entry.params[i].dir === "out");
}

/** @param {string} name @returns {Candidate} */
function candidate(name) {
  const found = cell?.candidates.get(name);
  if (!found) throw new CandidateError(name, "not loaded");
  return found;
}

/** @param {Candidate} own @param {number} iterations */
function batch({ loop, call, sets }, iterations) {
  const began = performance.now();
  sink += loop(call, sets, iterations);
  return performance.now() - began;
}

serve({
  /**
   * Take the catalogue and load its JavaScript. `root` is where its files are, absolute.
   * @param {{manifest: any, root: string}} args
   */
  async open(args) {
    if (typeof WebAssembly !== "object") throw new Error("this browser has no WebAssembly: JavaScript is always the choice here");
    ({ manifest, root } = args);
    scripts = (await import(new URL(manifest.scripts.path, root).href)).kernels;
    return { clockStep: clockStep(), isolated: self.crossOriginIsolated === true };
  },

  /**
   * Make the inputs of one cell and lay them out for every candidate; those that cannot be loaded are named.
   * `memory` is what all instances hold together, in bytes.
   * @param {{kernel: string, size: number, pattern: string, copied: boolean, seed: number, candidates: string[]}} args
   * @returns {Promise<{failed: Record<string, string>, sets: number, referenceMs: number, memory: number}>}
   */
  async load({ kernel, size, pattern, copied, seed, candidates }) {
    const entry = manifest.kernels.find((/** @type {any} */ k) => k.name === kernel);
    const script = scripts[kernel] ?? (entry?.script && (await import(new URL(entry.script.path, root).href)).kernels[kernel]);
    if (!entry || !script) throw new Error(`the catalogue has no kernel ${kernel}`);
    const inputs = inputSets(script.makeInput, size, pattern, seed);
    const reference = scriptSets(entry, inputs);
    const began = performance.now();
    const returned = reference.map(({ args }) => script.js(...args));
    const referenceMs = performance.now() - began;
    const references = reference.map(({ args }, i) => [...args, returned[i]]);
    cell = { entry, inputs, references, candidates: new Map() };
    // Variants take turns on the same arrays: no candidate has a better place in the caches than another.
    const arrays = entry.memory ? undefined : layout(entry, inputs, memoryOf(entry), copied);
    /** @type {Record<string, string>} */
    const failed = {};
    for (const name of candidates) {
      const loop = script.loops[copied ? "copied" : "resident"][name];
      try {
        if (entry.baselines.includes(name)) {
          const sets = scriptSets(entry, inputs);
          const call = name === "js" ? script.js : script.jsTuned;
          cell.candidates.set(name, { call, loop, sets, results: sets.map(({ args }) => args) });
        } else {
          const own = await instance(entry, script, name);
          cell.candidates.set(name, { call: own.call, loop, ...(arrays ?? ownLayout(entry, inputs, own)) });
        }
      } catch (error) {
        failed[name] = /** @type {Error} */ (error).message;
      }
    }
    let memory = 0;
    for (const one of memories.values()) memory += one.buffer.byteLength;
    return { failed, sets: inputs.length, referenceMs, memory };
  },

  /**
   * Run a candidate once on every input set and compare all that it gives with the baseline: the result, the arrays
   * that it writes, and that it left its inputs alone.
   * @param {{candidate: string}} args @returns {{ok: boolean, error: string | null}}
   */
  check({ candidate: name }) {
    const { call, sets, results } = candidate(name);
    const { entry, inputs, references } = cell;
    try {
      for (const [i, set] of sets.entries()) {
        for (const [target, pristine] of set.resets) target.set(pristine);
        for (const [view, array] of set.inputs) view.set(array);
        for (const written of outputsOf(entry, results[i])) written.fill(0); // no answer left by another candidate
        const returned = call(...set.args);
        const error = compare(entry, inputs[i], references[i], [...results[i], returned]);
        if (error) return { ok: false, error };
      }
    } catch (error) {
      return { ok: false, error: `it failed with ${/** @type {Error} */ (error).message}` };
    }
    return { ok: true, error: null };
  },

  /** Time batches in the given order: milliseconds of each. @param {{order: [string, number][]}} args @returns {number[]} */
  run({ order }) {
    return order.map(([name, iterations]) => {
      try {
        return batch(candidate(name), iterations);
      } catch (error) {
        throw error instanceof CandidateError ? error : new CandidateError(name, error);
      }
    });
  },

  /** The sum of everything that was computed: because it can be asked for, nothing is optimised away. */
  sink: () => sink,
});
