// @ts-check
/** News of model versions over a WebSocket, or by polling. Only the version in use and the rollout bucket are sent. */

const DELAY = 1_000; // ms; doubles with each failure
const LONGEST_DELAY = 60_000;
const SILENCE = 100_000; // the server beats every 30 s: a socket quieter than this is dead
const POLL = 60_000;
const FAILURES_BEFORE_POLLING = 3;

/** 0 … 999: whether this session tries a new model first; never stored. */
export const rolloutBucket = crypto.getRandomValues(new Uint16Array(1))[0] % 1000;

/** Full jitter, ms; longer after a server stopped: all its clients reconnect. @param {number} failures @param {boolean} known */
export const delayAfter = (failures, known) => Math.random() * Math.min(LONGEST_DELAY, Math.max(known ? 20 * DELAY : 0, DELAY * 2 ** failures));

/**
 * @typedef {object} Listener
 * @property {string | URL} server
 * @property {() => number} version in use
 * @property {(version: number) => unknown} onVersion given a newer one
 * @property {(state: "on" | "off" | "polling" | "connecting") => void} [onState]
 */

/** Listen until `close()` is called. @param {Listener} listener */
export function subscribe({ server, version, onVersion, onState = () => {} }) {
  /** @type {WebSocket | undefined} */
  let socket;
  let failures = 0;
  let known = false;
  let closed = false;
  /** @type {Record<"retry" | "silence" | "poll", ReturnType<typeof setTimeout> | undefined>} */
  const timers = { retry: undefined, silence: undefined, poll: undefined };

  function listen() {
    clearTimeout(timers.silence);
    timers.silence = setTimeout(() => socket?.close(), SILENCE);
  }

  function hello() {
    socket?.send(JSON.stringify({ type: "hello", version: version(), draw: rolloutBucket }));
  }

  function connect() {
    if (closed) return;
    if (failures < FAILURES_BEFORE_POLLING) onState("connecting");
    const url = new URL("ws", server);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(url);
    socket.onopen = () => {
      failures = 0;
      known = true;
      clearTimeout(timers.poll);
      onState("on");
      hello();
      listen();
    };
    socket.onmessage = (event) => {
      listen();
      let message;
      try {
        message = JSON.parse(event.data);
      } catch {
        return socket?.close();
      }
      if (message.type === "heartbeat") hello();
      else if (message.type === "model" && Number.isSafeInteger(message.version)) onVersion(message.version);
    };
    socket.onclose = () => {
      clearTimeout(timers.silence);
      if (closed) return;
      failures += 1;
      if (failures === FAILURES_BEFORE_POLLING) poll();
      else if (failures < FAILURES_BEFORE_POLLING) onState("off");
      timers.retry = setTimeout(connect, delayAfter(failures, known));
    };
  }

  async function poll() {
    clearTimeout(timers.poll);
    if (closed || failures < FAILURES_BEFORE_POLLING) return;
    try {
      const url = new URL(`api/model/latest?version=${version()}&draw=${rolloutBucket}`, server);
      // Sends the entity tag: an unchanged answer is short.
      const response = await fetch(url, { cache: "no-cache", credentials: "omit" });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      onState("polling");
      const answer = await response.json();
      if (!answer.upToDate) onVersion(answer.version);
    } catch {
      onState("off");
    }
    timers.poll = setTimeout(poll, POLL * (0.5 + Math.random()));
  }

  function online() {
    clearTimeout(timers.retry);
    if (!socket || socket.readyState === WebSocket.CLOSED) connect();
  }

  globalThis.addEventListener?.("online", online); // not in Node
  connect();
  return {
    close() {
      closed = true;
      globalThis.removeEventListener?.("online", online);
      for (const timer of Object.values(timers)) clearTimeout(timer);
      socket?.close();
    },
  };
}
