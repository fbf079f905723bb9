// @ts-check
/** The choice about telemetry of the embedding page's origin. */
import { getJson } from "./get_json.js";

export class EmbedConsent {
  #server;
  #ops;
  #running;

  /** @param {string} server @param {() => Promise<any>} ops @param {() => boolean} running */
  constructor(server, ops, running) {
    this.#server = server;
    this.#ops = ops;
    this.#running = running;
  }

  async #parts() {
    const [{ belongTo }, consent] = await Promise.all([import("./storage.js"), import("./consent.js")]);
    belongTo(this.#server);
    return consent;
  }

  /** Of the server's policy. @returns {Promise<number>} */
  async #revision() {
    const boot = await getJson(`${this.#server}api/boot.json`);
    (await this.#parts()).heedHeader(boot);
    return boot.policyRevision;
  }

  /** What holds now. The server is asked only if the answer was yes. */
  async get() {
    const { readConsent, consentState } = await this.#parts();
    const record = await readConsent();
    const { on, words } = consentState(record, record?.choice === "on" ? await this.#revision() : 0);
    return { on, state: words.slice("consent.".length), epsilon: record?.epsilon ?? 2, server: this.#server };
  }

  /** Ask the visitor, in a dialog that says what would be sent and to whom. @param {{lang?: string}} [options] */
  async request({ lang } = {}) {
    const { askConsent } = await import("./consent_dialog.js");
    const answer = await askConsent(this.#server, lang);
    return answer ? this.record(answer.choice, answer.strict) : this.get();
  }

  /** Keep the choice. @param {"on" | "off"} choice @param {boolean} [strict] more noise */
  async record(choice, strict = false) {
    const { writeConsent } = await this.#parts();
    // A yes is to the policy as it stands; a no needs no server.
    await writeConsent(choice, { revision: choice === "on" ? await this.#revision() : 0, strict });
    return this.get();
  }

  /** Off at once, and what was sent and not yet aggregated removed. @returns {Promise<{removed: number, late: number}>} */
  async withdraw() {
    await this.record("off");
    const { get } = await import("./storage.js");
    // Nothing was ever sent or drafted: no Python needed to delete it.
    if (!(await get("reports")) && !this.#running()) return { removed: 0, late: 0 };
    return (await this.#ops()).withdraw();
  }
}
