// @ts-check
import { randomF32, randomI32 } from "./util.js";

/**
 * @param {Float32Array} table @param {Int32Array} index @param {Float32Array} out
 * @param {number} n @param {number} entries
 */
export function js(table, index, out, n, entries) {
  for (let i = 0; i < n; i++) {
    const at = index[i];
    out[i] = at >= 0 && at < entries ? table[at] : NaN;
  }
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const entries = pattern === "smallTable" ? 16 : 65536;
  return [randomF32(entries, random), randomI32(size, random, 0, entries), new Float32Array(size), size, entries];
}
