// @ts-check
/** The chain of a server's roots, as fleetune/root.py and app/trust.py follow it. Loaded when nothing is known of its keys yet, or they changed. */
/** @import { RootDocument } from "./wire" @import { Storage } from "./storage" @import * as Api from "./api" */
import { lock } from "./lock.js";
import { refuse, ROOT, signers, textOf } from "./trust.js";

const MOST = 16_384; // bytes of a root
const MOST_STEPS = 1_000; // roots that are followed in one go
const LOST = "; if its operator says that they were lost, name the new ones or clear this site's data";

/** JSON as fleetune/context.py writes it for signing. @param {unknown} value */
const canonical = (value) =>
  JSON.stringify(value, (_, inner) => (inner?.constructor === Object ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner));

/** A document that is a root and follows from the one before, if there is one. @param {RootDocument} document @param {RootDocument} [before] */
async function checked(document, before) {
  const { signed: root, signatures } = document ?? {};
  const { type, version, threshold, least, expires, keys } = root ?? {};
  const whole = [version, threshold, least, expires].every((one) => Number.isSafeInteger(one) && one >= 0);
  if (type !== "root" || !whole || version < 1 || threshold < 1 || typeof keys !== "object" || typeof signatures !== "object") {
    refuse("root-form", "the server's root is not one that this page understands");
  }
  if (before && version !== before.signed.version + 1) refuse("root-skipped", `root ${version} cannot follow root ${before.signed.version}`);
  if (before && least < before.signed.least) refuse("root-rollback", "the server's root would allow older versions than the one before");
  for (const one of before ? [before.signed, root] : [root]) {
    if ((await signers(one.keys, signatures, canonical(root))) < one.threshold) refuse("root-keys", `the server shows keys that those known here have not signed${LOST}`);
  }
  return document;
}

/**
 * The root number `wanted`, reached from the known one through every root between; without one, the newest.
 * @param {string} server @param {RootDocument | undefined} known @param {number} wanted
 * @param {(typeof Api)["ask"]} ask @param {Storage} [kept] where another tab, or Python, may have kept a later one
 */
export async function followed(server, known, wanted, ask, kept) {
  const get = async (/** @type {number | string} */ name) => JSON.parse(await textOf(await ask(`${server}roots/${name}`, true), MOST));
  const release = await lock(ROOT);
  try {
    known = /** @type {RootDocument | undefined} */ (await kept?.get(ROOT)) ?? known ?? (await checked(await get("newest")));
    if (wanted - known.signed.version > MOST_STEPS) refuse("root-skipped", `the server's keys changed ${MOST_STEPS} times at once${LOST}`);
    while (known.signed.version < wanted) known = await checked(await get(known.signed.version + 1), known);
    return known;
  } finally {
    release();
  }
}
