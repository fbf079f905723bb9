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

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomI32(size, random), new Int32Array(size), size];
}
