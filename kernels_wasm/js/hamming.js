// @ts-check
import { randomI32 } from "./util.js";

/** @param {Uint32Array} a @param {Uint32Array} b @param {number} n */
export function js(a, b, n) {
  let count = 0;
  for (let i = 0; i < n; i++) {
    let x = a[i] ^ b[i];
    x -= (x >>> 1) & 0x55555555;
    x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
    x = (x + (x >>> 4)) & 0x0f0f0f0f;
    count += Math.imul(x, 0x01010101) >>> 24;
  }
  return count;
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const words = () => new Uint32Array(randomI32(size, random).buffer);
  return [words(), words(), size];
}
