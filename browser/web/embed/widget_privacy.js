// @ts-check
/** The widget's part about telemetry: the question, the current choice, the exact packet, sending and withdrawing. */
import { question, strictness } from "./consent_dialog.js";
import { element } from "../shared/dom.js";
import { count, sayIn } from "../shared/i18n.js";

/** @import { Tuner } from "./fleetune" */

export class WidgetPrivacy {
  #tuner;
  #language;
  #state = element("p", { class: "status", role: "status" });
  #hint = element("p", { class: "soft" });
  #packet = element("pre", { tabindex: "0", role: "region" });
  #answer = element("p", { class: "status", role: "status" });
  #send;
  #accept;

  /** @param {Tuner} tuner @param {string} language */
  constructor(tuner, language) {
    this.#tuner = tuner;
    this.#language = language;
    const [accept, refuse, send, withdraw] = ["consent.accept", "consent.refuse", "packet.send", "withdraw.button"].map(
      (words) => /** @type {HTMLButtonElement} */ (element("button", { type: "button" }, sayIn(language, words))),
    );
    const { label, box } = strictness(language);
    this.#send = send;
    this.#accept = accept;
    this.#packet.setAttribute("aria-label", sayIn(language, "packet.label"));
    this.#packet.hidden = send.disabled = true;
    this.element = element(
      "details", {}, element("summary", {}, sayIn(language, "privacy.title")),
      element("h3", {}, sayIn(language, "consent.title")), ...question(tuner.server, language), this.#state, label,
      element("div", { class: "actions equal" }, accept, refuse),
      element("h3", {}, sayIn(language, "packet.title")), this.#hint, this.#packet,
      element("div", { class: "actions" }, send, withdraw), this.#answer,
    );
    this.#hint.textContent = sayIn(language, "packet.hint");
    // Storage is read only when the visitor opens this part.
    this.element.addEventListener("toggle", () => /** @type {HTMLDetailsElement} */ (this.element).open && this.refresh());
    accept.addEventListener("click", (event) => event.isTrusted && this.#choose("on", box.checked));
    refuse.addEventListener("click", () => this.#choose("off", box.checked));
    send.addEventListener("click", () => this.#sendIt());
    withdraw.addEventListener("click", () => this.#withdraw());
  }

  /** @param {string} key @param {Record<string, string | number>} [values] */
  #say = (key, values) => sayIn(this.#language, key, values);

  /** @param {"on" | "off"} choice @param {boolean} strict */
  async #choose(choice, strict) {
    try {
      await this.#tuner.consent.record(choice, strict);
      await this.refresh();
    } catch (error) {
      this.#state.textContent = /** @type {Error} */ (error).message;
    }
  }

  /** Show the current choice, and the packet if Python is running; it is not started for that. */
  async refresh() {
    const { on, state, epsilon } = await this.#tuner.consent.get();
    const { storageOf } = await import("../shared/storage.js");
    const kept = (await storageOf(this.#tuner.server).persistent()) ? "" : ` ${this.#say("consent.blocked")}`;
    this.#state.textContent = this.#say(`consent.${state}`, { epsilon: count(epsilon) }) + kept;
    this.#accept.disabled = state === "gpc";
    const { text, kept: waits, reason } = on && this.#tuner.running ? await this.#tuner.preview() : { text: null, kept: false, reason: null };
    this.#packet.hidden = !text;
    this.#send.disabled = !text;
    this.#packet.textContent = text ?? ""; // exactly the bytes that are sent
    if (text) this.#hint.textContent = this.#say(waits ? "packet.kept" : "packet.ready");
    else if (!on) this.#hint.textContent = this.#say("packet.needConsent");
    else if (reason?.code === "budget") this.#hint.textContent = this.#say("packet.spent");
    else this.#hint.textContent = this.#say("packet.hint");
  }

  async #sendIt() {
    this.#send.disabled = true;
    this.#answer.textContent = this.#say("packet.sending");
    try {
      const sent = await this.#tuner.send({ lang: this.#language, shown: this.#packet.textContent ?? "" });
      this.#answer.textContent = sent ? this.#say(sent.ok ? "packet.accepted" : "packet.refused", { status: sent.status, answer: sent.body }) : "";
    } catch (error) {
      this.#answer.textContent = this.#say("packet.failed", { message: /** @type {Error} */ (error).message });
    }
    await this.refresh();
  }

  async #withdraw() {
    try {
      const { removed, late } = await this.#tuner.consent.withdraw();
      this.#answer.textContent = this.#say(removed || late ? "withdraw.done" : "withdraw.nothing", { removed, late });
    } catch (error) {
      this.#answer.textContent = this.#say("withdraw.failed", { message: /** @type {Error} */ (error).message });
    }
    await this.refresh();
  }
}
