// @ts-check
/**
 * The one way to measure: the clock's step, batches that begin and end with a step, and what a series of times says. Browsers make
 * their clocks coarse (1, 16.7 or 100 ms) and jitter them on purpose; a page must also have its turn every 8 ms.
 */

/**
 * @typedef {object} Clock
 * @property {() => number} now ms
 * @property {() => unknown} [pause] lets the page have its turn; without it, nobody waits
 * @property {() => boolean} [over] whether measuring has to end
 */
/** @typedef {{run: (calls: number) => unknown, chunk: number}} Runner `run` makes calls (a promise if they are asynchronous); `chunk`: between two looks at the clock */

const STEPS = 15;
const PATIENCE_MS = 120;
const LEAST_MS = 4; // of a batch
const CLOCK_STEPS = 6; // that a batch lasts at least
const COARSE_MS = 4; // from this step on a batch lasts several turns of the page
const COARSE_STEPS = 2; // that such a batch lasts
const LOOKS = 64; // at the clock during a batch: so it ends soon after a step
const SPIN = 20_000; // looks, 1 to 2 ms, between two turns of the page

/** The first reading after the next step. @param {Clock} clock */
async function nextStep({ now, pause, over = () => false }) {
  const before = now();
  for (let looks = 1; ; looks++) {
    const reading = now();
    if (reading !== before) return reading;
    if (pause && looks % SPIN === 0) await pause();
    if (over()) return reading;
  }
}

/**
 * The step that the clock is seen to make, ms: of one step at least, and of no more than fit into PATIENCE_MS. Other work makes steps seem
 * longer and nothing makes them shorter, so it is the lower quartile. @param {Clock} [clock]
 */
export async function clockStep(clock = { now: () => performance.now() }) {
  /** @type {number[]} */
  const steps = [];
  const began = clock.now();
  for (let last = began; steps.length < STEPS && (last - began < PATIENCE_MS || steps.length === 0); ) {
    const reading = await nextStep(clock);
    steps.push(reading - last);
    last = reading;
    if (clock.over?.()) break;
  }
  return steps.sort((a, b) => a - b)[steps.length >> 2];
}

/** How long a batch lasts, ms. @param {number} step @param {boolean} alone nobody waits for a turn */
export const batchMs = (step, alone) =>
  step < COARSE_MS || alone ? Math.max(LEAST_MS, CLOCK_STEPS * step) : COARSE_STEPS * step;

/**
 * One batch, from one step of the clock to another: ms a call, and the error that the step makes on it. Undefined if measuring had to end.
 * @param {Runner} runner its chunk is corrected for the next batch @param {Clock} clock @param {number} step @param {number} [target] ms
 */
export async function timeBatch(runner, clock, step, target = batchMs(step, !clock.pause)) {
  const coarse = step >= COARSE_MS && clock.pause;
  const patience = Math.ceil(step / 2); // chunks within one step: each is short enough to be doubled
  const began = await nextStep(clock);
  let [calls, took, last, quiet] = [0, 0, began, 0];
  while (took < target) {
    if (clock.over?.()) return undefined;
    const running = runner.run(runner.chunk);
    if (running) await running;
    calls += runner.chunk;
    const now = clock.now();
    took = now - began;
    if (took < 0) return undefined; // somebody has set it back, perhaps by hours
    if (!coarse) continue;
    quiet = now === last ? quiet + 1 : 0;
    last = now;
    if (quiet > patience) [runner.chunk, quiet] = [2 * runner.chunk, 0];
    await coarse();
  }
  runner.chunk = Math.max(1, Math.floor((calls * target) / (took * LOOKS)));
  return { ms: took / calls, quantum: step / calls };
}

/**
 * The time of so many calls, ms: from one step of the clock to another, so of a few more. @param {Runner} runner @param {number} calls @param {Clock} clock
 */
export async function timeCalls(runner, calls, clock) {
  const began = await nextStep(clock);
  let [made, last, now] = [0, began, began];
  while (made < calls || now === last) {
    await runner.run(runner.chunk);
    made += runner.chunk;
    [last, now] = [now, clock.now()];
  }
  return ((now - began) / made) * calls;
}

/**
 * The mean of a series' faster half, and the median. The minimum alone would not do: other work only adds to a batch, but
 * a jittered clock also takes away. @param {number[]} times
 */
export function fastOf(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const faster = sorted.slice(0, Math.ceil(times.length / 2));
  const fast = faster.reduce((sum, time) => sum + time, 0) / faster.length;
  return { fast, median: sorted[times.length >> 1] };
}
