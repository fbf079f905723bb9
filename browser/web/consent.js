// @ts-check
/** The choice about telemetry: written by the page alone, judged by Python. */
import * as storage from "./storage.js";

/** @typedef {{choice: "on" | "off", revision: number, epsilon: number, perDay: number, at: number}} ConsentRecord */

const KEY = "consent";

let header = false;

/** In requests, only the server sees it. @param {any} boot */
export const heedHeader = (boot) => (header ||= boot.privacySignal);

/** Global Privacy Control: only where the browser states it. */
export function privacySignal() {
  return header || /** @type {any} */ (navigator).globalPrivacyControl === true;
}

/** @returns {Promise<ConsentRecord | undefined>} */
export async function readConsent() {
  return (await storage.get(KEY)) ?? undefined;
}

/**
 * @param {"on" | "off"} choice @param {{revision: number, strict: boolean}} terms
 * @returns {Promise<ConsentRecord>}
 */
export async function writeConsent(choice, { revision, strict }) {
  const record = { choice, revision, epsilon: strict ? 1 : 2, perDay: 1, at: Math.floor(Date.now() / 1000) };
  await storage.set(KEY, record);
  return record;
}

/**
 * What holds, and which words say so.
 * @param {ConsentRecord | undefined} record @param {number} revision the policy's
 */
export function consentState(record, revision) {
  if (privacySignal()) return { on: false, words: "consent.gpc" };
  if (!record) return { on: false, words: "consent.undecided" };
  if (record.choice === "off") return { on: false, words: "consent.off" };
  if (record.revision !== revision) return { on: false, words: "consent.revised" };
  return { on: true, words: "consent.on" };
}
