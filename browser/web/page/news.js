// @ts-check
/** What a new model changed here, in words. One that changes no choice is no news. */
import { element } from "../shared/dom.js";
import { breakable } from "../shared/glossary.js";
import { count, kilobytes, say, times } from "../shared/i18n.js";
import { liveEntry, showVersion } from "./live.js";
import { patternName } from "./results.js";

/** @import { ChoiceChange } from "./view" */
/** @typedef {{from: number, to: number, kind?: string, bytes?: number}} Swap bytes as downloaded */

const LISTED = 5; // changed choices that are named, those that make the greatest difference

/** Say what a swapped model changed. @param {Swap} swap @param {{changes: ChoiceChange[], total: number}} news */
export function liveSwap(swap, { changes, total }) {
  showVersion(swap.to, swap.from);
  if (!changes.length) return;
  const values = { from: swap.from, to: swap.to, changed: changes.length, total };
  const more = element("ul", {}, ...changed(changes).map((words) => element("li", {}, ...breakable(words))));
  if (swap.kind && swap.bytes !== undefined) {
    liveEntry("live.swap", { ...values, kind: swap.kind, bytes: kilobytes(swap.bytes) }, more);
  } else {
    liveEntry("live.swapPage", values, more);
  }
}

/** Which choices changed, and by how much where that is known. @param {ChoiceChange[]} changes */
export function changed(changes) {
  /** @param {ChoiceChange} change */
  const difference = ({ gain = 1 }) => Math.abs(Math.log(gain));
  const greatest = [...changes].sort((a, b) => difference(b) - difference(a)).slice(0, LISTED);
  const lines = greatest.map(({ kernel, pattern, size, from, to, gain, measured }) =>
    say(gain === undefined ? "live.changed" : measured ? "live.changedMeasured" : "live.changedPredicted", {
      kernel, from, to, size: count(size), pattern: patternName(pattern), gain: times(gain ?? 1),
    }),
  );
  return changes.length > LISTED ? [...lines, say("live.changedMore", { count: count(changes.length - LISTED) })] : lines;
}
