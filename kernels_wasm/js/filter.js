// @ts-check
import { randomF32 } from "./util.js";

/** @param {Float32Array} values @param {Float32Array} out @param {number} n @param {number} threshold */
export function js(values, out, n, threshold) {
  const limit = Math.fround(threshold); // an f32 like the values: equal is not above
  let count = 0;
  for (let i = 0; i < n; i++) {
    if (values[i] > limit) out[count++] = values[i];
  }
  out.fill(0, count, n);
  return count;
}

/** No branch on the data: always stores, moves on by 0 or 1.
 * @param {Float32Array} values @param {Float32Array} out @param {number} n @param {number} threshold */
export function jsTuned(values, out, n, threshold) {
  const limit = Math.fround(threshold);
  let count = 0;
  for (let i = 0; i < n; i++) {
    const value = values[i];
    out[count] = value;
    count += +(value > limit);
  }
  out.fill(0, count, n);
  return count;
}

/** Threshold under which the pattern's share of values in [-1, 1) lies.
 * @type {Record<string, number>} */
const THRESHOLDS = { hit1: 0.98, hit50: 0, hit99: -0.98 };

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomF32(size, random), new Float32Array(size), size, THRESHOLDS[pattern]];
}
