// In the page, before anything of it runs: notes every way out and every write to storage, then lets it happen.
(() => {
  if (globalThis.__ways) return;
  const ways = (globalThis.__ways = []);
  const note = (kind, ...what) => ways.push([kind, ...what.map(String)]);
  /** Note each call of a method. */
  const wrap = (owner, name, kind, describe = (...args) => args.slice(0, 1)) => {
    const original = owner?.[name];
    if (!original) return;
    owner[name] = function (...args) {
      note(kind, ...describe.call(this, ...args));
      return original.apply(this, args);
    };
  };
  const wrapNew = (name, kind) => {
    const Original = globalThis[name];
    if (!Original) return;
    globalThis[name] = new Proxy(Original, {
      construct(target, args, self) {
        note(kind, args[0]);
        return Reflect.construct(target, args, self);
      },
    });
  };
  wrap(globalThis, "fetch", "fetch", (input, init) => [init?.method ?? input.method ?? "GET", input.url ?? input, init?.body ?? ""]);
  wrap(XMLHttpRequest.prototype, "open", "xhr", (method, url) => [method, url]);
  wrap(XMLHttpRequest.prototype, "send", "xhr-send", (body) => [body ?? ""]);
  wrap(Navigator.prototype, "sendBeacon", "beacon", (url, body) => [url, body ?? ""]);
  wrap(WebSocket.prototype, "send", "socket", (data) => [data]);
  for (const name of ["WebSocket", "EventSource", "RTCPeerConnection", "WebTransport"]) wrapNew(name, name);
  wrap(HTMLFormElement.prototype, "submit", "form");
  wrap(Storage.prototype, "setItem", "storage", (key, value) => [key, value]);
  for (const name of ["put", "add"]) {
    wrap(IDBObjectStore.prototype, name, "indexedDB", (value, key) => [key, JSON.stringify(value)]);
    wrap(globalThis.Cache?.prototype, name, "cache");
  }
  const cookie = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
  Object.defineProperty(Document.prototype, "cookie", {
    ...cookie,
    set(text) {
      note("cookie", text);
      cookie.set.call(this, text);
    },
  });
})();
