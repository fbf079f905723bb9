// @ts-check

/** @param {Uint8Array} composite @param {number} n */
export function js(composite, n) {
  composite.fill(0, 0, n + 1);
  for (let p = 2; p * p <= n; p++) {
    if (composite[p]) continue;
    for (let i = p * p; i <= n; i += p) composite[i] = 1;
  }
  let count = 0;
  for (let i = 2; i <= n; i++) if (!composite[i]) count++;
  return count;
}

/** Odd numbers only: flag i stands for 2i + 1, and flag 0 is counted for the prime 2.
 * @param {Uint8Array} composite @param {number} n */
export function jsTuned(composite, n) {
  if (n < 2) return 0;
  const flags = (n + 1) >> 1;
  composite.fill(0, 0, flags);
  for (let i = 1, p = 3; p * p <= n; i++, p += 2) {
    if (composite[i]) continue;
    for (let j = (p * p) >> 1; j < flags; j += p) composite[j] = 1;
  }
  let count = flags;
  for (let i = 0; i < flags; i++) count -= composite[i];
  return count;
}

/** `size` bounds n; larger inputs end up to an eighth below it, so that sets differ.
 * @param {number} size @param {string} pattern @param {() => number} random */
export function makeInput(size, pattern, random) {
  const n = size - Math.floor((size >> 3) * random());
  return [new Uint8Array(n + 1), n];
}
