// @ts-check

/** mulberry32, reproducible; nothing private uses it. @param {number} seed */
export function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Equal within the tolerance; NaN equals NaN, infinities and bigints only themselves.
 * @param {{relative: number, absolute: number}} tolerance @param {number | bigint} expected @param {number | bigint} actual
 */
export function near({ relative, absolute }, expected, actual) {
  if (expected === actual || Object.is(expected, actual)) return true;
  if (typeof expected === "bigint" || typeof actual === "bigint") return false;
  return Number.isFinite(expected) && Math.abs(expected - actual) <= absolute + relative * Math.abs(expected);
}

/** @param {number[]} values all positive */
export function geometricMean(values) {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
