// @ts-check
/** From measured contexts to what runs at which size, and which implementations are worth loading. */

/** @typedef {import("./measure.js").Cell} Cell */
/** @typedef {Record<string, Cell>} Sizes one pattern's contexts by size */
/** @typedef {[from: number, name: string]} Step which implementation runs from which size on */

const CLOSE = 1.03; // an implementation that is not loaded for its own sake must be this much faster than the reference
const PARTS = 4; // of an octave
const DOWN = 2; // octaves below the least size that was measured: what takes long to begin shows in smaller ones

/**
 * The choice among the usable: what was decided, else the fastest that clearly beats the reference.
 * @param {Cell} cell @param {(name: string) => boolean} usable @param {string} reference
 */
function choiceOf({ times, choice }, usable, reference) {
  if (usable(choice) && choice in times) return choice;
  const [best = reference] = Object.keys(times).filter(usable).sort((a, b) => times[a] - times[b]);
  return usable(reference) && times[best] * CLOSE >= times[reference] ? reference : best;
}

/**
 * Steps over all sizes: ln times are interpolated between the sizes that were measured, over log2 of the size.
 * @param {Sizes} sizes @param {(name: string) => boolean} usable @param {string} reference @param {number} [least] size that is to be measured @returns {Step[]}
 */
export function stepsOf(sizes, usable, reference, least = Infinity) {
  const names = [...new Set(Object.values(sizes).flatMap(({ times }) => Object.keys(times).filter(usable)))];
  if (!names.length) names.push(reference);
  // A context in which some were not timed knows less than its neighbours, if they know more.
  const whole = Object.entries(sizes).filter(([, { times }]) => names.every((name) => name in times));
  const points = (whole.length ? whole : Object.entries(sizes))
    .map(([size, cell]) => ({ at: Math.log2(Math.max(Number(size), 1)), times: cell.times, choice: choiceOf(cell, usable, reference) }))
    .sort((a, b) => a.at - b.at);
  /** @type {Step[]} */
  const steps = [];
  /** @param {number} from @param {string} name */
  const add = (from, name) => steps.at(-1)?.[1] !== name && steps.push([from, name]);
  const far = points.length > 0 && points[0].at > Math.log2(Math.max(least, 1)) + DOWN;
  add(0, far ? reference : points[0]?.choice ?? reference);
  if (far) add(Math.ceil(2 ** (points[0].at - DOWN)), points[0].choice);
  for (let i = 0; i + 1 < points.length; i++) {
    const [left, right] = [points[i], points[i + 1]];
    const costs = names.map((name) => ({ name, from: cost(left, right, name, reference), to: cost(right, left, name, reference) }));
    for (let k = 1; k <= Math.max(1, PARTS * (right.at - left.at)); k++) {
      const at = Math.min(left.at + k / PARTS, right.at);
      const share = (at - left.at) / (right.at - left.at);
      const best = costs.map(({ name, from, to }) => ({ name, ln: from + share * (to - from) })).reduce((a, b) => (b.ln < a.ln ? b : a));
      if (at === right.at) add(Math.ceil(2 ** at), right.choice);
      else add(Math.ceil(2 ** (at - 0.5 / PARTS)), best.name);
    }
  }
  return steps;
}

/**
 * ln time at a measured size. None is below the choice's, for it was chosen; one that was not timed here is as far from the reference as over there.
 * @param {{times: Record<string, number>, choice: string}} here @param {{times: Record<string, number>}} there @param {string} name @param {string} reference
 */
function cost(here, there, name, reference) {
  const time = here.times[name] ?? (there.times[name] / there.times[reference]) * here.times[reference];
  return Math.log(name === here.choice ? time : Math.max(time, here.times[here.choice] * 1.0001));
}

/**
 * The implementations whose loading pays back within so many calls: added one by one while the whole gets cheaper. The reference is one
 * of them, unless it is loaded already.
 * @param {Sizes[]} patterns @param {Record<string, {ms: number}>} loads @param {number} calls over all contexts, alike
 * @param {(name: string) => boolean} usable @param {string} reference @returns {string[]}
 */
export function worthLoading(patterns, loads, calls, usable, reference) {
  const cells = patterns.flatMap((sizes) => Object.values(sizes));
  /** @param {string[]} names */
  const total = (names) => {
    const left = (/** @type {string} */ name) => names.includes(name);
    const running = cells.reduce((sum, cell) => {
      const name = choiceOf(cell, left, reference);
      return sum + (left(name) ? cell.times[name] : Infinity);
    }, 0);
    return names.reduce((sum, name) => sum + (loads[name]?.ms ?? 0), cells.length ? (running * calls) / cells.length : 0);
  };
  let kept = loads[reference]?.ms ? [] : [reference];
  for (;;) {
    const others = Object.keys(loads).filter((name) => usable(name) && !kept.includes(name));
    const next = others.map((name) => [...kept, name]).reduce((a, b) => (total(b) < total(a) ? b : a), kept);
    if (next === kept) return kept;
    kept = next;
  }
}

/**
 * What runs for a size, and why, from the nearest context that was measured.
 * @param {import("./implementations.js").Implementation[]} implementations the first is the reference @param {string} implementation that runs
 * @param {Sizes} sizes @param {number} size @returns {import("./fleetune.d.ts").ChoiceExplanation}
 */
export function explained(implementations, implementation, sizes, size) {
  const setAside = Object.fromEntries(implementations.filter(({ reason }) => reason !== undefined).map(({ name, reason = "" }) => [name, reason]));
  const apart = (/** @type {string} */ other) => Math.abs(Math.log2((1 + Number(other)) / (1 + size)));
  const [near] = Object.keys(sizes).sort((a, b) => apart(a) - apart(b));
  if (near === undefined) return { implementation, source: "default", verdict: "unsure", times: {}, setAside, why: `Nothing was measured yet, so the reference ${implementation} runs.` };
  const [reference, { times, verdict }] = [implementations[0].name, sizes[near]];
  if (verdict === "guessed") {
    const why = `Not measured here yet; browsers like this one say that for size ${near} ${implementation} is ${(times[reference] / times[implementation]).toFixed(1)}× as fast as ${reference}.`;
    return { implementation, source: "predicted", verdict, times, setAside, why };
  }
  const what = implementation === reference ? "nothing that was timed is clearly faster" : `${(times[reference] / times[implementation]).toFixed(1)}× as fast as ${reference}`;
  return { implementation, source: "measured", verdict, times, setAside, why: `Measured here for size ${near}: ${implementation} takes ${times[implementation]?.toPrecision(3)} ms, ${what}.` };
}
