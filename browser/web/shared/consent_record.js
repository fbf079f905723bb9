// @ts-check
/** The visitor's choice about telemetry: the page writes it, Python obeys it. */
/** @import { Storage } from "./storage.js" */
import * as storage from "./storage.js";

/** @typedef {{choice: "on" | "off", revision: number, epsilon: number, perDay: number, at: number}} ConsentRecord */

const KEY = "consent";

let headerSeen = false;

/** Note whether the server saw `Sec-GPC`, which a page cannot see. @param {boolean} seen */
export function noteSignal(seen) {
  headerSeen ||= seen;
}

/** Global Privacy Control. */
export function privacySignal() {
  return headerSeen || /** @type {any} */ (globalThis.navigator)?.globalPrivacyControl === true;
}

/** @param {Storage} [kept] @returns {Promise<ConsentRecord | undefined>} */
export async function readConsent(kept = storage) {
  return /** @type {ConsentRecord | undefined} */ (await kept.get(KEY));
}

/**
 * @param {"on" | "off"} choice @param {{revision: number, strict: boolean}} terms @param {Storage} [kept]
 * @returns {Promise<ConsentRecord>}
 */
export async function writeConsent(choice, { revision, strict }, kept = storage) {
  const record = { choice, revision, epsilon: strict ? 1 : 2, perDay: 1, at: Math.floor(Date.now() / 1000) };
  await kept.set(KEY, record);
  return record;
}

/**
 * Whether telemetry is on, and the key of the words that say why.
 * @param {ConsentRecord | undefined} record @param {number} revision the policy's
 */
export function consentState(record, revision) {
  if (privacySignal()) return { on: false, words: "consent.gpc" };
  if (!record) return { on: false, words: "consent.undecided" };
  if (record.choice === "off") return { on: false, words: "consent.off" };
  // As in consent.py
  if (record.choice !== "on" || ![1, 2].includes(record.epsilon) || !(record.perDay >= 1)) return { on: false, words: "consent.malformed" };
  if (record.revision !== revision) return { on: false, words: "consent.revised" };
  return { on: true, words: "consent.on" };
}
