// @ts-check
import { randomF32 } from "./util.js";

/**
 * @param {Float32Array} re @param {Float32Array} im
 * @param {Float32Array} cosines @param {Float32Array} sines @param {number} n
 */
export function js(re, im, cosines, sines, n) {
  if (n < 2) return;
  const length = 1 << (31 - Math.clz32(n));
  for (let i = 1, j = 0; i < length; i++) {
    let bit = length >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      const r = re[i], m = im[i];
      re[i] = re[j];
      im[i] = im[j];
      re[j] = r;
      im[j] = m;
    }
  }
  for (let h = 1; h < length; h *= 2) {
    for (let base = 0; base < length; base += 2 * h) {
      for (let j = 0; j < h; j++) {
        const a = base + j, b = a + h, wr = cosines[h + j], wi = sines[h + j];
        const tr = re[b] * wr - im[b] * wi, ti = re[b] * wi + im[b] * wr;
        re[b] = re[a] - tr;
        im[b] = im[a] - ti;
        re[a] += tr;
        im[a] += ti;
      }
    }
  }
}

/** `size` values; twiddles for every stage of the largest power of two that fits.
 * @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  let length = 1;
  while (length * 2 <= size) length *= 2;
  const cosines = new Float32Array(length), sines = new Float32Array(length);
  for (let h = 1; h < length; h *= 2) {
    for (let j = 0; j < h; j++) {
      cosines[h + j] = Math.cos((Math.PI * j) / h);
      sines[h + j] = -Math.sin((Math.PI * j) / h);
    }
  }
  return [randomF32(size, random), randomF32(size, random), cosines, sines, size];
}
