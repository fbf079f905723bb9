// @ts-check
/** The live section: the push connection, and every new model with what it changed here. */
import { element, find, fill } from "./dom.js";
import { clock, kilobytes, say } from "./i18n.js";

/** @typedef {{from: number, to: number, kind?: string, bytes?: number}} Swap bytes as downloaded */

/** @param {"on" | "off" | "polling" | "connecting"} state */
export function liveState(state) {
  find("#liveDot").className = `dot ${state === "on" ? "on" : state === "off" ? "off" : ""}`;
  find("#liveState").textContent = say(`live.${state}`);
}

/** @param {string} words @param {Record<string, string | number>} values */
export function liveEntry(words, values) {
  find("#liveLog").prepend(element("li", {}, say(words, { time: clock(new Date()), ...values })));
}

/** The model's version beside its label; a change is spelled out. @param {number} version @param {number} [before] */
export function showVersion(version, before) {
  fill(find("#modelVersion"), before && before !== version ? `${before} → ${version}` : String(version));
}

/**
 * @param {Swap} swap @param {{changed: number, total: number}} change
 */
export function liveSwap(swap, change) {
  showVersion(swap.to, swap.from);
  const values = { from: swap.from, to: swap.to, ...change };
  if (swap.kind && swap.bytes !== undefined) {
    liveEntry("live.swap", { ...values, kind: swap.kind, bytes: kilobytes(swap.bytes) });
  } else {
    liveEntry("live.swapPage", values);
  }
}
