// @ts-check
/**
 * Takes from a server only what its keys have signed: decisions, and by the digests in them what a kernel is called with. Loaded
 * by pages whose copy of this client did not come from that server (npm), or that name its `keys`. What is remembered of the
 * keys is what Python remembers (app/trust.py).
 */
/** @import { EmbedScript, RootDocument, Sealed, Way } from "./wire" @import * as Api from "./api" */
import { readAtMost } from "./read_at_most.js";
import { scriptUrl } from "./script_url.js";
import { isSigned } from "./signature.js";
import { storageOf } from "./storage.js";

/** @typedef {{version: number, at: number}} Seen the newest version that this server gave to all, and when it was new here */

export const ROOT = "root"; // in storage, and the lock's name: Python's
const SEEN = "decisions";
const SIGNATURE = ',"signature":'; // the last field, which signs the text before it
const MOST = 4 << 20; // bytes of an answer
const SPREAD_MS = 3_600_000; // a version that is known for so long is known to every replica

/** What a server sent and must not be believed. `code` is one of `Refusal`, the message is for people. */
class TrustError extends Error {
  name = "TrustError";

  /** @param {import("../embed/fleetune").Refusal} code @param {string} why */
  constructor(code, why) {
    super(`Fleetune: ${why}`);
    this.code = code;
  }
}

/** @param {import("../embed/fleetune").Refusal} code @param {string} why @returns {never} */
export const refuse = (code, why) => {
  throw new TrustError(code, why);
};

/** Says of a file that its digest is another, or that it did not come: browsers do not tell which. @param {string} url @returns {never} */
export const unlike = (url) => refuse("hash", `${url} did not come as it was signed`);

/** @param {Response} response @param {number} most bytes */
export const textOf = async (response, most) => new TextDecoder().decode(await readAtMost(response, most));

