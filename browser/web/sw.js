// @ts-check
/**
 * Our own page without a network: what was used once is kept and used again when the server cannot be reached.
 * Nothing is fetched ahead, nothing that was sent is kept, and answers about people's reports never pass here.
 */
const worker = /** @type {any} */ (self);
const CACHE = "fleetune-1";
const NAMED_BY_HASH = /^\/(kernels|models)\/[0-9a-f]{64}(\/|$)/; // the same for ever: the network is not asked
const KEPT = /^\/(static|pyodide|wheels|vendor)\//;
const PAGES = new Set(["/", "/dashboard", "/privacy", "/fleetune.js"]);
const ANSWERS = new Set(["/api/boot.json", "/api/kernels", "/api/privacy.json", "/api/decisions", "/api/model/latest"]);
const PATIENCE = 10_000; // ms for a server that accepts and says nothing

worker.addEventListener("install", () => worker.skipWaiting());

worker.addEventListener("activate", (/** @type {any} */ event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
      await worker.clients.claim();
    })(),
  );
});

/** What may be kept: whole answers of our own origin that say what they are. @param {URL} url */
function kept(url) {
  // A question about the version in use is never answered from memory: that would freeze the page on it.
  if (url.pathname === "/api/model/latest") return url.search === "";
  return NAMED_BY_HASH.test(url.pathname) || KEPT.test(url.pathname) || PAGES.has(url.pathname) || url.pathname.startsWith("/api/decisions/") || ANSWERS.has(url.pathname);
}

/** The kept answer, if there is one that can be read. @param {Request} request @returns {Promise<Response | undefined>} */
async function remembered(request) {
  try {
    return await (await caches.open(CACHE)).match(request, { ignoreVary: true });
  } catch {
    return undefined; // storage is blocked or the entry is damaged: as if it were not there
  }
}

/** @param {Request} request @param {Response} response */
async function remember(request, response) {
  try {
    const cache = await caches.open(CACHE);
    await cache.put(request, response);
    const url = new URL(request.url);
    const [, folder] = NAMED_BY_HASH.exec(url.pathname) ?? [];
    if (folder !== "kernels") return;
    // A new build of the kernels replaces the old one's files.
    const root = url.pathname.slice(0, url.pathname.lastIndexOf("/") + 1);
    for (const { url: other } of await cache.keys()) {
      const path = new URL(other).pathname;
      if (path.startsWith("/kernels/") && !path.startsWith(root)) await cache.delete(other);
    }
  } catch {
    // Storage is full or blocked. The page works as long as the server does.
  }
}

/** @param {any} event */
async function answer(event) {
  /** @type {Request} */
  const request = event.request;
  const url = new URL(request.url);
  if (NAMED_BY_HASH.test(url.pathname)) {
    const known = await remembered(request);
    if (known) return known;
  }
  try {
    const response = await fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(PATIENCE)]) });
    // Models are kept by Python, after their signature was verified.
    if (response.status === 200 && !url.pathname.startsWith("/models/")) event.waitUntil(remember(request, response.clone()));
    return response;
  } catch (error) {
    const known = await remembered(request);
    if (known) return known;
    throw error;
  }
}

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const url = new URL(event.request.url);
  if (event.request.method === "GET" && url.origin === worker.location.origin && kept(url)) event.respondWith(answer(event));
});
