// @ts-check
import { randomF32 } from "./util.js";

/** @param {Float32Array} a @param {Float32Array} out @param {number} rows @param {number} cols */
export function js(a, out, rows, cols) {
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) out[c * rows + r] = a[r * cols + c];
  }
}

/** Blocks of 16 × 16 stay in the cache.
 * @param {Float32Array} a @param {Float32Array} out @param {number} rows @param {number} cols */
export function jsTuned(a, out, rows, cols) {
  for (let r0 = 0; r0 < rows; r0 += 16) {
    const r1 = Math.min(r0 + 16, rows);
    for (let c0 = 0; c0 < cols; c0 += 16) {
      const c1 = Math.min(c0 + 16, cols);
      for (let r = r0; r < r1; r++) {
        for (let c = c0, from = r * cols + c0, to = c0 * rows + r; c < c1; c++, from++, to += rows) out[to] = a[from];
      }
    }
  }
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomF32(size * size, random), new Float32Array(size * size), size, size];
}
