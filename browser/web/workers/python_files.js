// @ts-check
/** The files that Python in the browser is made of, compared with what this script's release names before they are used. */
import { sha256 } from "./digest.js";

/** @typedef {Record<string, import("../shared/wire").RuntimeFile>} Files by path */

/** All of a body that must have so many bytes. @param {Response} response @param {number} size @param {(bytes: number) => void} count */
async function whole(response, size, count) {
  const bytes = new Uint8Array(size);
  let length = 0;
  for (const reader = response.body?.getReader(); reader; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (length + value.length > size) {
      await reader.cancel();
      break;
    }
    bytes.set(value, length);
    length += value.length;
    count(value.length);
  }
  return length === size ? bytes.buffer : new ArrayBuffer(0);
}

/**
 * From now on these files, fetched below this address, are counted, and fail if they have other bytes than their release's.
 * Not `integrity`: the browser would hand nothing out, and nothing could be counted, before all is here.
 * @param {string} root @param {Files} files @param {(percent: number) => void} tell how much of all files is here
 * @param {{fetch: typeof fetch}} [scope] @returns {() => void} ends it
 */
export function compareBelow(root, files, tell, scope = self) {
  const plain = scope.fetch;
  const total = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0);
  let [received, told] = [0, -1];
  /** @param {number} bytes */
  const count = (bytes) => {
    received += bytes;
    const percent = Math.min(100, Math.floor((100 * received) / total));
    if (percent > told) tell((told = percent));
  };
  scope.fetch = async (input, init) => {
    const address = input instanceof Request ? input.url : new URL(input, root).href;
    const name = address.slice(root.length);
    const response = await plain(input, init);
    const file = address.startsWith(root) && response.ok ? files[name] : undefined;
    if (!file) return response;
    const bytes = await whole(response, file.bytes, count);
    if ((await sha256(bytes)) !== file.sha256) throw new TypeError(`${name} is not the file of this release: reload the page`);
    return new Response(bytes, { headers: { "content-type": response.headers.get("content-type") ?? "" } });
  };
  return () => void (scope.fetch = plain);
}

/**
 * Pyodide, from files that are compared with its release's, and these packages.
 * @param {import("../shared/wire").Parts} parts @param {URL} server
 * @param {string[]} packages @param {(percent: number) => void} tell how much of the files is here
 * @returns {Promise<import("pyodide").PyodideInterface>}
 */
export async function startPyodide({ pyodide, files = {} }, server, packages = [], tell = () => {}) {
  const indexURL = new URL(pyodide, server).href;
  /** @type {typeof import("pyodide")} */
  const { loadPyodide } = await import(`${indexURL}pyodide.mjs`);
  const compared = compareBelow(indexURL, files, tell);
  const started = await loadPyodide({ indexURL, packages });
  compared();
  return started;
}

/**
 * The wheel at this address, which holds the hash of its tree's listing (http/assets.py: Tree).
 * @param {string} address
 */
export async function fetchWheel(address) {
  const response = await fetch(address, { credentials: "omit" });
  if (!response.ok) throw new Error(`the server's Python package is missing (HTTP ${response.status}): reload the page`);
  const bytes = await response.arrayBuffer();
  const [, hash, name] = /-([0-9a-f]{64})\/([^/]+)$/.exec(address) ?? [];
  const listing = new TextEncoder().encode(`${await sha256(bytes)} ${name}\n`);
  if ((await sha256(listing.buffer)) !== hash) throw new Error("the server's Python package is not the one that its address names: reload the page");
  return bytes;
}
