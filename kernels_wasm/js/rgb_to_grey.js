// @ts-check
import { randomU8 } from "./util.js";

/** @param {Uint8Array} pixels @param {Uint8Array} out @param {number} n */
export function js(pixels, out, n) {
  for (let i = 0, at = 0; i < n; i++, at += 4) {
    out[i] = (38 * pixels[at] + 75 * pixels[at + 1] + 15 * pixels[at + 2] + 64) >> 7;
  }
}

/** One 32-bit read and two multiplications a pixel.
 * @param {Uint8Array} pixels @param {Uint8Array} out @param {number} n */
export function jsTuned(pixels, out, n) {
  if (pixels.byteOffset & 3) {
    js(pixels, out, n);
    return;
  }
  const words = new Int32Array(pixels.buffer, pixels.byteOffset, n);
  for (let i = 0; i < n; i++) {
    const word = words[i];
    out[i] = ((Math.imul(word & 0xff00ff, 0x26000f) >>> 16) + ((word >> 8) & 255) * 75 + 64) >> 7;
  }
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [randomU8(4 * size, random), new Uint8Array(size), size];
}
