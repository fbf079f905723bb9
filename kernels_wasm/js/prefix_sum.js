// @ts-check
import { randomI32 } from "./util.js";

/** @param {Int32Array} values @param {Int32Array} out @param {number} n */
export function js(values, out, n) {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    sum = (sum + values[i]) | 0;
    out[i] = sum;
  }
}

/** Four at a time.
 * @param {Int32Array} values @param {Int32Array} out @param {number} n */
export function jsTuned(values, out, n) {
  let sum = 0, i = 0;
  for (; i + 3 < n; i += 4) {
    out[i] = sum = (sum + values[i]) | 0;
    out[i + 1] = sum = (sum + values[i + 1]) | 0;
    out[i + 2] = sum = (sum + values[i + 2]) | 0;
    out[i + 3] = sum = (sum + values[i + 3]) | 0;
  }
  for (; i < n; i++) out[i] = sum = (sum + values[i]) | 0;
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomI32(size, random), new Int32Array(size), size];
}
