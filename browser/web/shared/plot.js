// @ts-check
/** What charts share: uPlot, colours that follow the page's, and a bar that needs no library. */
import { element } from "./dom.js";

/**
 * uPlot, or null where it does not start: it formats numbers in `navigator.language`, which is not a valid tag in some
 * builds (WebKitGTK in locale C.UTF-8). Every chart has a table behind it. The page does not wait for it.
 * @type {Promise<typeof import("uplot") | null>}
 */
export const plotter = import("../uplot/uPlot.esm.js").then((module) => module.default, () => null);

/** Media queries that change a chart's colours. */
const LOOKS = ["(prefers-color-scheme: dark)", "(forced-colors: active)"];

/** A custom property as a colour that a canvas understands, also where it names one of the system's. @param {string} name */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.setProperty("forced-color-adjust", "none");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** @param {() => void} draw called when the colours change */
export function onNewColours(draw) {
  for (const look of LOOKS) matchMedia(look).addEventListener("change", draw);
}

/** A bar filled to `share`, 0 … 1. Decoration: the text beside it says the same. @param {number} share */
export function progressBar(share) {
  const part = element("span", { class: "part" });
  part.style.setProperty("--share", String(share));
  return element("span", { class: "progress-bar", "aria-hidden": "true" }, part);
}
