// @ts-check
/** The question about telemetry, asked by Fleetune itself in a page of someone else: what, to whom, for which site. */
import { element } from "./dom.js";
import { shadow } from "./embed_style.js";
import { known, sayIn } from "./i18n.js";

/**
 * What is asked, in the page's own words, and whose server and which site it is about.
 * @param {string} server @param {string} language @returns {HTMLElement[]}
 */
export function question(server, language) {
  const site = self.origin === "null" ? document.title || location.host || "this frame" : self.origin;
  const policy = element("a", { href: `${server}privacy`, target: "_blank", rel: "noopener noreferrer" }, sayIn(language, "consent.policy"));
  return [
    element("p", {}, sayIn(language, "consent.text")),
    element("p", { class: "soft" }, sayIn(language, "widget.where", { server: new URL(server).host, site }), " ", policy),
  ];
}

/** @param {string} language @returns {{label: HTMLElement, box: HTMLInputElement}} */
export function strictness(language) {
  const box = /** @type {HTMLInputElement} */ (element("input", { type: "checkbox" }));
  return { label: element("label", {}, box, sayIn(language, "consent.strict")), box };
}

/**
 * Ask in a dialog. Undefined if the visitor closes it without an answer.
 * @param {string} server @param {string} [lang] @returns {Promise<{choice: "on" | "off", strict: boolean} | undefined>}
 */
export function askConsent(server, lang) {
  const language = known(lang);
  const host = element("div", { lang: language });
  const { label, box } = strictness(language);
  const [yes, no, later] = ["consent.accept", "consent.refuse", "widget.close"].map((words) =>
    element("button", { type: "button" }, sayIn(language, words)),
  );
  const title = element("h2", { id: "title" }, sayIn(language, "consent.title"));
  const dialog = /** @type {HTMLDialogElement} */ (
    element(
      "dialog", { class: "card", "aria-labelledby": "title" }, title, ...question(server, language), label,
      element("div", { class: "actions equal" }, yes, no), element("div", { class: "actions" }, later),
    )
  );
  shadow(host).append(dialog);
  document.body.append(host);
  dialog.showModal();
  return new Promise((resolve) => {
    /** @type {{choice: "on" | "off", strict: boolean} | undefined} */
    let answer;
    /** Only the visitor's own click counts, not one that a script makes. @param {HTMLElement} button @param {"on" | "off"} choice */
    const answers = (button, choice) =>
      button.addEventListener("click", (event) => {
        if (!event.isTrusted) return;
        answer = { choice, strict: box.checked };
        dialog.close();
      });
    answers(yes, "on");
    answers(no, "off");
    later.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      host.remove();
      resolve(answer);
    });
  });
}
