// @ts-check
import { randomF32 } from "./util.js";

/** @param {Float32Array} a @param {Float32Array} b @param {number} n */
export function js(a, b, n) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/** Four accumulators, so that the additions do not wait for one another.
 * @param {Float32Array} a @param {Float32Array} b @param {number} n */
export function jsTuned(a, b, n) {
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0, i = 0;
  for (; i + 3 < n; i += 4) {
    s0 += a[i] * b[i];
    s1 += a[i + 1] * b[i + 1];
    s2 += a[i + 2] * b[i + 2];
    s3 += a[i + 3] * b[i + 3];
  }
  for (; i < n; i++) s0 += a[i] * b[i];
  return s0 + s1 + (s2 + s3);
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomF32(size, random), randomF32(size, random), size];
}
