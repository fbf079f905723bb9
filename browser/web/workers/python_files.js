// @ts-check
/** The files that Python in the browser is made of, compared with what this script's release names before they are used. */
import { sha256 } from "./digest.js";

/**
 * From now on the browser compares what is fetched below this address with these digests, by path, and fails on any other bytes.
 * @param {string} root @param {Record<string, string>} digests as `integrity` has them
 * @param {{fetch: typeof fetch}} [scope] @returns {() => void} ends it
 */
export function compareBelow(root, digests, scope = self) {
  const plain = scope.fetch;
  scope.fetch = (input, init) => {
    const address = input instanceof Request ? input.url : new URL(input, root).href;
    const integrity = address.startsWith(root) ? digests[address.slice(root.length)] : undefined;
    return plain(input, integrity ? { ...init, integrity } : init);
  };
  return () => void (scope.fetch = plain);
}

/**
 * Pyodide, from files that are compared with its release's, and these packages, of which its own lock file has the digests.
 * @param {import("../shared/wire").Parts} parts @param {URL} server @param {string[]} [packages] @returns {Promise<import("pyodide").PyodideInterface>}
 */
export async function startPyodide({ pyodide, digests = {} }, server, packages = []) {
  const indexURL = new URL(pyodide, server).href;
  /** @type {typeof import("pyodide")} */
  const { loadPyodide } = await import(`${indexURL}pyodide.mjs`);
  const compared = compareBelow(indexURL, digests);
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
