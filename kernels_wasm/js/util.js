// @ts-check
// Helpers for makeInput only: a hot function shared by kernels would share its type feedback too.

/**
 * `n` floats in [low, high).
 * @param {number} n @param {() => number} random @param {number} low @param {number} high
 */
export function randomF32(n, random, low = -1, high = 1) {
  const values = new Float32Array(n);
  for (let i = 0; i < n; i++) values[i] = low + (high - low) * random();
  return values;
}

/**
 * `n` doubles in [low, high).
 * @param {number} n @param {() => number} random @param {number} low @param {number} high
 */
export function randomF64(n, random, low = -1, high = 1) {
  const values = new Float64Array(n);
  for (let i = 0; i < n; i++) values[i] = low + (high - low) * random();
  return values;
}

/**
 * `n` integers in [low, high) as bytes.
 * @param {number} n @param {() => number} random @param {number} low @param {number} high
 */
export function randomU8(n, random, low = 0, high = 256) {
  const values = new Uint8Array(n);
  for (let i = 0; i < n; i++) values[i] = low + Math.floor((high - low) * random());
  return values;
}

/**
 * `n` integers in [low, high), 32 bits.
 * @param {number} n @param {() => number} random @param {number} low @param {number} high
 */
export function randomI32(n, random, low = -0x80000000, high = 0x80000000) {
  const values = new Int32Array(n);
  for (let i = 0; i < n; i++) values[i] = Math.floor(low + (high - low) * random());
  return values;
}
