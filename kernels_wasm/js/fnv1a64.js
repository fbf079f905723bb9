// @ts-check
import { randomU8 } from "./util.js";

/** Two 32-bit halves; low · 435 is below 2^41, exact in a double.
 * @param {Uint8Array} bytes @param {Uint32Array} hash @param {number} n */
export function js(bytes, hash, n) {
  let low = 0x84222325, high = 0xcbf29ce4;
  for (let i = 0; i < n; i++) {
    low = (low ^ bytes[i]) >>> 0;
    const product = low * 435;
    high = (Math.imul(high, 435) + (low << 8) + Math.floor(product / 0x100000000)) | 0;
    low = product >>> 0;
  }
  hash[0] = low;
  hash[1] = high;
  return low ^ high;
}

/** Four 16-bit limbs: only small-integer arithmetic.
 * @param {Uint8Array} bytes @param {Uint32Array} hash @param {number} n */
export function jsTuned(bytes, hash, n) {
  let h0 = 0x2325, h1 = 0x8422, h2 = 0x9ce4, h3 = 0xcbf2;
  for (let i = 0; i < n; i++) {
    h0 ^= bytes[i];
    const p0 = h0 * 435;
    const p1 = h1 * 435 + (p0 >>> 16);
    const p2 = h2 * 435 + (h0 << 8) + (p1 >>> 16);
    const p3 = h3 * 435 + (h1 << 8) + (p2 >>> 16);
    h0 = p0 & 0xffff;
    h1 = p1 & 0xffff;
    h2 = p2 & 0xffff;
    h3 = p3 & 0xffff;
  }
  const low = (h1 << 16) | h0, high = (h3 << 16) | h2;
  hash[0] = low;
  hash[1] = high;
  return low ^ high;
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomU8(size, random), new Uint32Array(2), size];
}
