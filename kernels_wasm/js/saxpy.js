// @ts-check
import { randomF32 } from "./util.js";

/** @param {number} a @param {Float32Array} x @param {Float32Array} y @param {Float32Array} out @param {number} n */
export function js(a, x, y, out, n) {
  for (let i = 0; i < n; i++) out[i] = a * x[i] + y[i];
}

/** Four at a time: less loop and bounds checking per element.
 * @param {number} a @param {Float32Array} x @param {Float32Array} y @param {Float32Array} out @param {number} n */
export function jsTuned(a, x, y, out, n) {
  let i = 0;
  for (; i + 3 < n; i += 4) {
    out[i] = a * x[i] + y[i];
    out[i + 1] = a * x[i + 1] + y[i + 1];
    out[i + 2] = a * x[i + 2] + y[i + 2];
    out[i + 3] = a * x[i + 3] + y[i + 3];
  }
  for (; i < n; i++) out[i] = a * x[i] + y[i];
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [Math.fround(0.5 + random()), randomF32(size, random), randomF32(size, random), new Float32Array(size), size];
}
