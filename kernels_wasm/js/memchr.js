// @ts-check
import { randomU8 } from "./util.js";

/** @param {Uint8Array} data @param {number} wanted @param {number} n */
export function js(data, wanted, n) {
  const at = data.indexOf(wanted);
  return at < n ? at : -1;
}

/** A plain loop: below some length it beats the call into the engine.
 * @param {Uint8Array} data @param {number} wanted @param {number} n */
export function jsTuned(data, wanted, n) {
  for (let i = 0; i < n; i++) if (data[i] === wanted) return i;
  return -1;
}

/** The wanted byte sits in the first or the last sixteenth, once.
 * @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const data = randomU8(size, random, 1, 256);
  const reach = Math.floor((random() * size) / 16);
  if (size > 0) data[pattern === "early" ? reach : size - 1 - reach] = 0;
  return [data, 0, size];
}
