// @ts-check
import { element } from "./dom.js";

/** A bar that is filled up to a share; what it says stands beside it in words. @param {number} share */
export function track(share) {
  const part = element("span", { class: "part" });
  part.style.setProperty("--share", String(share));
  return element("span", { class: "track", "aria-hidden": "true" }, part);
}
