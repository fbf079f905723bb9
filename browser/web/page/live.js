// @ts-check
/** The live section: the connection to the server, and what is news. */
import { element, find, fill } from "../shared/dom.js";
import { clock, say, tell } from "../shared/i18n.js";

/** @param {"on" | "off" | "polling" | "connecting"} state */
export function liveState(state) {
  find("#liveDot").className = `dot ${state === "on" ? "on" : state === "off" ? "off" : ""}`;
  tell(find("#liveState"), `live.${state}`);
}

/** @param {string} words @param {Record<string, string | number>} values @param {Node[]} more */
export function liveEntry(words, values, ...more) {
  find("#liveLog").prepend(element("li", {}, say(words, { time: clock(new Date()), ...values }), ...more));
}

/** Show the model's version; after a change, both. @param {number} version @param {number} [before] */
export function showVersion(version, before) {
  fill(find("#modelVersion"), before && before !== version ? `${before} → ${version}` : String(version));
}
