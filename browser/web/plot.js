// @ts-check
/**
 * uPlot, or null where it does not start: it formats numbers in `navigator.language`, which is no valid tag in
 * some builds (WebKitGTK in locale C.UTF-8). Tables stand behind every chart. Not waited for by the page.
 */

/** @type {Promise<typeof import("uplot") | null>} */
export const plotter = import("../vendor/uplot/uPlot.esm.js").then((module) => module.default, () => null);

/** What changes a chart's colours. */
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

/** @param {() => void} draw again: the page looks different now */
export function onNewColours(draw) {
  for (const look of LOOKS) matchMedia(look).addEventListener("change", draw);
}
