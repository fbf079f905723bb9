// @ts-check
/** The result of another browser, when the page is opened by a link that holds one. */
import { element, fill, find, notice } from "../shared/dom.js";
import { say, times } from "../shared/i18n.js";
import { browserName, outcome, outcomeWords } from "./outcome.js";
import { resultIn } from "./result_link.js";

/** Shows what the address holds now and later; call the returned function to say it again in another language. */
export function sharedResult() {
  const section = find("#shared");
  let removeNotice = () => {};

  function show() {
    removeNotice();
    const result = resultIn(location.hash);
    const found = result && typeof result === "object" ? outcome(result.figures, result.contexts) : null;
    section.hidden = !found;
    if (typeof result === "string") removeNotice = notice(say(`share.${result}`), "bad");
    if (!found || !result || typeof result === "string") return;
    const words = outcomeWords(found);
    find("#sharedTitle").textContent = say("share.title", { browser: browserName(result.browser, result.version) });
    find("#sharedSpeedup").textContent = words.speedup;
    find("#sharedInterval").textContent = words.interval;
    find("#sharedSentence").textContent = words.sentence;
    const sorted = [...result.figures].sort((a, b) => b.speedup - a.speedup);
    fill(
      find("#sharedTable tbody"),
      ...sorted.map(({ name, speedup, gain }) =>
        element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, times(speedup)), element("td", {}, gain ? times(gain) : "–")),
      ),
    );
  }
  addEventListener("hashchange", show);
  show();
  return show;
}
