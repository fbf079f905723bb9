// @ts-check
import { randomU8 } from "./util.js";

const ALPHABET = new TextEncoder().encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
const PAD = 61;

/** @param {Uint8Array} bytes @param {Uint8Array} out @param {number} n */
export function js(bytes, out, n) {
  let at = 0, i = 0;
  for (; i + 2 < n; i += 3) {
    const group = (bytes[i] << 16) | (bytes[i + 1] << 8) | bytes[i + 2];
    out[at++] = ALPHABET[group >> 18];
    out[at++] = ALPHABET[(group >> 12) & 63];
    out[at++] = ALPHABET[(group >> 6) & 63];
    out[at++] = ALPHABET[group & 63];
  }
  if (i < n) {
    const two = i + 1 < n;
    const group = (bytes[i] << 16) | (two ? bytes[i + 1] << 8 : 0);
    out[at++] = ALPHABET[group >> 18];
    out[at++] = ALPHABET[(group >> 12) & 63];
    out[at++] = two ? ALPHABET[(group >> 6) & 63] : PAD;
    out[at++] = PAD;
  }
  return at;
}

/** Two characters for each 12 bits, low byte first. */
const PAIRS = Uint16Array.from({ length: 4096 }, (_, value) => ALPHABET[value >> 6] | (ALPHABET[value & 63] << 8));

/** @param {Uint8Array} bytes @param {Uint8Array} out @param {number} n */
export function jsTuned(bytes, out, n) {
  const groups = out.byteOffset & 1 ? 0 : Math.floor(n / 3);
  if (groups) {
    const pairs = new Uint16Array(out.buffer, out.byteOffset, 2 * groups);
    for (let i = 0, at = 0; at < 2 * groups; i += 3, at += 2) {
      const group = (bytes[i] << 16) | (bytes[i + 1] << 8) | bytes[i + 2];
      pairs[at] = PAIRS[group >> 12];
      pairs[at + 1] = PAIRS[group & 4095];
    }
  }
  const done = 3 * groups;
  return done === n ? 4 * groups : 4 * groups + js(bytes.subarray(done), out.subarray(4 * groups), n - done);
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomU8(size, random), new Uint8Array(4 * Math.ceil(size / 3)), size];
}
