// @ts-check
/**
 * The Python worker: boots Pyodide from our own origin, installs the fleetune wheel, and hands calls to Python.
 * `fleetune.app.handlers` holds the only list of operations; this file decides nothing.
 */
/** @import { BenchOperations, PythonOperations } from "../shared/operations" @import { Boot, Manifest, Parts } from "../shared/wire" */
import { Bench } from "./bench.js";
import { detectEnvironment } from "../shared/environment.js";
import { lock } from "../shared/lock.js";
import { errorData, RemoteError, WORKER_NAME } from "../shared/protocol.js";
import { beat, emit, refuse, seesPrivacyControl, serve } from "../shared/rpc.js";
import { readAtMost } from "../shared/read_at_most.js";
import { fetchWheel, startPyodide } from "./python_files.js";
import { isSigned } from "../shared/signature.js";
import * as storage from "../shared/storage.js";

const server = new URL("../../", import.meta.url);
const PARTS = new URL("../parts.json", import.meta.url).href; // the Python side of this script's release
const MAX_ANSWER = 16 << 20; // bytes; models have at most 5 MB

/** @param {string} path @returns {Promise<unknown>} */
async function getJson(path) {
  const response = await fetch(new URL(path, server), { credentials: "omit" }).catch((error) => {
    throw new Error(`the server cannot be reached (${error.message}): check the connection and try again`);
  });
  if (!response.ok) throw new Error(`the server answered ${path} with ${response.status}: try again later`);
  return response.json();
}

/** The outcome as JSON text, `{value}` or `{error}`. @param {() => Promise<unknown>} act */
async function answer(act) {
  try {
    return JSON.stringify({ value: (await act()) ?? null });
  } catch (error) {
    return JSON.stringify({ error: errorData(error) });
  }
}

/**
 * For promises that Python awaits. Pyodide recognises an error by its stack, which WebKit's own errors (a failed fetch, a
 * DOMException) do not have: Python would wait for ever.
 * @template T @param {Promise<T>} promise @returns {Promise<T>}
 */
const readable = (promise) =>
  promise.catch((error) => {
    throw new Error(String(error?.message ?? error));
  });

/** Keys that the page shows; where nothing can be stored, it learns of them from this event alone. */
const SHOWN = new Set(["ledger", "reports", "answers", "feedbackLedger", "measurements"]);

/** @param {string} key @param {unknown} value */
async function keep(key, value) {
  await storage.set(key, value);
  if (SHOWN.has(key)) emit("stored", { key, value });
}

/**
 * What Python may ask of the browser. Only text, numbers, bytes and promises cross; JSON does as text.
 * @param {Bench} bench @param {Boot} boot @param {Manifest} manifest
 */
function host(bench, boot, manifest) {
  return {
    boot: JSON.stringify(boot),
    manifest: JSON.stringify(manifest),
    environment: JSON.stringify(detectEnvironment()),
    privacySignal: () => boot.privacySignal === true || self.name === `${WORKER_NAME} gpc` || seesPrivacyControl(),
    clock: () => performance.now(),
    /** @param {string} event @param {string} json */
    emit: (event, json) => emit(event, JSON.parse(json)),

    /**
     * `answer` has the response, whatever its status; `abort` ends the request. They are apart because Pyodide turns a
     * returned promise into a future of its own, which has no `abort`.
     * @param {string} method @param {string} path @param {string} headers JSON @param {Uint8Array<ArrayBuffer> | undefined} body
     */
    fetch(method, path, headers, body) {
      const controller = new AbortController();
      const ask = async () => {
        const response = await fetch(new URL(path, server), {
          method, headers: JSON.parse(headers), body,
          credentials: "omit", referrerPolicy: "no-referrer", signal: controller.signal,
        });
        const bytes = await readAtMost(response, MAX_ANSWER);
        return { status: response.status, headers: JSON.stringify(Object.fromEntries(response.headers)), bytes };
      };
      return { answer: readable(ask()), abort: () => controller.abort() };
    },

    persistent: () => readable(storage.persistent()),
    /** @param {string} key */
    get: (key) => readable(storage.get(key).then((value) => JSON.stringify(value ?? null))),
    /** @param {string} key @param {string} json */
    set: (key, json) => readable(keep(key, JSON.parse(json))),
    /** @param {string} key */
    remove: (key) => readable(storage.remove(key)),
    /** @param {string} name */
    lock: (name) => readable(lock(name)),

    /** @param {keyof BenchOperations} op @param {string} args JSON @param {number} limitMs */
    bench: (op, args, limitMs) => answer(() => bench.call(op, JSON.parse(args), limitMs)),
    benchOpen: () => answer(() => bench.open().then(() => ({ clockStep: bench.clockStep, isolated: bench.isolated }))),
    benchEnd: () => bench.end(),

    /** @param {Uint8Array} key raw public key @param {Uint8Array} signature @param {Uint8Array} message */
    verifyEd25519(key, signature, message) {
      const [k, s, m] = [key, signature, message].map((view) => new Uint8Array(view)); // before Python lets go of them
      return readable(isSigned(k, s, m));
    },
  };
}

async function main() {
  if (typeof WebAssembly !== "object") {
    throw new Error("this browser has no WebAssembly, which Python needs: JavaScript is always the choice here");
  }
  const answers = await Promise.all([getJson(PARTS), getJson("api/boot.json"), getJson("api/kernels")]);
  const [parts, boot, manifest] = /** @type {[Parts, Boot, Manifest]} */ (answers);
  const wheel = fetchWheel(new URL(parts.wheel, server).href);
  wheel.catch(() => {}); // it is awaited below
  const pyodide = await startPyodide(parts, server, ["numpy"], (percent) => emit("boot", { stage: `Pyodide, numpy: ${percent} %` }));
  emit("boot", { stage: "fleetune" });
  pyodide.unpackArchive(await wheel, "wheel");

  const bench = new Bench({ ...manifest, root: new URL(manifest.root, server).href });
  const app = await pyodide.pyimport("fleetune.app.platform_js").start(host(bench, boot, manifest));
  /** @param {string} op @param {unknown} args */
  async function call(op, args) {
    const answer = JSON.parse(await app.call(op, JSON.stringify(args ?? {})));
    if (answer.error) throw new RemoteError(answer.error);
    return answer.value;
  }
  /** @type {string[]} */
  const names = JSON.parse(app.operations());
  serve({
    ...Object.fromEntries(names.map((name) => [name, (/** @type {unknown} */ args) => call(name, args)])),
    /** @type {PythonOperations["mirror"]} */
    mirror: ({ key, value }) => storage.set(key, value),
  });
}

beat();
main().catch(refuse);
