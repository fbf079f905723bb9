// @ts-check
import { sha256 } from "./digest.js";

/**
 * The name and bytes of the wheel at this address, which holds the hash of its tree's listing (http/assets.py: Tree).
 * @param {string} address
 */
export async function fetchWheel(address) {
  const response = await fetch(address, { credentials: "omit" });
  if (!response.ok) throw new Error(`the server's Python package is missing (HTTP ${response.status}): reload the page`);
  const bytes = await response.arrayBuffer();
  const [, hash, name] = /-([0-9a-f]{64})\/([^/]+)$/.exec(address) ?? [];
  const listing = new TextEncoder().encode(`${await sha256(bytes)} ${name}\n`);
  if ((await sha256(listing.buffer)) !== hash) throw new Error("the server's Python package is not the one that its address names: reload the page");
  return { name, bytes: new Uint8Array(bytes) };
}
