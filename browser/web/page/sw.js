// @ts-check
/**
 * Our own page without a network: files that were used once are kept and used again when the server cannot be reached.
 * Nothing is fetched ahead, nothing that was sent is kept, and answers about the visitor's reports never pass here.
 */

/** The part of a service worker's events and globals that is used; TypeScript's own are in a library that excludes the page's. */
/** @typedef {Event & {waitUntil(work: Promise<unknown>): void}} ExtendableEvent */
/** @typedef {ExtendableEvent & {request: Request, respondWith(response: Promise<Response>): void}} FetchEvent */
/**
 * @typedef {object} ServiceWorkerScope
 * @property {Location} location
 * @property {() => Promise<void>} skipWaiting
 * @property {{claim(): Promise<void>}} clients
 */
const worker = /** @type {Window & ServiceWorkerScope} */ (/** @type {unknown} */ (self));
const CACHE = "fleetune-2";
const NAMED_BY_HASH = /^\/(((static|pyodide|wheels|translator)-|kernels\/)[0-9a-f]{64}\/|models\/[0-9a-f]{64}$)/; // they never change, so the network is not asked
const TREE = /^(\/(?:static-|pyodide-|wheels-|translator-|kernels\/))[0-9a-f]{64}\//; // all files of a release's scripts, kernels …
const KEPT = /^\/(static|pyodide|wheels|translator)\//;
const PAGES = new Set(["/", "/dashboard", "/privacy", "/functions/new", "/fleetune.js"]);
const ANSWERS = new Set(["/api/boot.json", "/api/kernels", "/api/privacy.json", "/api/decisions", "/api/model/latest"]);
const PATIENCE = 10_000; // ms until an answer begins, where an older one may be kept

worker.addEventListener("install", () => worker.skipWaiting());

worker.addEventListener("activate", (event) => {
  /** @type {ExtendableEvent} */ (event).waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
      await worker.clients.claim();
    })(),
  );
});

/** Whether an answer of our own origin may be kept. @param {URL} url */
function kept(url) {
  // Asked with a version, this must not be answered from memory: the page would stay on that version.
  if (url.pathname === "/api/model/latest") return url.search === "";
  return NAMED_BY_HASH.test(url.pathname) || KEPT.test(url.pathname) || PAGES.has(url.pathname) || url.pathname.startsWith("/api/decisions/") || ANSWERS.has(url.pathname);
}

/** The kept answer, if there is one that can be read. @param {Request} request @returns {Promise<Response | undefined>} */
async function remembered(request) {
  try {
    return await (await caches.open(CACHE)).match(request, { ignoreVary: true });
  } catch {
    return undefined; // storage is blocked, or the entry is damaged
  }
}

/** @param {Request} request @param {Response} response */
async function remember(request, response) {
  try {
    const cache = await caches.open(CACHE);
    await cache.put(request, response);
    const url = new URL(request.url);
    const [root, kind] = TREE.exec(url.pathname) ?? [];
    if (!root || !kind) return;
    // A new tree replaces the old one of its kind.
    for (const { url: other } of await cache.keys()) {
      const path = new URL(other).pathname;
      if (path.startsWith(kind) && !path.startsWith(root)) await cache.delete(other);
    }
  } catch {
    // Storage is full or blocked. The page works as long as the server does.
  }
}

/** @param {FetchEvent} event */
async function answer(event) {
  const { request } = event;
  const url = new URL(request.url);
  const patience = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  if (NAMED_BY_HASH.test(url.pathname)) {
    const known = await remembered(request);
    if (known) return known;
  } else timer = setTimeout(() => patience.abort(), PATIENCE);
  try {
    const response = await fetch(request, { signal: AbortSignal.any([request.signal, patience.signal]) });
    clearTimeout(timer); // a body may take minutes on a slow line
    // Python keeps models, once it has verified their signatures.
    if (response.status === 200 && !url.pathname.startsWith("/models/")) event.waitUntil(remember(request, response.clone()));
    return response;
  } catch (error) {
    const known = await remembered(request);
    if (known) return known;
    throw error;
  }
}

worker.addEventListener("fetch", (untyped) => {
  const event = /** @type {FetchEvent} */ (untyped);
  const url = new URL(event.request.url);
  if (event.request.method === "GET" && url.origin === worker.location.origin && kept(url)) event.respondWith(answer(event));
});
