// @ts-check
import { randomF32 } from "./util.js";

/** @param {Float32Array} values @param {number} n @param {number} stride */
export function js(values, n, stride) {
  let sum = 0;
  for (let i = 0, at = 0; i < n; i++, at += stride) sum += values[at];
  return sum;
}

/** Four accumulators, so that the additions do not wait for one another.
 * @param {Float32Array} values @param {number} n @param {number} stride */
export function jsTuned(values, n, stride) {
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0, i = 0, at = 0;
  for (; i + 3 < n; i += 4, at += 4 * stride) {
    s0 += values[at];
    s1 += values[at + stride];
    s2 += values[at + 2 * stride];
    s3 += values[at + 3 * stride];
  }
  for (; i < n; i++, at += stride) s0 += values[at];
  return s0 + s1 + (s2 + s3);
}

/** @param {number} size @param {string} pattern "stride3" or "stride16" @param {() => number} random */
export function makeInput(size, pattern, random) {
  const stride = Number(pattern.slice("stride".length));
  return [randomF32(size * stride, random), size, stride];
}
