// @ts-check
/** The clock that a page has: browsers make it coarse, and some jitter it, on purpose. */

const STEPS = 15;
const PATIENCE_MS = 120;

/** The median step that the clock is seen to make, ms; of one step at least, and of no more than fit into PATIENCE_MS. */
export function clockStep() {
  /** @type {number[]} */
  const steps = [];
  const began = performance.now();
  for (let last = began; steps.length < STEPS && (last - began < PATIENCE_MS || steps.length === 0); ) {
    const now = performance.now();
    if (now === last) continue;
    steps.push(now - last);
    last = now;
  }
  return steps.sort((a, b) => a - b)[steps.length >> 1];
}
