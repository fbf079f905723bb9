// @ts-check
/**
 * The bench worker: times JavaScript and WebAssembly, without Python. It has no time limits: its starter ends it when an
 * answer does not come.
 */
/** @import { BenchOperations } from "../shared/operations" */
/** @import { BenchScript, BundledVariant, CallArena, InputSet, KernelCall, KernelEntry, Loop, Manifest, OwnMemory, TypedArray, Value } from "../shared/wire" */
/** @import { Outcome } from "./input_sets" */
import { compare, extent, fillOutputs, inputSets, layout, scriptSets } from "./input_sets.js";
import { sha256 as digest } from "./digest.js";
import { Arena } from "../shared/arena.js";
import { callOf, stagingIn } from "../shared/own_kernel.js";
import { serve } from "../shared/rpc.js";
import { clockStep, timeCalls } from "../shared/timing.js";

/** @typedef {{call: KernelCall, loop: Loop, sets: InputSet[], results: Value[][]}} Candidate */
/** @typedef {{call: KernelCall, exports: WebAssembly.Exports, place?: CallArena}} Instance */

/** What pages have by default (embed/fleetune.js): a module with a memory of its own is asked for half of it. */
const PAGE_MEMORY = 1 << 24;

/** @type {Manifest} */
let manifest;
/** @type {Record<string, BenchScript>} */
let scripts;
let root = "";
/** @type {Map<string, Promise<ArrayBuffer>>} */
const bundles = new Map();
/**
 * One instance per variant for the life of this worker: a second one is a second call target, and a call site that has
 * seen several is slow in every engine. @type {Map<string, Instance>}
 */
const instances = new Map();
/** @type {Map<string, Arena>} */
const arenas = new Map();
/** @type {{entry: KernelEntry<BundledVariant>, references: Outcome[], inputs: Value[][], candidates: Map<string, Candidate>}} */
let cell;
let sink = 0; // the sum of all results, kept so that engines do not remove the calls

/** An error about one candidate; `detail` says which. */
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
 * One memory for all variants of a kernel, whose tables lie apart: an engine reserves gigabytes of addresses for each
 * memory and refuses the hundredth. @param {KernelEntry} entry
 */
function arenaOf(entry) {
  const arena = arenas.get(entry.name) ?? new Arena(entry, entry.own ? PAGE_MEMORY : 0);
  if (arena.refused) throw new Error(arena.refused);
  arenas.set(entry.name, arena);
  return arena;
}

/** @param {KernelEntry<BundledVariant>} entry @param {BenchScript} script @param {string} name @returns {Promise<Instance>} */
async function instance(entry, script, name) {
  const key = `${entry.name}/${name}`;
  const known = instances.get(key);
  if (known) return known;
  const variant = entry.variants.find((one) => one.name === name);
  if (!variant) throw new Error(`${entry.name} has no variant ${name}`);
  const bytes = new Uint8Array(await bundle(variant.bundle), variant.offset, variant.size);
  const memory = entry.memory ? undefined : arenaOf(entry).memory;
  const { exports } = await WebAssembly.instantiate(await WebAssembly.compile(bytes), memory ? { env: { memory } } : {});
  const call = entry.own ? callOf(entry, name, exports, script.adapters, memory) : /** @type {KernelCall} */ (exports.run);
  const fresh = { call, exports };
  instances.set(key, fresh);
  return fresh;
}

/**
 * Inputs for a module with its own memory, into which every call copies its arrays; or JavaScript's arrays, for an
 * adapter that copies them itself.
 * @param {KernelEntry} entry @param {OwnMemory} memory @param {Value[][]} inputs @param {Instance} own
 */
function ownLayout(entry, memory, inputs, own) {
  if (memory.arrays) {
    const sets = scriptSets(entry, inputs);
    return { sets, results: sets.map(({ args }) => args) };
  }
  const bytes = Math.max(PAGE_MEMORY / 2, ...inputs.map(extent));
  if (!own.place || own.place.end - own.place.base < bytes) own.place = stagingIn(memory, own.exports, bytes);
  return layout(entry, inputs, own.place, true);
}

/** The arrays that are only written. @param {KernelEntry} entry @param {Value[]} arrays */
function outputsOf(entry, arrays) {
  return /** @type {TypedArray[]} */ (arrays.filter((_, i) => entry.params[i].dir === "out"));
}

/** @param {string} name @returns {Candidate} */
function candidate(name) {
  const found = cell?.candidates.get(name);
  if (!found) throw new CandidateError(name, "not loaded");
  return found;
}

