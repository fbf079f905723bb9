// @ts-check
/**
 * Times a function that a visitor wrote. The worker's own script is the function, in a blob, which imports this one
 * (page/run_function.js); whoever started it ends it when an answer does not come.
 */
/** @import { FunctionOperations } from "../shared/operations" @import { MakeInput, Value } from "../shared/wire" */
import { inputSets } from "./input_sets.js";
import { serve } from "../shared/rpc.js";
import { clockStep, fastOf, timeBatch } from "../shared/timing.js";

/** @typedef {{args: Value[], pristine: Value[]}} Set `args` of a call, and the same before it */
/** @typedef {{makeInput: MakeInput, loops: Record<string, (sets: Set[], iterations: number) => number>}} Written */

const WARM = 2; // batches that do not count
const BATCHES = 7;
const CLOCK = { now: () => performance.now() };
let sink = 0; // the sum of all results, kept so that engines do not remove the calls

/** ms a call. @param {Written["loops"][string]} loop @param {Value[][]} inputs @param {number} step of the clock */
async function timed(loop, inputs, step) {
  const sets = inputs.map((pristine) => ({ pristine, args: pristine.map((value) => (ArrayBuffer.isView(value) ? value.slice() : value)) }));
  const runner = { run: (/** @type {number} */ calls) => void (sink += loop(sets, calls)), chunk: 1 };
  const times = [];
  for (let batch = 0; batch < WARM + BATCHES; batch++) times.push((await timeBatch(runner, CLOCK, step))?.ms ?? NaN);
  return fastOf(times.slice(WARM)).fast;
}

/** @param {Written} written */
export function start({ makeInput, loops }) {
  /** @type {Promise<number> | undefined} */
  let step;
  serve({
    /** @type {FunctionOperations["time"]} */
    async time({ size, pattern }) {
      const inputs = inputSets(makeInput, size, pattern, size);
      /** @type {Record<string, number>} */
      const ms = {};
      for (const [name, loop] of Object.entries(loops)) ms[name] = await timed(loop, inputs, await (step ??= clockStep()));
      return ms;
    },
    sink: () => sink,
  });
}
