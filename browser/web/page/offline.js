// @ts-check
/** @import { Boot } from "../shared/wire" */
/** The page without a network: `sw.js` keeps what was used once; here it is registered, and asked for earlier answers. */

/**
 * Register `sw.js`. Call it only after the visitor chose or measured something: nothing is stored for someone who only looks.
 * @returns {Promise<boolean>} false where the browser refuses; the page then needs its server at every visit
 */
export async function registerServiceWorker() {
  if (!("serviceWorker" in navigator)) return false;
  try {
    await navigator.serviceWorker.register(new URL("../../sw.js", import.meta.url), { updateViaCache: "none" });
    return true;
  } catch {
    return false; // switched off, a private window, or a page that is not over https
  }
}

/** The answer that the service worker kept on an earlier visit. @param {string} url @returns {Promise<unknown>} undefined if there is none */
export async function keptJson(url) {
  try {
    return await (await caches.match(new URL(url, document.baseURI), { ignoreVary: true }))?.json();
  } catch {
    return undefined; // no Cache API here, storage is blocked, or the entry is damaged
  }
}

/** Whether an earlier visit kept all that Python needs to start. @param {Boot} boot */
export async function canMeasure(boot) {
  const files = ["pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm", "pyodide-lock.json"].map((name) => boot.pyodide + name);
  try {
    const kept = await Promise.all([...files, boot.wheel].map((path) => caches.match(new URL(path, document.baseURI), { ignoreVary: true })));
    return kept.every(Boolean);
  } catch {
    return false; // no Cache API here, or storage is blocked
  }
}
