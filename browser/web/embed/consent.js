// @ts-check
/** The visitor's choice about telemetry on the embedding page's origin (fleetune.d.ts). */
/** @import { PythonOperations, Remote } from "../shared/operations" @import { Boot } from "../shared/wire" */
import { getJson } from "../shared/api.js";

export class EmbedConsent {
  #server;
  #ops;
  #running;

  /** @param {string} server @param {() => Promise<Remote<PythonOperations>>} ops @param {() => boolean} running */
  constructor(server, ops, running) {
    this.#server = server;
    this.#ops = ops;
    this.#running = running;
  }

  async #parts() {
    const [{ storageOf }, record] = await Promise.all([import("../shared/storage.js"), import("../shared/consent_record.js")]);
    return { ...record, kept: storageOf(this.#server) };
  }

  async #revision() {
    const boot = /** @type {Boot} */ (await getJson(`${this.#server}api/boot.json`));
    (await this.#parts()).noteSignal(boot.privacySignal);
    return boot.policyRevision;
  }

  /** The current choice; the server is asked only after a yes. */
  async get() {
    const { readConsent, consentState, kept } = await this.#parts();
    const record = await readConsent(kept);
    const { on, words } = consentState(record, record?.choice === "on" ? await this.#revision() : 0);
    return { on, state: words.slice("consent.".length), epsilon: record?.epsilon ?? 2, server: this.#server };
  }

  /** @param {{lang?: string}} [options] */
  async request({ lang } = {}) {
    const { askConsent } = await import("./consent_dialog.js");
    const answer = await askConsent(this.#server, lang);
    return answer ? this.record(answer.choice, answer.strict) : this.get();
  }

  /** @param {"on" | "off"} choice */
  async record(choice, strict = false) {
    if (choice === "on" && globalThis.navigator?.userActivation?.isActive === false) throw new Error("consent needs the visitor's click");
    const { writeConsent, kept } = await this.#parts();
    await writeConsent(choice, { revision: choice === "on" ? await this.#revision() : 0, strict }, kept);
    return this.get();
  }

  async withdraw() {
    await this.record("off");
    const { kept } = await this.#parts();
    // Without reports there is nothing to delete, so Python is not started.
    if (!(await kept.get("reports")) && !this.#running()) return { removed: 0, late: 0 };
    return (await this.#ops()).withdraw();
  }
}
