// @ts-check
import { randomF32 } from "./util.js";

/** @param {Float32Array} a @param {Float32Array} b @param {Float32Array} c @param {number} n */
export function js(a, b, c, n) {
  for (let i = 0; i < n; i++) {
    const row = i * n;
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[row + k] * b[k * n + j];
      c[row + j] = sum;
    }
  }
}

/** Two rows by two columns a pass: four sums in registers, half the loads of each operand.
 * @param {Float32Array} a @param {Float32Array} b @param {Float32Array} c @param {number} n */
export function jsTuned(a, b, c, n) {
  const even = n & ~1;
  for (let i = 0; i < even; i += 2) {
    const upper = i * n, lower = upper + n;
    for (let j = 0; j < even; j += 2) {
      let s00 = 0, s01 = 0, s10 = 0, s11 = 0;
      for (let k = 0, at = j; k < n; k++, at += n) {
        const a0 = a[upper + k], a1 = a[lower + k], b0 = b[at], b1 = b[at + 1];
        s00 += a0 * b0;
        s01 += a0 * b1;
        s10 += a1 * b0;
        s11 += a1 * b1;
      }
      c[upper + j] = s00;
      c[upper + j + 1] = s01;
      c[lower + j] = s10;
      c[lower + j + 1] = s11;
    }
  }
  if (even === n) return;
  for (let i = 0; i < n; i++) {
    for (let j = i < even ? even : 0; j < n; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[i * n + k] * b[k * n + j];
      c[i * n + j] = sum;
    }
  }
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const cells = size * size;
  return [randomF32(cells, random), randomF32(cells, random), new Float32Array(cells), size];
}
