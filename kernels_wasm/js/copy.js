// @ts-check
import { randomU8 } from "./util.js";

/** @param {Uint8Array} from @param {Uint8Array} to @param {number} n */
export function js(from, to, n) {
  to.set(n === from.length ? from : from.subarray(0, n));
}

/** A plain loop: below some length it beats the call into the engine.
 * @param {Uint8Array} from @param {Uint8Array} to @param {number} n */
export function jsTuned(from, to, n) {
  for (let i = 0; i < n; i++) to[i] = from[i];
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomU8(size, random), new Uint8Array(size), size];
}
