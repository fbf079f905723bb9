// @ts-check
import { randomF32 } from "./util.js";

/** @param {Float32Array} m @param {Float32Array} v @param {Float32Array} out @param {number} rows @param {number} cols */
export function js(m, v, out, rows, cols) {
  for (let r = 0, at = 0; r < rows; r++) {
    let sum = 0;
    for (let c = 0; c < cols; c++, at++) sum += m[at] * v[c];
    out[r] = sum;
  }
}

/** Four rows at once: each element of the vector is read once, and four sums run side by side.
 * @param {Float32Array} m @param {Float32Array} v @param {Float32Array} out @param {number} rows @param {number} cols */
export function jsTuned(m, v, out, rows, cols) {
  let r = 0;
  for (; r + 3 < rows; r += 4) {
    const m0 = r * cols, m1 = m0 + cols, m2 = m1 + cols, m3 = m2 + cols;
    let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (let c = 0; c < cols; c++) {
      const x = v[c];
      s0 += m[m0 + c] * x;
      s1 += m[m1 + c] * x;
      s2 += m[m2 + c] * x;
      s3 += m[m3 + c] * x;
    }
    out[r] = s0;
    out[r + 1] = s1;
    out[r + 2] = s2;
    out[r + 3] = s3;
  }
  for (; r < rows; r++) {
    let sum = 0;
    for (let c = 0; c < cols; c++) sum += m[r * cols + c] * v[c];
    out[r] = sum;
  }
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomF32(size * size, random), randomF32(size, random), new Float32Array(size), size, size];
}
