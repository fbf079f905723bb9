// @ts-check
/**
 * The Python room: boots Pyodide from our own origin, installs the fleetune wheel, and hands calls to Python.
 * `fleetune.app.handlers` holds the only list of operations; this file decides nothing.
 */
import { Bench } from "./bench.js";
import { detectEnvironment } from "./environment.js";
import { serve } from "./rpc.js";
import { toData } from "./protocol.js";
import * as storage from "./storage.js";

const server = new URL("..", import.meta.url);

/** @param {string} event @param {any} data */
const emit = (event, data) => self.postMessage({ event, data });

/** @param {string} path @returns {Promise<any>} */
async function getJson(path) {
  const response = await fetch(new URL(path, server));
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
  return response.json();
}

/** What Python may ask of the browser: JSON text, bytes and promises only. @param {Bench} bench @param {any} boot */
function bridge(bench, boot) {
  return {
    bootJson: () => JSON.stringify(boot),
    manifestJson: () => JSON.stringify(bench.manifest),
    environmentJson: () => JSON.stringify(detectEnvironment()),
    privacySignal: () => /** @type {any} */ (navigator).globalPrivacyControl === true,
    /** @param {number} length */
    entropy: (length) => crypto.getRandomValues(new Uint8Array(length)),
    /** @param {string} event @param {string} json */
    emit: (event, json) => emit(event, JSON.parse(json)),
    /** @param {number} seconds */
    sleep: (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds)),

    /** @param {string} method @param {string} path @param {Uint8Array | undefined} body @param {string} headers JSON */
    async fetch(method, path, body, headers) {
      const response = await fetch(new URL(path, server), {
        method, body: /** @type {any} */ (body), headers: JSON.parse(headers), credentials: "omit", referrerPolicy: "no-referrer",
      });
      const bytes = new Uint8Array(await response.arrayBuffer());
      return [response.status, JSON.stringify(Object.fromEntries(response.headers)), bytes];
    },

    /** @param {string} key */
    async get(key) {
      return JSON.stringify((await storage.get(key)) ?? null);
    },
    /** @param {string} key @param {string} json */
    set: (key, json) => storage.set(key, JSON.parse(json)),
    /** @param {string} key */
    remove: (key) => storage.remove(key),
    /** @param {string} name @param {() => Promise<void>} act */
    locked: (name, act) => storage.locked(name, act),

    /** @param {string} op @param {string} args JSON @param {number} limitMs */
    async bench(op, args, limitMs) {
      return JSON.stringify(await bench.call(op, JSON.parse(args), limitMs));
    },
    benchOpen: async () => JSON.stringify(await bench.open()),

    /** @param {Uint8Array} key raw public key @param {Uint8Array} signature @param {Uint8Array} message */
    async verifyEd25519(key, signature, message) {
      const bytes = (/** @type {Uint8Array} */ view) => /** @type {any} */ (new Uint8Array(view));
      const imported = await crypto.subtle.importKey("raw", bytes(key), "Ed25519", false, ["verify"]);
      return crypto.subtle.verify("Ed25519", imported, bytes(signature), bytes(message));
    },
  };
}

async function main() {
  if (typeof WebAssembly !== "object") throw new Error("this browser has no WebAssembly, which Python needs here");
  const [boot, manifest] = await Promise.all([getJson("api/boot.json"), getJson("api/kernels")]);
  emit("boot", { stage: "Pyodide" });
  const indexURL = new URL(boot.pyodide, server).href;
  const { loadPyodide } = await import(/** @type {any} */ (`${indexURL}pyodide.mjs`));
  const pyodide = await loadPyodide({ indexURL });
  emit("boot", { stage: "numpy" });
  await pyodide.loadPackage(["numpy", "micropip"], { messageCallback: () => {} });
  emit("boot", { stage: "fleetune" });
  await pyodide.pyimport("micropip").install(new URL(boot.wheel, server).href);
  const bench = new Bench({ ...manifest, root: new URL(manifest.root, server).href });
  pyodide.registerJsModule("fleetune_bridge", bridge(bench, boot));
  const app = pyodide.pyimport("fleetune.app.handlers");
  const session = await app.start();
  /** @type {Record<string, (args: any) => Promise<any>>} */
  const ops = {};
  for (const name of session.operations()) {
    ops[name] = async (args) => {
      const answer = JSON.parse(await session.call(name, JSON.stringify(args ?? {})));
      if (answer.error) throw Object.assign(new Error(answer.error.message), { name: answer.error.name });
      return answer.value;
    };
  }
  serve(ops);
}

main().catch((error) => self.postMessage({ event: "failed", data: toData(error) }));
