// @ts-check
/**
 * What this browser keeps about telemetry, as one value: read from the store, so it is right before Python runs, after a
 * reload and in every tab. Each sentence of the page about it comes from `statements`. Python writes what is read here
 * (fleetune/app/ledger.py, outbox.py, rate.py); what does not fit is left out and counted in `dropped`.
 */
/** @import { ConsentRecord } from "../shared/consent_record" @import { SentAnswer, SentReport } from "../shared/operations" */
import { consentState } from "../shared/consent_record.js";
import * as storage from "../shared/storage.js";

/** @typedef {{spent: number, cap: number, today: number, perDay: number, full: boolean}} Spent ε of the last 30 days, reports of today */
/**
 * @typedef {object} PrivacyState
 * @property {ConsentRecord | undefined} consent
 * @property {Spent | null} budget null if it cannot be read: then nothing is sent
 * @property {Spent | null} answersBudget
 * @property {SentReport[]} sent newest first
 * @property {string | null} kept the bytes of a packet that is paid for and not yet acknowledged
 * @property {SentAnswer[]} answers newest first
 * @property {boolean} measured whether there are measurements to report on
 * @property {number} dropped stored entries that could not be read
 */
/** @typedef {[key: string, values?: Record<string, string | number>]} Words for `say` */

const DAY = 86_400; // s
const WINDOW_DAYS = 30;
export const KEYS = ["consent", "ledger", "reports", "answers", "feedbackLedger", "measurements"];
const FATES = ["sending", "sent", "refused", "stopped", "withdrawn", "late", "dropped"];

/** @param {unknown} value @returns {Record<string, unknown>} without fields if it is no object */
const fieldsOf = (value) => (typeof value === "object" && value && !Array.isArray(value) ? /** @type {Record<string, unknown>} */ (value) : {});

/** @param {unknown} value @param {Record<string, "string" | "number" | "boolean">} shape */
function fits(value, shape) {
  const fields = fieldsOf(value);
  return Object.entries(shape).every(([name, type]) => typeof fields[name] === type);
}

/**
 * As `Ledger.budget` counts it: days never run backwards.
 * @param {unknown} stored @param {number} now Unix time, s @param {{cap: number, epsilon: number}} terms @returns {Spent | null}
 */
function spent(stored, now, { cap, epsilon }) {
  const perDay = 1;
  const today = Math.floor(now / DAY);
  if (stored === undefined || stored === null) return { spent: 0, cap, today: 0, perDay, full: false };
  const { day: latest, spent: entries } = fieldsOf(stored);
  if (typeof latest !== "number" || !Array.isArray(entries)) return null;
  if (!entries.every((entry) => Array.isArray(entry) && entry.length === 2 && entry.every(Number.isFinite))) return null;
  const day = Math.max(today, latest);
  const within = /** @type {[number, number][]} */ (entries).filter(([at]) => at > day - WINDOW_DAYS);
  const sum = within.reduce((total, [, one]) => total + one, 0);
  return { spent: sum, cap, today: within.filter(([at]) => at === day).length, perDay, full: sum + epsilon > cap };
}

/** @template T @param {unknown} list @param {(one: unknown) => boolean} fit @returns {{good: T[], bad: number}} newest first */
function entries(list, fit) {
  if (list === undefined || list === null) return { good: [], bad: 0 };
  if (!Array.isArray(list)) return { good: [], bad: 1 };
  const good = list.filter(fit);
  return { good: good.reverse(), bad: list.length - good.length };
}

/** @param {unknown} one */
const isReport = (one) =>
  fits(one, { nonce: "string", day: "string", kernel: "string", candidate: "string", value: "number", epsilon: "number", state: "string", text: "string" }) &&
  FATES.includes(String(fieldsOf(one).state));

/** @param {unknown} one */
const isAnswer = (one) => fits(one, { nonce: "string", day: "string", good: "boolean", state: "string", text: "string" });

/** What stored values mean. @param {Record<string, unknown>} stored by key @param {number} now Unix time, s @returns {PrivacyState} */
export function understand(stored, now) {
  const consent = /** @type {ConsentRecord | undefined} */ (stored.consent ?? undefined);
  const reports = fieldsOf(stored.reports);
  const history = /** @type {{good: SentReport[], bad: number}} */ (entries(reports.history, isReport));
  const answers = /** @type {{good: SentAnswer[], bad: number}} */ (entries(stored.answers, isAnswer));
  const waiting = fieldsOf(fieldsOf(reports.waiting).packet).nonce;
  const kept = history.good.find(({ nonce }) => nonce === waiting)?.text ?? null;
  const unread = stored.reports && Object.keys(reports).length === 0 ? 1 : 0;
  return {
    consent,
    budget: spent(stored.ledger, now, { cap: 60, epsilon: fieldsOf(consent).epsilon === 1 ? 1 : 2 }),
    answersBudget: spent(stored.feedbackLedger, now, { cap: 10, epsilon: 1 }),
    sent: history.good,
    kept,
    answers: answers.good,
    measured: Array.isArray(fieldsOf(stored.measurements).cells) && /** @type {unknown[]} */ (fieldsOf(stored.measurements).cells).length > 0,
    dropped: history.bad + answers.bad + unread,
  };
}

/** The state as stored this moment. */
export async function readPrivacy() {
  const values = await Promise.all(KEYS.map((key) => storage.get(key)));
  return understand(Object.fromEntries(KEYS.map((key, i) => [key, values[i]])), Date.now() / 1000);
}

/**
 * Every sentence about the state, as keys of words.
 * @param {PrivacyState} state @param {number | null | undefined} revision the policy's; undefined until the server answers, null if it does not
 * @returns {{on: boolean, consent: Words, packet: Words, budget: Words, answersBudget: Words, withdrawal: Words}}
 */
export function statements(state, revision) {
  const { on, words } = consentState(state.consent, revision ?? 0);
  const asked = revision === null ? "consent.unknown" : "consent.checking";
  const removed = state.sent.filter((one) => one.state === "withdrawn").length;
  const late = state.sent.filter((one) => one.state === "late").length;
  return {
    on,
    consent: [words === "consent.revised" && typeof revision !== "number" ? asked : words, { epsilon: state.consent?.epsilon ?? 2 }],
    packet: packetWords(state, on),
    budget: budgetWords("budget.text", state.budget),
    answersBudget: budgetWords("satisfaction.budget", state.answersBudget),
    withdrawal: removed || late ? ["withdraw.done", { removed, late }] : ["withdraw.nothing"],
  };
}

/** @param {string} key @param {Spent | null} budget @returns {Words} */
function budgetWords(key, budget) {
  if (!budget) return ["budget.unreadable"];
  return budget.spent || key !== "budget.text" ? [key, { spent: budget.spent, cap: budget.cap, today: budget.today, perDay: budget.perDay }] : ["budget.empty"];
}

/** @param {PrivacyState} state @param {boolean} on @returns {Words} */
function packetWords({ budget, kept, measured }, on) {
  if (!on) return ["packet.needConsent"];
  if (kept !== null) return ["packet.kept"];
  if (!budget) return ["budget.unreadable"];
  if (budget.today >= budget.perDay) return ["packet.spent"];
  if (budget.full) return ["packet.full"];
  return [measured ? "packet.prepare" : "packet.hint"];
}
