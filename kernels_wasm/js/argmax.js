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

/** Even and odd places side by side; the earlier place wins a tie.
 * @param {Float32Array} values @param {number} n */
export function jsTuned(values, n) {
  let best = -Infinity, at = -1, odd = -Infinity, oddAt = -1, i = 0;
  for (; i + 1 < n; i += 2) {
    const first = values[i], second = values[i + 1];
    if (first > best) {
      best = first;
      at = i;
    }
    if (second > odd) {
      odd = second;
      oddAt = i + 1;
    }
  }
  if (i < n && values[i] > best) {
    best = values[i];
    at = i;
  }
  return odd > best || (odd === best && oddAt < at) ? oddAt : at;
}

/** rising: sorted, so that every element is a new greatest one.
 * @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const values = randomF32(size, random);
  return [pattern === "rising" ? values.sort() : values, size];
}
