// @ts-check
/** The function that a page calls: a few comparisons, then the implementation for this size, each at a call site of its own. */

/** @typedef {(...args: any[]) => any} Call */

const SITES = 6; // written out below
const FIRST_COUNT = 16;

/**
 * @param {(...args: any[]) => number} size @param {boolean} waits calls give promises @param {Call} reference for sizes that are no numbers
 * @param {(size: number, error: unknown, args: any[]) => any} fall what to do about a call that failed
 * @param {(size: number, calls: number) => number} tick hears of a call's size now and then; gives the number of calls until the next time
 */
export function dispatcher(size, waits, reference, fall, tick) {
  let [left, counted] = [FIRST_COUNT, FIRST_COUNT];
  let [t0, t1, t2, t3, t4, t5] = Array(SITES).fill(Infinity);
  let [f0, f1, f2, f3, f4, f5] = Array(SITES).fill(reference);
  /** @type {[number, Call][]} from which size, beyond the sites */
  let beyond = [];
  const more = (/** @type {number} */ n) => beyond.findLast(([from]) => from <= n)?.[1] ?? reference;
  const count = (/** @type {number} */ n) => (left = counted = tick(n, counted));

  /** @type {Call} */
  const call = waits
    ? async (...args) => {
        const n = size(...args);
        if (--left === 0) count(n);
        try {
          if (n < t0) return await f0(...args);
          if (n < t1) return await f1(...args);
          if (n < t2) return await f2(...args);
          if (n < t3) return await f3(...args);
          if (n < t4) return await f4(...args);
          if (n < t5) return await f5(...args);
          return await more(n)(...args);
        } catch (error) {
          return fall(n, error, args);
        }
      }
    : (...args) => {
        const n = size(...args);
        if (--left === 0) count(n);
        try {
          if (n < t0) return f0(...args);
          if (n < t1) return f1(...args);
          if (n < t2) return f2(...args);
          if (n < t3) return f3(...args);
          if (n < t4) return f4(...args);
          if (n < t5) return f5(...args);
          return more(n)(...args);
        } catch (error) {
          return fall(n, error, args);
        }
      };

  /** @param {[from: number, call: Call][]} steps ascending, the first from 0 */
  const follow = (steps) => {
    const to = (/** @type {number} */ i) => steps[i + 1]?.[0] ?? Infinity;
    const at = (/** @type {number} */ i) => (steps[i] ?? [0, reference])[1];
    [t0, t1, t2, t3, t4, t5] = [0, 1, 2, 3, 4, 5].map(to);
    [f0, f1, f2, f3, f4, f5] = [0, 1, 2, 3, 4, 5].map(at);
    beyond = steps.slice(SITES);
  };
  return { call, follow };
}
