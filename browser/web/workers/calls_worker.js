// @ts-check
/**
 * Times calls as pages make them: typed arrays, through the dispatcher, to JavaScript or to a module. The bench worker
 * times kernels alone; where JavaScript takes 20 ns, calling a module costs more than its work.
 *
 * Every candidate has its own scripts (the same address with another fragment is another module), so no call site sees
 * two candidates, and the page's own call sites stay as they are.
 */
/** @import { CallsCell, CallsOperations } from "../shared/operations" */
/** @import { BenchScript, EmbedScript, InputSet, KernelEntry, TypedArray, Value } from "../shared/wire" */
import { Arena } from "../shared/arena.js";
import { inputSets } from "./input_sets.js";
import { Rounds } from "../shared/rounds.js";
import { serve } from "../shared/rpc.js";
import { clockStep, fastOf, timeBatch } from "../shared/timing.js";
import { moduleLoader, TunedKernel } from "../embed/tuned_kernel.js";

/** @typedef {import("../shared/timing.js").Runner & {name: string, warm: number, times: number[]}} Runner `warm`, `times`: ms a call */
/** @typedef {import("../shared/timing.js").Clock} Clock */

const SCRIPTS = "kernels.js"; // the catalogue's
const MOST_WARM = 8; // batches to warm up, while compilers work
const FASTER = 0.85; // warming up goes on while a batch takes less than this share of the one before
const FAR = 1.6; // candidates this many times slower than the best when warm are dropped
const ROUNDS = 7; // at most
/** ms of a JavaScript call beside which the cost of calling a module does not matter: the bench worker's figures hold. */
const LONG_MS = 0.02;

/** @type {Arena | undefined} for all kernels in turn */
let arena;
/** @type {Map<string, TunedKernel>} candidates of the current kernel */
let tuned = new Map();
let current = "";
let sink = 0; // the sum of all results, kept so that engines do not remove the calls
let step = 0; // of the clock, ms

/** The arguments of several calls for a timing loop, in the kernel's memory or not. @param {KernelEntry} entry @param {Value[][]} inputs @param {boolean} copied */
function setsOf(entry, inputs, copied) {
  return inputs.map((input) => {
    const args = input.map((value) => (!ArrayBuffer.isView(value) ? value : copied ? value.slice() : resident(value)));
    /** @type {InputSet["resets"]} */
    const resets = [];
    for (const [i, { dir }] of entry.params.entries()) {
      if (dir === "inout") resets.push([/** @type {TypedArray} */ (args[i]), /** @type {TypedArray} */ (input[i])]);
    }
    return { args, resets, inputs: [], outputs: [] };
  });
}

/** A copy in the kernel's memory. @param {TypedArray} array */
function resident(array) {
  const Type = /** @type {import("../embed/fleetune").ArrayType<TypedArray>} */ (array.constructor);
  const view = /** @type {Arena} */ (arena).alloc(Type, array.length);
  view.set(array);
  return view;
}

/**
 * A candidate behind a dispatcher that always calls it; undefined if it does not work here.
 * @param {CallsCell} cell @param {string} candidate
 */
async function behind({ entry, root, pattern, copied }, candidate) {
  const key = `${copied ? "copied" : "resident"} ${candidate}`;
  let one = tuned.get(key);
  if (!one) {
    /** @type {EmbedScript} */
    const script = await import(`${root}embed/${entry.name}.js#${encodeURIComponent(key)}`);
    const own = entry.memory ? undefined : arena;
    one = new TunedKernel(entry, script, /** @type {Arena} */ (arena).end, moduleLoader(root, entry), pattern, undefined, own);
    await one.follow({ [pattern]: [{ choice: candidate, log2Size: 0 }] });
    tuned.set(key, one);
  }
  return one.setAside.size ? undefined : one;
}

/** A timing loop for each candidate, each with its own source text (kernels_wasm/build/scripts.py). @param {CallsCell} cell */
async function loopsOf({ entry, root, copied }) {
  const url = new URL(entry.script?.path ?? SCRIPTS, root).href;
  /** @type {{kernels: Record<string, BenchScript>}} */
  const { kernels } = await import(`${url}#${copied ? "copied" : "resident"}`);
  return kernels[entry.name].loops.resident;
}

/** Run batches until they get no faster. @param {Runner} runner @param {Clock} clock */
async function warm(runner, clock) {
  let before = Infinity;
  for (let batches = 0; batches < MOST_WARM && (batches < 2 || runner.warm < FASTER * before); batches++) {
    before = runner.warm;
    const timed = await timeBatch(runner, clock, step);
    if (!timed) return;
    runner.warm = Math.min(before, timed.ms);
  }
}

/** Time all in turn, those near the best more often. @param {Runner[]} runners @param {Clock} clock */
async function compare(runners, clock) {
  const rounds = new Rounds(runners.map(({ name }) => name), { reference: "js", most: ROUNDS });
  for (let order = rounds.next(); order.length; order = rounds.next()) {
    for (const name of order) {
      const runner = /** @type {Runner} */ (runners.find((one) => one.name === name));
      const timed = await timeBatch(runner, clock, step);
      if (!timed) return;
      runner.times.push(timed.ms);
      rounds.add(name, timed.ms, timed.quantum);
    }
  }
}

/** @type {CallsOperations} */
const operations = {
  async open({ memoryBytes, ...least }) {
    arena = new Arena(least, memoryBytes);
    step = await clockStep();
  },

  /**
   * The times of a context's candidates, in a few batches each, in turn. Candidates that do not work or are far from
   * the best are left out. The answer is empty if the context is `settled` (measured by the bench worker) and a call takes
   * JavaScript so long that the cost of calling a module does not matter, or if the budget ended before all were timed.
   */
  async time(cell) {
    const { entry, pattern, size, copied, candidates, settled, budgetMs } = cell;
    const until = performance.now() + budgetMs;
    const clock = { now: () => performance.now(), over: () => performance.now() >= until };
    if (current !== entry.name) [current, tuned] = [entry.name, new Map()];
    const baseline = /** @type {TunedKernel} */ (await behind(cell, "js"));
    const inputs = inputSets(baseline.script.makeInput, size, pattern, size);
    const began = performance.now();
    for (const input of inputs) baseline.fallback(...input.map((value) => (ArrayBuffer.isView(value) ? value.slice() : value)));
    if (settled && (performance.now() - began) / inputs.length > 50 * LONG_MS) return {}; // too long even for code that is not compiled yet
    arena?.release();
    const sets = setsOf(entry, inputs, copied);
    const loops = await loopsOf(cell);
    /** @type {Runner[]} */
    const runners = [];
    for (const name of ["js", ...candidates.filter((one) => one !== "js")]) {
      const one = await behind(cell, name);
      const loop = loops[name];
      if (!one || !loop) continue;
      /** @type {Runner} */
      const runner = { name, run: (n) => void (sink += loop(one.call, sets, n)), chunk: 1, warm: Infinity, times: [] };
      await warm(runner, clock);
      runners.push(runner);
      if (name === "js" && settled && runner.warm > LONG_MS) return {};
    }
    const far = FAR * Math.min(...runners.map((runner) => runner.warm));
    const kept = runners.filter((runner) => runner.name === "js" || runner.warm <= far);
    await compare(kept, clock);
    if (kept.some(({ times }) => !times.length)) return {};
    return Object.fromEntries(kept.map(({ name, times }) => [name, fastOf(times)]));
  },

  sink: () => sink,
};
serve(operations);
