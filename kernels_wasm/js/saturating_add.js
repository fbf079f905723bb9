// @ts-check
import { randomU8 } from "./util.js";

/** @param {Uint8Array} a @param {Uint8Array} b @param {Uint8Array} out @param {number} n */
export function js(a, b, out, n) {
  for (let i = 0; i < n; i++) {
    out[i] = Math.min(a[i] + b[i], 255);
  }
}

/** Four bytes at a time in 32-bit words where all three arrays are aligned; no branch on the data.
 * @param {Uint8Array} a @param {Uint8Array} b @param {Uint8Array} out @param {number} n */
export function jsTuned(a, b, out, n) {
  const words = ((a.byteOffset | b.byteOffset | out.byteOffset) & 3) === 0 ? n >> 2 : 0;
  if (words) {
    const wa = new Int32Array(a.buffer, a.byteOffset, words), wb = new Int32Array(b.buffer, b.byteOffset, words);
    const result = new Int32Array(out.buffer, out.byteOffset, words);
    for (let i = 0; i < words; i++) {
      const x = wa[i], y = wb[i];
      const sum = ((x & 0x7f7f7f7f) + (y & 0x7f7f7f7f)) ^ ((x ^ y) & 0x80808080);
      const carry = ((x & y) | ((x | y) & ~sum)) & 0x80808080;
      result[i] = sum | ((carry << 1) - (carry >>> 7));
    }
  }
  for (let i = 4 * words; i < n; i++) {
    const sum = a[i] + b[i];
    out[i] = sum > 255 ? 255 : sum;
  }
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomU8(size, random), randomU8(size, random), new Uint8Array(size), size];
}
