// @ts-check
/**
 * uPlot, or null where it does not start: it formats numbers in `navigator.language`, which is no valid tag in
 * some builds (WebKitGTK in locale C.UTF-8). Tables stand behind every chart. Not waited for by the page.
 */

/** @type {Promise<typeof import("uplot") | null>} */
export const plotter = import("../vendor/uplot/uPlot.esm.js").then((module) => module.default, () => null);
