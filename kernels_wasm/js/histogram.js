// @ts-check
import { randomU8 } from "./util.js";

/** @param {Uint8Array} data @param {Uint32Array} counts @param {number} n */
export function js(data, counts, n) {
  counts.fill(0, 0, 256);
  for (let i = 0; i < n; i++) counts[data[i]]++;
}

/** Four at a time.
 * @param {Uint8Array} data @param {Uint32Array} counts @param {number} n */
export function jsTuned(data, counts, n) {
  counts.fill(0, 0, 256);
  let i = 0;
  for (; i + 3 < n; i += 4) {
    counts[data[i]]++;
    counts[data[i + 1]]++;
    counts[data[i + 2]]++;
    counts[data[i + 3]]++;
  }
  for (; i < n; i++) counts[data[i]]++;
}

/** @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const constant = Math.floor(random() * 256);
  const data = pattern === "constant" ? new Uint8Array(size).fill(constant) : randomU8(size, random);
  return [data, new Uint32Array(256), size];
}
