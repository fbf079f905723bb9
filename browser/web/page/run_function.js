// @ts-check
/** Runs the JavaScript of a function that a visitor wrote, in a worker of its own that is ended when it takes too long. */
/** @import { FunctionOperations, Translated } from "../shared/operations" */
import { connectWorker } from "../shared/rpc.js";

const START_MS = 15_000;
export const LIMIT_MS = 10_000; // for one size
const MOST_SIZES = 4;

/** A few sizes, the least and the largest among them. @param {number[]} sizes */
function someOf(sizes) {
  const last = Math.min(MOST_SIZES, sizes.length) - 1;
  return Array.from({ length: last + 1 }, (_, i) => sizes[Math.round((i * (sizes.length - 1)) / Math.max(last, 1))]);
}

/**
 * The worker's script: the policy for scripts allows neither evaluating text nor importing it, but a worker may be made of it. It
 * is under the page's own policy and reaches no other server. @param {string} runnable an expression
 */
function scriptOf(runnable) {
  const timer = new URL("../workers/function_worker.js", import.meta.url).href;
  return `const written = ${runnable};\nimport(${JSON.stringify(timer)}).then(({ start }) => start(written)).catch((error) => setTimeout(() => { throw error; }));`;
}

/**
 * The times of a few sizes, as they come: ms a call by candidate. TimeoutError for what does not end.
 * @param {Translated} translated @param {(size: number) => void} began
 * @returns {AsyncGenerator<[size: number, ms: Record<string, number>]>}
 */
export async function* timesOf({ runnable, sizes, pattern }, began) {
  const address = URL.createObjectURL(new Blob([scriptOf(runnable)], { type: "text/javascript" }));
  try {
    /** @type {import("../shared/rpc.js").RemoteWorker<FunctionOperations>} */
    const worker = await connectWorker(address, { timeout: START_MS });
    try {
      for (const size of someOf(sizes)) {
        began(size);
        yield [size, await worker.call("time", { size, pattern }, { timeout: LIMIT_MS })];
      }
    } finally {
      worker.end();
    }
  } finally {
    URL.revokeObjectURL(address);
  }
}
