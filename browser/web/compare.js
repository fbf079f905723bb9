// @ts-check
/** Reproducible inputs, and when two numbers count as the same. */

/** mulberry32: the same inputs wherever the seed is the same; nothing private uses it. @param {number} seed */
export function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Within the kernel's tolerance; NaN is near NaN, infinities only to themselves.
 * @param {{relative: number, absolute: number}} tolerance @param {number} expected @param {number} actual
 */
export function near({ relative, absolute }, expected, actual) {
  if (expected === actual || Object.is(expected, actual)) return true;
  return Number.isFinite(expected) && Math.abs(expected - actual) <= absolute + relative * Math.abs(expected);
}