const LOOKS = 64; // at the clock during a batch, so that it ends soon after a step
const CLOCK = { now: () => performance.now() };

/** The time of so many calls, ms. @param {Candidate} own @param {number} iterations */
function batch({ loop, call, sets }, iterations) {
  const run = (/** @type {number} */ n) => void (sink += loop(call, sets, n));
  return timeCalls({ run, chunk: Math.ceil(iterations / LOOKS) }, iterations, CLOCK);
}

/** @type {BenchOperations} */
const operations = {
  /** Take the catalogue and load its JavaScript. `root` is the absolute address of its files. */
  async open(args) {
    if (typeof WebAssembly !== "object") throw new Error("this browser has no WebAssembly: JavaScript is always the choice here");
    ({ manifest, root } = args);
    scripts = (await import(new URL(manifest.scripts.path, root).href)).kernels;
    return { clockStep: await clockStep(), isolated: self.crossOriginIsolated === true };
  },

  /**
   * Make the inputs of one cell and lay them out for every candidate. `failed` says which candidates could not be loaded,
   * `memory` how many bytes all instances hold together.
   */
  async load({ kernel, size, pattern, copied, seed, candidates }) {
    const entry = manifest.kernels.find(({ name }) => name === kernel);
    /** @type {BenchScript | undefined} */
    const script = scripts[kernel] ?? (entry?.script && (await import(new URL(entry.script.path, root).href)).kernels[kernel]);
    if (!entry || !script) throw new Error(`the catalogue has no kernel ${kernel}`);
    const inputs = inputSets(script.makeInput, size, pattern, seed);
    fillOutputs(entry, inputs, seed);
    const reference = scriptSets(entry, inputs);
    const began = performance.now();
    const returned = reference.map(({ args }) => script.js(...args));
    const referenceMs = performance.now() - began;
    const references = reference.map(({ args }, i) => ({ args, returned: returned[i] }));
    cell = { entry, inputs, references, candidates: new Map() };
    // Variants take turns on the same arrays, so none has a better place in the caches than another.
    const arrays = entry.memory ? undefined : layout(entry, inputs, arenaOf(entry), copied);
    /** @type {Record<string, string>} */
    const failed = {};
    for (const name of candidates) {
      const loop = script.loops[copied ? "copied" : "resident"][name];
      try {
        if (entry.baselines.includes(name)) {
          const sets = scriptSets(entry, inputs);
          const call = name === "js" ? script.js : script.jsTuned;
          if (!call) throw new Error(`the script has no ${name}`);
          cell.candidates.set(name, { call, loop, sets, results: sets.map(({ args }) => args) });
        } else {
          const own = await instance(entry, script, name);
          cell.candidates.set(name, { call: own.call, loop, ...(arrays ?? ownLayout(entry, /** @type {OwnMemory} */ (entry.memory), inputs, own)) });
        }
      } catch (error) {
        failed[name] = /** @type {Error} */ (error).message;
      }
    }
    let memory = 0;
    for (const one of arenas.values()) memory += one.end;
    return { failed, sets: inputs.length, referenceMs, memory };
  },

  /**
   * Run a candidate once on every input set and compare it with the baseline: the result, the arrays that it writes, and
   * that its inputs are unchanged.
   */
  check({ candidate: name }) {
    const { call, sets, results } = candidate(name);
    const { entry, inputs, references } = cell;
    try {
      for (const [i, set] of sets.entries()) {
        for (const [target, pristine] of set.resets) target.set(pristine);
        for (const [view, array] of set.inputs) view.set(array);
        // Another candidate's answer must not count, and what is not written must stay.
        const before = outputsOf(entry, inputs[i]);
        for (const [k, written] of outputsOf(entry, results[i]).entries()) written.set(before[k]);
        const returned = call(...set.args);
        const error = compare(entry, inputs[i], references[i], { args: results[i], returned });
        if (error) return { ok: false, error };
      }
    } catch (error) {
      return { ok: false, error: `it failed with ${/** @type {Error} */ (error).message}` };
    }
    return { ok: true, error: null };
  },

  /** Time batches in the given order: milliseconds of each. */
  async run({ order }) {
    const times = [];
    for (const [name, iterations] of order) {
      try {
        times.push(await batch(candidate(name), iterations));
      } catch (error) {
        throw error instanceof CandidateError ? error : new CandidateError(name, error);
      }
    }
    return times;
  },

  sink: () => sink,
};
serve(operations);