/** @param {string} base64 @returns {Uint8Array<ArrayBuffer>} of no length if it is not base64 */
function decoded(base64) {
  try {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

/** How many of these keys have signed; none counts if one of them is wrong. @param {Record<string, string>} keys @param {Record<string, string>} signatures @param {string} text */
export async function signers(keys, signatures, text) {
  const names = Object.keys(keys).filter((name) => Object.hasOwn(signatures, name));
  const message = new TextEncoder().encode(text);
  const good = await Promise.all(names.map((name) => isSigned(decoded(keys[name]), decoded(signatures[name]), message)));
  return good.every(Boolean) ? good.length : 0;
}

/** Resolves once the module at this address is the document's, as it was signed. @param {string} url @param {string} integrity @returns {Promise<unknown>} */
function loaded(url, integrity) {
  const script = document.createElement("script");
  const nonce = /** @type {HTMLElement | null} */ (document.querySelector("script[nonce]"))?.nonce ?? "";
  Object.assign(script, { type: "module", crossOrigin: "anonymous", referrerPolicy: "no-referrer", integrity, nonce });
  const done = new Promise((resolve, reject) => Object.assign(script, { onload: resolve, onerror: reject }));
  script.src = scriptUrl(url);
  document.documentElement.append(script);
  return done.catch(() => unlike(url)).finally(() => script.remove());
}

/**
 * @param {string} server its address @param {RootDocument | undefined} given the root that the page was built with; else that of an
 * earlier visit, else the first one that comes @param {(typeof Api)["ask"]} ask @returns {Way}
 */
export function trusted(server, given, ask) {
  const kept = storageOf(server);
  /** @type {RootDocument | undefined} the newest one that was followed */
  let known = given;
  /** @type {Seen | undefined} */
  let seen;
  /** @type {Promise<unknown> | undefined} */
  let recalling;
  /** Where decisions were asked for last. */
  let engine = "";
  /** Where a kernel's files are, and what they must be. @type {Map<string, Sealed>} */
  const places = new Map();

  async function recall() {
    seen = /** @type {Seen | undefined} */ (await kept.get(SEEN));
    known ??= /** @type {RootDocument | undefined} */ (await kept.get(ROOT));
    if (known && known.signed?.type !== "root") refuse("root-form", "`keys`, or what was kept of them, is not what a server answers at roots/newest");
  }

  /** For later visits, if anything is kept of this visitor. @param {string} key @param {unknown} value */
  async function keep(key, value) {
    if (await kept.exists()) await kept.set(key, value).catch(() => {}); // full or refused: then this tab knows it
  }

  /** @param {number} wanted */
  async function follow(wanted) {
    known = await (await import("./roots.js")).followed(server, known, wanted, ask, given ? undefined : kept);
    await keep(ROOT, known);
    return known.signed;
  }

  /** The answer in a text that the server's keys have signed. @param {string} text @param {string} url @param {boolean} late it is the cache's, since the server is away */
  async function opened(text, url, late) {
    const at = text.lastIndexOf(SIGNATURE);
    if (at < 0) return given || seen ? refuse("unsigned", "the server's answer is not signed") : JSON.parse(text); // an earlier release
    const signed = `${text.slice(0, at)}}`;
    const { signature } = JSON.parse(`{${text.slice(at + 1)}`);
    const answer = /** @type {Sealed} */ (JSON.parse(signed));
    // The number is not believed yet: it only says how far to look.
    const root = known && !(answer.keys > known.signed.version) ? known.signed : await follow(answer.keys);
    if (!(await signers(root.keys, signature, signed))) refuse("signature", "the server's answer is signed by no key that is trusted here");
    const { pathname, searchParams } = new URL(url);
    const about = searchParams.get("kernel") || searchParams.get("job");
    const fits = answer.type === "decisions" && pathname.endsWith(`/${answer.engine}`) && (!about || Object.hasOwn(answer.kernels, about));
    if (!fits) refuse("mixed", "the server's answer is one to another question");
    const again = late && answer.version === seen?.version; // without the server, what was good stays good
    if (!again && Math.min(answer.expires, root.expires) * 1000 <= Date.now()) refuse("expired", "the server's signature has expired: it may be frozen, or this device's clock wrong");
    const old = seen && answer.version < seen.version && Date.now() - seen.at > SPREAD_MS;
    if (old || answer.version < root.least) refuse("rollback", "the server's answer is older than one that was seen here");
    // A version on trial, which is asked for by its number, may be withdrawn.
    if (!url.includes("model=") && !(seen && seen.version >= answer.version)) await keep(SEEN, (seen = { version: answer.version, at: Date.now() }));
    seen ??= { version: 0, at: 0 };
    return answer;
  }

  /** @type {Way["read"]} */
  async function read(url, late) {
    const [response] = await Promise.all([ask(url, late), (recalling ??= recall())]);
    const answer = await opened(await textOf(response, MOST), url, "late" in response);
    for (const name of Object.keys(answer.kernels)) if (answer.files?.[`embed/${name}.js`]) places.set(name, answer);
    engine = url.split("?")[0];
    return answer;
  }

  /** @type {Way["kernel"]} */
  async function kernel(name, asked, plain) {
    await asked;
    if (!places.has(name) && seen) await read(`${engine}?kernel=${name}`, true); // the decisions are Python's
    const place = places.get(name);
    if (!place) return seen ? refuse("mixed", `the server's answer has no files of ${name}`) : plain();
    const files = Object.entries(place.files).filter(([path]) => path.startsWith(`embed/${name}.`));
    const [entry, ...scripts] = files.map(([path, integrity]) => ({ url: new URL(place.root + path, server).href, integrity }));
    const row = ask(entry.url, true, entry.integrity).then((response) => response.json(), () => unlike(entry.url));
    return Promise.all([row, script(scripts)]);
  }

  /**
   * A script as it was signed, after what it imports. A document compares the file of an element and keeps the module, so
   * that import() cannot be given another. @param {{url: string, integrity: string}[]} files @returns {Promise<EmbedScript>}
   */
  async function script(files) {
    if (!globalThis.document) return (await import("./import_text.js")).importText(files, ask);
    for (const { url, integrity } of files) await loaded(url, integrity);
    return import(/* webpackIgnore: true */ /* @vite-ignore */ files[files.length - 1].url);
  }

  /** Python, which is about to start, follows the chain from the same root. */
  async function remember() {
    if (known && (given || !(await kept.get(ROOT)))) await kept.set(ROOT, known);
  }

  return { read, kernel, remember };
}
