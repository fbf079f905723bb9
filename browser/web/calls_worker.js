// @ts-check
/**
 * Times calls as pages make them: typed arrays, through the dispatcher, to JavaScript or to a module. The bench worker
 * times kernels alone; where JavaScript takes 20 ns, the way to a module costs more than its work.
 *
 * Every candidate gets scripts of its own (an address with another fragment is another module from the same file), so
 * that no call site sees two of them, and nothing of the page's own is touched.
 */
import { Arena } from "./arena.js";
import { inputSets } from "./bench_sets.js";
import { clockStep } from "./clock.js";
import { serve } from "./rpc.js";
import { TunedKernel } from "./tuned_kernel.js";

/** @typedef {{name: string, run: (iterations: number) => number, iterations: number, warm: number, times: number[]}} Runner `iterations` between two looks at the clock; `warm`, `times`: ms a call */

const SCRIPTS = "kernels.js"; // of all built kernels
const LEAST_MS = 2; // of a batch
const CLOCK_STEPS = 6; // that a batch lasts at least
const LOOKS = 64; // at the clock during a batch: so it ends soon after a step
const MOST_WARM = 8; // batches until it gets no faster: compilers are at work meanwhile
const FASTER = 0.85; // times the least time before: still getting faster
const FAR = 1.6; // times slower than the best when warm: out
const ROUNDS = 5; // for those near the best
const FIRST_ROUNDS = 2; // for the others
const NEAR = 1.25; // times slower than the best that is timed on
/** A call that takes JavaScript so long, ms, hardly notices the way: what was measured without it holds. */
const LONG_MS = 0.02;

/** @type {Arena | undefined} one for all: kernels take turns */
let arena;
/** @type {Map<string, TunedKernel>} of the kernel whose turn it is */
let tuned = new Map();
let turn = "";
let sink = 0;
let leastMs = 0;

/** The arguments of several calls, in the kernel's memory or not, as loops want them. @param {any} entry @param {any[][]} inputs @param {boolean} copied */
function setsOf(entry, inputs, copied) {
  return inputs.map((input) => {
    const args = input.map((value) => {
      if (!ArrayBuffer.isView(value)) return value;
      const array = /** @type {any} */ (value);
      if (copied) return array.slice();
      const view = /** @type {Arena} */ (arena).alloc(array.constructor, array.length);
      view.set(array);
      return view;
    });
    const resets = args.flatMap((to, i) => (entry.params[i].dir === "inout" ? [[to, input[i]]] : []));
    return { args, resets, inputs: [], outputs: [] };
  });
}

/**
 * A candidate behind a dispatcher that always takes it; undefined if it does not work here.
 * @param {any} args @param {string} candidate
 */
async function behind({ entry, root, pattern, copied }, candidate) {
  const key = `${copied ? "copied" : "resident"} ${candidate}`;
  let one = tuned.get(key);
  if (!one) {
    const script = await import(`${root}embed/${entry.name}.js#${encodeURIComponent(key)}`);
    /** @param {string} name */
    const load = async (name) => {
      const response = await fetch(`${root}embed/${entry.name}/${encodeURIComponent(name)}.wasm`, { credentials: "omit" });
      if (!response.ok) throw new Error(`its module is not served (${response.status})`);
      return WebAssembly.compileStreaming(response);
    };
    const own = entry.memory ? undefined : arena;
    one = new TunedKernel(entry, script, /** @type {Arena} */ (arena).end, load, pattern, undefined, own);
    await one.follow({ [pattern]: [/** @type {any} */ ({ choice: candidate, log2Size: 0 })] });
    tuned.set(key, one);
  }
  return one.setAside.size ? undefined : one;
}

/** A timing loop for each candidate, of its own text (kernels_wasm/scripts.py). @param {any} args */
async function loopsOf({ entry, root, copied }) {
  const url = new URL(entry.script?.path ?? SCRIPTS, root).href;
  return (await import(`${url}#${copied ? "copied" : "resident"}`)).kernels[entry.name].loops.resident;
}

