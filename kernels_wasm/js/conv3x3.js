// @ts-check
import { randomF32 } from "./util.js";

/** Weights in locals and the taps written out: nobody loops over nine constants.
 * @param {Float32Array} image @param {Float32Array} weights @param {Float32Array} out @param {number} width @param {number} height */
export function js(image, weights, out, width, height) {
  const w0 = weights[0], w1 = weights[1], w2 = weights[2];
  const w3 = weights[3], w4 = weights[4], w5 = weights[5];
  const w6 = weights[6], w7 = weights[7], w8 = weights[8];
  let at = 0;
  for (let y = 0; y < height - 2; y++) {
    for (let x = 0, a = y * width, b = a + width, c = b + width; x < width - 2; x++, a++, b++, c++) {
      out[at++] =
        image[a] * w0 + image[a + 1] * w1 + image[a + 2] * w2 +
        image[b] * w3 + image[b + 1] * w4 + image[b + 2] * w5 +
        image[c] * w6 + image[c + 1] * w7 + image[c + 2] * w8;
    }
  }
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const side = Math.max(size - 2, 0);
  return [randomF32(size * size, random), randomF32(9, random), new Float32Array(side * side), size, size];
}
