// @ts-check

/** The answer that the service worker kept at an earlier visit (`sw.js`). @param {string} url @returns {Promise<any>} undefined if there is none */
export async function keptJson(url) {
  try {
    return await (await caches.match(new URL(url, document.baseURI), { ignoreVary: true }))?.json();
  } catch {
    return undefined; // no Cache API here, storage is blocked, or the entry is damaged
  }
}