/** ms a call, of a batch that begins and ends with a step of the clock. @param {Runner} runner */
function timed(runner) {
  const before = performance.now();
  let began = before;
  while (began === before) began = performance.now();
  let [calls, took] = [0, 0];
  while (took < leastMs) {
    sink += runner.run(runner.iterations);
    calls += runner.iterations;
    took = performance.now() - began;
  }
  runner.iterations = Math.max(1, Math.floor((calls * leastMs) / (took * LOOKS)));
  return took / calls;
}

/** Run a loop until it gets no faster. @param {Runner} runner @returns ms a call */
function warm(runner) {
  let [before, least] = [Infinity, timed(runner)];
  for (let batches = 1; batches < MOST_WARM && least < FASTER * before; batches++) {
    before = least;
    least = Math.min(least, timed(runner));
  }
  return least;
}

/**
 * A runner's times, ms a call: the mean of its faster half, which is never above the median, and the median. Other work
 * only adds to a batch; a jittered clock also takes away, so the least alone would not do. @param {Runner} runner
 */
function timesOf({ times }) {
  const sorted = [...times].sort((a, b) => a - b);
  const faster = sorted.slice(0, Math.ceil(times.length / 2));
  return { fast: faster.reduce((sum, time) => sum + time, 0) / faster.length, median: sorted[times.length >> 1] };
}

/** Time all in turn, the ones near the best more often. @param {Runner[]} runners */
function compare(runners) {
  let near = [...runners];
  for (let round = 0; round < FIRST_ROUNDS || (round < ROUNDS && near.length > 1); round++) {
    for (const runner of near) runner.times.push(timed(runner));
    near.push(...near.splice(0, 1)); // another one begins
    if (round + 1 < FIRST_ROUNDS) continue;
    const best = Math.min(...runners.map((runner) => timesOf(runner).fast));
    near = near.filter((runner) => timesOf(runner).fast <= NEAR * best);
  }
}

serve({
  /** @param {{dataEnd: number, memoryBytes: number}} args */
  open({ dataEnd, memoryBytes }) {
    arena = new Arena(dataEnd, memoryBytes);
    leastMs = Math.max(LEAST_MS, CLOCK_STEPS * clockStep());
  },

  /**
   * The times of one context's candidates that are not far from the best, ms a call, of up to five batches in turn. Those that do not work are left out, and so is everything if `settled` and a
   * call takes JavaScript so long that its way does not matter.
   * @param {{entry: any, root: string, pattern: string, size: number, copied: boolean, candidates: string[], settled: boolean}} args
   * @returns {Promise<Record<string, {fast: number, median: number}>>}
   */
  async time(args) {
    const { entry, pattern, size, copied, candidates, settled } = args;
    if (turn !== entry.name) [turn, tuned] = [entry.name, new Map()];
    const baseline = /** @type {TunedKernel} */ (await behind(args, "js"));
    const inputs = inputSets(baseline.script.makeInput, size, pattern, size);
    const began = performance.now();
    for (const input of inputs) baseline.fallback(...input.map((value) => (ArrayBuffer.isView(value) ? /** @type {any} */ (value).slice() : value)));
    if (settled && (performance.now() - began) / inputs.length > 50 * LONG_MS) return {}; // even cold code does not take so long
    arena?.release();
    const sets = setsOf(entry, inputs, copied);
    const loops = await loopsOf(args);
    /** @type {Runner[]} */
    const runners = [];
    for (const name of ["js", ...candidates.filter((one) => one !== "js")]) {
      const one = await behind(args, name);
      const loop = loops[name];
      if (!one || !loop) continue;
      const runner = { name, run: (/** @type {number} */ n) => loop(one.call, sets, n), iterations: 1, warm: 0, times: [] };
      runner.warm = warm(runner);
      runners.push(runner);
      if (name === "js" && settled && runner.warm > LONG_MS) return {};
    }
    const far = FAR * Math.min(...runners.map((runner) => runner.warm));
    const kept = runners.filter((runner) => runner.name === "js" || runner.warm <= far);
    compare(kept);
    return Object.fromEntries(kept.map((runner) => [runner.name, timesOf(runner)]));
  },

  /** The sum of everything that was computed, so that nothing is optimised away. */
  sink: () => sink,
});
