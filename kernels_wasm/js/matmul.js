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

/** Two rows by four columns a pass: eight sums in registers, fewer loads of each operand.
 * @param {Float32Array} a @param {Float32Array} b @param {Float32Array} c @param {number} n */
export function jsTuned(a, b, c, n) {
  const rows = n & ~1, cols = n & ~3;
  for (let i = 0; i < rows; i += 2) {
    const upper = i * n, lower = upper + n;
    for (let j = 0; j < cols; j += 4) {
      let u0 = 0, u1 = 0, u2 = 0, u3 = 0, l0 = 0, l1 = 0, l2 = 0, l3 = 0;
      for (let k = 0, at = j; k < n; k++, at += n) {
        const x = a[upper + k], y = a[lower + k];
        const b0 = b[at], b1 = b[at + 1], b2 = b[at + 2], b3 = b[at + 3];
        u0 += x * b0;
        u1 += x * b1;
        u2 += x * b2;
        u3 += x * b3;
        l0 += y * b0;
        l1 += y * b1;
        l2 += y * b2;
        l3 += y * b3;
      }
      c[upper + j] = u0;
      c[upper + j + 1] = u1;
      c[upper + j + 2] = u2;
      c[upper + j + 3] = u3;
      c[lower + j] = l0;
      c[lower + j + 1] = l1;
      c[lower + j + 2] = l2;
      c[lower + j + 3] = l3;
    }
  }
  if (rows === n && cols === n) return;
  for (let i = 0; i < n; i++) {
    for (let j = i < rows ? cols : 0; j < n; j++) {
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
