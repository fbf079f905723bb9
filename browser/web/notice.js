// @ts-check
import { element, find } from "./dom.js";

/**
 * A line in the page's notices, once per text.
 * @param {string} text @param {"good" | "bad" | "warn"} [kind] @returns {() => void} takes it away with its cause
 */
export function notice(text, kind = "warn") {
  const host = find("#notices");
  const known = [...host.children].find((child) => child.textContent === text);
  const line = known ?? element("p", { class: `notice ${kind}` }, text);
  if (!known) host.append(line);
  return () => line.remove();
}
