// @ts-check
/** The card with the result of a run, and the ways to take it along: as a table, a picture or a link. */
/** @import { Shared } from "./result_link" @import { View } from "./view" */
import { copyText, element, fill, find } from "../shared/dom.js";
import { environment } from "./first.js";
import { exported, figures, outcome, outcomeWords } from "./outcome.js";
import { linkOf } from "./result_link.js";
import { picture } from "./result_picture.js";
import { say } from "../shared/i18n.js";

/** @param {string} text @param {string} type @param {string} name of the file */
function download(text, type, name) {
  const href = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // some browsers start the download late
}

/** The result's place on the page; call the returned function after every change. @param {View} view */
export function outcomeSection(view) {
  const section = find("#outcome");
  const linked = find("#resultLink");
  find("#saveJson").addEventListener("click", () => download(exported(view.measuredRows(), "json"), "application/json", "fleetune-result.json"));
  find("#saveCsv").addEventListener("click", () => download(exported(view.measuredRows(), "csv"), "text/csv", "fleetune-result.csv"));
  find("#savePicture").addEventListener("click", () => download(picture(current()), "image/svg+xml", "fleetune-result.svg"));
  find("#copyLink").addEventListener("click", async () => {
    const address = new URL(linkOf(current()), location.href).href;
    const copied = await copyText(address);
    fill(linked, `${say(copied ? "share.copied" : "share.link")} `, element("a", { href: address }, say("share.open")));
  });

  /** @returns {Shared} */
  function current() {
    const rows = view.measuredRows().filter(({ headline }) => headline);
    return { figures: figures(rows), contexts: rows.length, browser: environment.browser, version: environment.version };
  }

  /** @returns {string} the sentence; empty while nothing is measured */
  function show() {
    const now = current();
    const found = outcome(now.figures, now.contexts);
    section.hidden = !found;
    fill(linked); // it was of what was measured before, or in another language
    if (!found) return "";
    const words = outcomeWords(found);
    find("#outcomeSpeedup").textContent = words.speedup;
    find("#outcomeInterval").textContent = words.interval;
    find("#outcomeSentence").textContent = words.sentence;
    return say("outcome.said", words);
  }
  return {
    show,
    /** Take the screen; and the focus, where the button that had it is gone. */
    present() {
      section.scrollIntoView({ block: "start" });
      const focused = document.activeElement;
      if (focused === document.body || focused?.matches(":disabled")) find("#outcome-title").focus({ preventScroll: true });
    },
  };
}
