// @ts-check
/**
 * The second visit without a network: registers `sw.js`, which keeps the page's own files once they were used. Only
 * after the visitor chose or measured something: nothing is stored for someone who only looks.
 */

/** @returns {Promise<boolean>} whether this browser can; without, the page needs its server at every visit */
export async function registerServiceWorker() {
  if (!("serviceWorker" in navigator)) return false;
  try {
    await navigator.serviceWorker.register(new URL("../sw.js", import.meta.url), { updateViaCache: "none" });
    return true;
  } catch {
    return false; // switched off, a private window, or a page that is not over https
  }
}
