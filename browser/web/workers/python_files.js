// @ts-check
/** The files that Python in the browser is made of, compared with what this script's release names before they are used. */
import { readAtMost } from "../shared/read_at_most.js";
import { sha256 } from "./digest.js";

/** @typedef {Record<string, import("../shared/wire").RuntimeFile>} Files by path */

/**
 * From now on these files, fetched below this address, are counted, and must have the bytes of their release.
 * Not `integrity`: the browser would hand nothing out, and nothing could be counted, before all is here.
 * @param {string} root @param {Files} files @param {(percent: number) => void} tell how much of all files is here
 * @param {(error: Error) => void} refuse hears why a file did not come, which Pyodide keeps to itself
 * @param {{fetch: typeof fetch}} [scope] @returns {() => void} ends it
 */
export function compareBelow(root, files, tell, refuse, scope = self) {
  const plain = scope.fetch;
  const total = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0);
  let [received, told] = [0, -1];
  /** @param {number} bytes */
  const count = (bytes) => {
    received += bytes;
    const percent = Math.min(100, Math.floor((100 * received) / total));
    if (percent > told) tell((told = percent));
  };
  /** @param {string} name @param {Promise<Response>} asked */
  const compared = async (name, asked) => {
    const response = await asked;
    if (!response.ok) throw new Error(`the server answered ${name} with ${response.status}: reload the page`);
    const bytes = await readAtMost(response, files[name].bytes, count);
    if ((await sha256(bytes.buffer)) !== files[name].sha256) throw new Error(`${name} is not the file of this release: reload the page`);
    return new Response(bytes, { headers: { "content-type": response.headers.get("content-type") ?? "" } });
  };
  scope.fetch = (input, init) => {
    const address = input instanceof Request ? input.url : new URL(input, root).href;
    const name = address.startsWith(root) ? address.slice(root.length) : "";
    if (!(name in files)) return plain(input, init);
    const answer = compared(name, plain(input, { ...init, integrity: "" })); // which Pyodide sets for packages
    answer.catch(refuse);
    return answer;
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
  return new Promise((resolve, reject) => {
    const end = compareBelow(indexURL, files, tell, reject);
    loadPyodide({ indexURL, packages }).finally(end).then(resolve, reject);
  });
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
