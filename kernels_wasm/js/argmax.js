// @ts-check
import { randomF32 } from "./util.js";

/** @param {Float32Array} values @param {number} n */
export function js(values, n) {
  let best = -Infinity, at = -1;
  for (let i = 0; i < n; i++) {
    const value = values[i];
    if (value > best) {
      best = value;
      at = i;
    }
  }
  return at;
}

/** rising: sorted, so that every element is a new greatest one.
 * @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const values = randomF32(size, random);
  return [pattern === "rising" ? values.sort() : values, size];
}
