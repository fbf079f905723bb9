// @ts-check
import { randomF32 } from "./util.js";

/** @param {number} a @param {Float32Array} x @param {Float32Array} y @param {Float32Array} out @param {number} n */
export function js(a, x, y, out, n) {
  for (let i = 0; i < n; i++) out[i] = a * x[i] + y[i];
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  return [Math.fround(0.5 + random()), randomF32(size, random), randomF32(size, random), new Float32Array(size), size];
}
