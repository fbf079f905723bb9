// @ts-check
/** The questions about telemetry in someone else's page: what may be sent, to whom, for which site; and this packet. */
/** @import { PythonOperations, Remote } from "../shared/operations" @import { SendOptions } from "./fleetune" */
import { element } from "../shared/dom.js";
import { shadow } from "./style.js";
import { known, sayIn } from "../shared/i18n.js";

/**
 * The question, in the words of Fleetune's own page, with the server and the site that it is about.
 * @param {string} server @param {string} language @returns {HTMLElement[]}
 */
export function question(server, language) {
  const site = self.origin === "null" ? document.title || location.host || "this frame" : self.origin;
  const policy = element("a", { href: `${server}privacy`, target: "_blank", rel: "noopener noreferrer" }, sayIn(language, "consent.policy"));
  return [
    element("p", {}, sayIn(language, "widget.consent")),
    element("p", { class: "soft" }, sayIn(language, "widget.where", { server: new URL(server).host, site }), " ", policy),
  ];
}

/** @param {string} language @returns {{label: HTMLElement, box: HTMLInputElement}} */
export function strictness(language) {
  const box = /** @type {HTMLInputElement} */ (element("input", { type: "checkbox" }));
  return { label: element("label", {}, box, sayIn(language, "consent.strict")), box };
}

/**
 * Ask in a dialog. Only the visitor's own click counts, not one that a script makes.
 * @template T
 * @param {string} language @param {string} title key of its words @param {HTMLElement[]} content
 * @param {[words: string, answer: () => T][]} answers what each button stands for when it is pressed
 * @returns {Promise<T | undefined>} undefined if the visitor closes it without an answer
 */
function ask(language, title, content, answers) {
  const host = element("div", { lang: language });
  const buttons = answers.map(([words]) => element("button", { type: "button" }, sayIn(language, words)));
  const later = element("button", { type: "button" }, sayIn(language, "widget.close"));
  const dialog = /** @type {HTMLDialogElement} */ (
    element(
      "dialog", { class: "card", "aria-labelledby": "title" }, element("h2", { id: "title" }, sayIn(language, title)), ...content,
      element("div", { class: "actions equal" }, ...buttons), element("div", { class: "actions" }, later),
    )
  );
  shadow(host).append(dialog);
  document.body.append(host);
  dialog.showModal();
  return new Promise((resolve) => {
    /** @type {T | undefined} */
    let given;
    buttons.forEach((button, i) =>
      button.addEventListener("click", (event) => {
        if (!event.isTrusted) return;
        given = answers[i][1]();
        dialog.close();
      }),
    );
    later.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      host.remove();
      resolve(given);
    });
  });
}

/** Ask for consent. @param {string} server @param {string} [lang] */
export async function askConsent(server, lang) {
  if (!globalThis.document) throw new Error("Fleetune: only a page can ask; elsewhere, record() what its visitor chose");
  const language = known(lang);
  const { label, box } = strictness(language);
  /** @type {(choice: "on" | "off") => () => {choice: "on" | "off", strict: boolean}} */
  const answer = (choice) => () => ({ choice, strict: box.checked });
  return ask(language, "consent.title", [...question(server, language), label], [["consent.accept", answer("on")], ["consent.refuse", answer("off")]]);
}

/**
 * Show the visitor the packet to the last byte, unless its text is what the page has `shown`, and send it once they press Send.
 * @param {Remote<PythonOperations>} ops @param {SendOptions} [options]
 * @returns {Promise<{ok: boolean, status: number, body: string} | undefined>} undefined if they do not
 */
export async function sendSeen(ops, { lang, shown } = {}) {
  const { text, kept, reason } = await ops.preview();
  if (text === null) throw new Error(reason.message);
  if (text !== shown) {
    if (typeof document === "undefined") throw new Error("a worker cannot show the packet: give the text that your page has `shown`");
    const language = known(lang);
    const packet = element("pre", { tabindex: "0", role: "region", "aria-label": sayIn(language, "packet.label") }, text);
    const hint = element("p", { class: "soft" }, sayIn(language, kept ? "packet.kept" : "packet.ready"));
    if (!(await ask(language, "packet.title", [hint, packet], [["packet.send", () => true]]))) return;
  }
  return ops.send();
}
