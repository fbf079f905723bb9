// @ts-check
/**
 * Which of several implementations is the fastest: interleaved rounds, successive halving, when to stop, and what the times say about
 * the one in use. It needs no model. The same rule in Python: `fleetune/rounds.py`.
 */
/** @typedef {"changed" | "unchanged" | "unsure"} Verdict */
/** @typedef {{choice: string, verdict: Verdict, ratio: number, error: number}} Answer `ratio`: time of the one in use ÷ that of the fastest */

/** Another must be this much faster to replace the one in use: of ten that are alike, the one that looks best is lucky. */
const CLOSE = 0.03;
const FIRST = 2; // rounds of all
const LEAST = 5; // rounds before the answer
const MOST = 30;
const SECOND = 8; // rounds of the second look
const FAR = 1.6; // times slower than the best: out
const SURE = 2.5; // standard errors: the best of several is looked at again and again
const SLOWED = 4; // batches on each side of a change for the worse
const STEP_SHARE = 0.4; // of the clock's step, as the error of one batch: steps come at random moments where a clock is jittered

/** @typedef {{fast: number, error: number}} Estimate ms a call, and the standard error of it */
/** @typedef {{ms: number, quantum: number}} Batch ms a call, and the error that the clock's step makes on it */
/** @typedef {{batches: Batch[], before?: Estimate}} Series `before`: what was thought until the second look */

/** From the mean of the faster half: other work only adds to a batch, but a jittered clock also takes away. @param {Series} series @returns {Estimate | undefined} */
function estimate({ batches, before }) {
  if (!batches.length) return before;
  const middle = batches.length >> 1;
  const ms = batches.map((one) => one.ms);
  // What got slower for good (heat, thrown away code) is as slow as it is now.
  const slowed = middle >= SLOWED && Math.max(...ms.slice(0, middle)) < Math.min(...ms.slice(middle));
  const counted = slowed ? batches.slice(middle) : batches;
  const faster = [...counted].sort((a, b) => a.ms - b.ms).slice(0, Math.ceil(counted.length / 2));
  const mean = (/** @type {(one: Batch) => number} */ of) => faster.reduce((sum, one) => sum + of(one), 0) / faster.length;
  const fast = mean((one) => one.ms);
  const variance = (mean((one) => (one.ms - fast) ** 2) * faster.length) / Math.max(faster.length - 1, 1);
  return { fast, error: Math.sqrt((variance + mean((one) => (STEP_SHARE * one.quantum) ** 2)) / faster.length) };
}

export class Rounds {
  /** @type {Map<string, Series>} */
  series = new Map();
  #reference;
  #current;
  #random;
  #most;
  /** Still of interest. @type {string[]} */
  #near;
  #round = 0;
  /** Nobody is dropped before this round. */
  #patient;
  #again = false;

  /**
   * @param {string[]} names @param {{reference: string, current?: string, random?: () => number, first?: number, most?: number}} options
   * `first`: rounds of all, `most` rounds
   */
  constructor(names, { reference, current = reference, random = Math.random, first = FIRST, most = MOST }) {
    for (const name of names) this.series.set(name, { batches: [] });
    this.#reference = reference;
    this.#current = names.includes(current) ? current : reference;
    this.#random = random;
    this.#most = most;
    this.#patient = first;
    this.#near = [...names];
  }

  /** @param {string} name @param {number} ms a call @param {number} quantum the error that the clock's step makes on it, ms */
  add(name, ms, quantum) {
    this.series.get(name)?.batches.push({ ms, quantum });
  }

  /** @param {string} name which failed */
  remove(name) {
    this.series.delete(name);
    this.#near = this.#near.filter((one) => one !== name);
  }

  /** @returns {Map<string, Estimate>} of those that were timed */
  estimates() {
    const all = new Map();
    for (const [name, one] of this.series) {
      const found = estimate(one);
      if (found) all.set(name, found);
    }
    return all;
  }

  /** Whom the next round times, in a new order; empty when the answer is known or not worth more. @returns {string[]} */
  next() {
    if (this.#round >= this.#patient) this.#drop();
    if (this.#round >= Math.max(LEAST, this.#patient) && (this.#round >= this.#most || this.#settled())) {
      if (!this.#secondLook()) return [];
    }
    this.#round++;
    const order = [...this.#near];
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(this.#random() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  /** Keep what is in use, the better half and what may be as fast as the best; nothing else that is far slower. */
  #drop() {
    const all = this.estimates();
    const ranked = this.#near.filter((name) => all.has(name)).sort((a, b) => cost(all, a) - cost(all, b));
    const best = all.get(ranked[0]);
    if (!best) return;
    const half = Math.ceil(ranked.length / 2);
    this.#near = ranked.filter((name, rank) => {
      const { fast, error } = /** @type {Estimate} */ (all.get(name));
      const apart = SURE * Math.hypot(error, best.error);
      return name === this.#current || (fast <= FAR * best.fast && (rank < half || fast - apart <= (1 + CLOSE) * best.fast));
    });
  }

  /** Whether the best is apart from every other that is near, or all are known to be alike. */
  #settled() {
    const all = this.estimates();
    const [best, ...others] = this.#near.map((name) => all.get(name) ?? { fast: Infinity, error: 0 }).sort((a, b) => a.fast - b.fast);
    return others.every(({ fast, error }) => {
      const doubt = SURE * Math.hypot(error, best.error);
      return fast - best.fast > doubt || doubt < CLOSE * best.fast;
    });
  }

  /** What was dropped early may not have been compiled yet: time it once more before the reference is said to be the fastest. */
  #secondLook() {
    if (this.#again || this.#fastest() !== this.#reference) return false;
    this.#again = true;
    const dropped = [...this.series.keys()].filter((name) => !this.#near.includes(name));
    for (const name of dropped) this.series.set(name, { batches: [], before: this.estimates().get(name) });
    this.#near.push(...dropped);
    this.#round = Math.min(this.#round, this.#most - SECOND);
    this.#patient = this.#round + SECOND;
    return dropped.length > 0;
  }

  #fastest() {
    const all = this.estimates();
    return [...all.keys()].reduce((best, next) => (cost(all, next) < cost(all, best) ? next : best), this.#reference);
  }

  /** What the times say about the one in use. @returns {Answer} */
  answer() {
    const all = this.estimates();
    const best = this.#fastest();
    const [own, other] = [all.get(this.#current), all.get(best)];
    if (!own || !other?.fast) return { choice: this.#current, verdict: "unsure", ratio: 1, error: Infinity };
    const ratio = own.fast / other.fast;
    const error = best === this.#current ? 0 : ratio * Math.hypot(own.error / own.fast, other.error / other.fast);
    /** @param {number} errors */
    const clear = (errors) => ratio - errors * error > 1 + CLOSE;
    const rounds = /** @type {Series} */ (this.series.get(best)).batches.length;
    const verdict = rounds < FIRST ? "unsure" : clear(SURE) ? "changed" : ratio + SURE * error <= 1 + CLOSE && this.#round >= FIRST ? "unchanged" : "unsure";
    return { choice: clear(rounds >= FIRST ? SURE / 2 : SURE) ? best : this.#current, verdict, ratio, error };
  }
}

/** @param {Map<string, {fast: number}>} all @param {string} name */
const cost = (all, name) => all.get(name)?.fast ?? Infinity;
