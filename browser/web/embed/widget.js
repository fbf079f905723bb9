// @ts-check
/**
 * `<fleetune-widget>`: a card with the choices for this browser, a benchmark, and the question about telemetry.
 *
 *     <script type="module" src="https://tuner.example/widget.js"></script>
 *     <fleetune-widget kernels="dot matmul" lang="en"></fleetune-widget>
 *
 * Attributes: `server` (default: where this file came from), `kernels`, `lang`, `push`, `auto`. Elements of one
 * server share one tuner and its worker. Until the visitor acts, the widget requests only the decisions.
 */
import { element, fill } from "../shared/dom.js";
import { shadow } from "./style.js";
import { connect } from "./fleetune.js";
import { buildIn, known, numbersIn, sayIn } from "../shared/i18n.js";
import { geometricMean } from "../shared/numbers.js";
import { WidgetPrivacy } from "./widget_privacy.js";

/** @import { Tuner } from "./fleetune" */

const BUDGET_MS = 20_000;
/** @type {Map<string, Promise<Tuner>>} by server */
const tuners = new Map();

/** The tuner that all elements of this page share. @param {string | null} server @param {boolean} push */
export function sharedTuner(server, push) {
  const given = server ? (server.endsWith("/") ? server : `${server}/`) : undefined;
  const key = new URL(given ?? "../../", given ? document.baseURI : import.meta.url).href;
  let tuner = tuners.get(key);
  if (!tuner) {
    tuners.set(key, (tuner = connect({ server: given, all: true })));
    tuner.catch(() => tuners.delete(key)); // an element that is added later tries again
  }
  if (push) tuner.then((one) => one.subscribe(), () => {}); // the elements show the error
  return tuner;
}

/** Where a page is rendered without elements, importing this file does nothing. */
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {});

class FleetuneWidget extends Base {
  static observedAttributes = ["server", "kernels", "lang", "push"];
  #root = shadow(this);
  /** @type {AbortController | undefined} removes this element's listeners */
  #life;
  /** @type {AbortController | undefined} of the benchmark that this element started */
  #run;
  #seen = 0; // renderings so far: an answer for an older one is dropped

  connectedCallback() {
    this.#render();
  }

  disconnectedCallback() {
    this.#life?.abort();
    this.#run?.abort();
    this.#seen += 1;
  }

  attributeChangedCallback() {
    if (this.isConnected && this.#life) this.#render();
  }

  get #language() {
    return known(this.getAttribute("lang"));
  }

  /** @param {string} key @param {Record<string, string | number>} [values] */
  #say = (key, values) => sayIn(this.#language, key, values);

  /** Numbers as its language writes them. */
  get #numbers() {
    return numbersIn(this.#language);
  }

  async #render() {
    this.#life?.abort();
    const life = (this.#life = new AbortController());
    const turn = ++this.#seen;
    const card = element("section", { class: "card", lang: this.#language, "aria-label": "Fleetune" });
    const status = element("p", { class: "status", role: "status" }, this.#say("widget.loading"));
    card.append(element("h2", {}, "Fleetune"), element("p", {}, this.#say("widget.about")), status);
    this.#root.replaceChildren(card);
    try {
      const tuner = await sharedTuner(this.getAttribute("server"), this.hasAttribute("push"));
      if (turn !== this.#seen) return;
      this.#fill(card, status, tuner, life.signal);
    } catch (error) {
      if (turn !== this.#seen) return;
      status.textContent = this.#say("widget.offline", { message: /** @type {Error} */ (error).message });
    }
  }

  /** The kernels that this element shows, and names that the server does not know. @param {Tuner} tuner */
  #kernels(tuner) {
    const named = [...new Set((this.getAttribute("kernels") ?? "").split(/[\s,]+/).filter(Boolean))];
    const unknown = named.filter((name) => !tuner.kernels.includes(name));
    return { names: named.length ? named.filter((name) => !unknown.includes(name)) : tuner.kernels, unknown };
  }

  /** @param {HTMLElement} card @param {HTMLElement} status @param {Tuner} tuner @param {AbortSignal} signal */
  #fill(card, status, tuner, signal) {
    const [say, { count }] = [this.#say, this.#numbers];
    const [run, stop] = [say("run.quick"), say("run.stop")].map((text) =>
      /** @type {HTMLButtonElement} */ (element("button", { type: "button" }, text)),
    );
    run.className = "primary";
    stop.disabled = true;
    const bar = /** @type {HTMLProgressElement} */ (element("progress", { max: "1", "aria-label": say("bench.title") }));
    bar.hidden = true;
    // Narrow cards lay rows out as a grid; roles keep the table one.
    const body = element("tbody", { role: "rowgroup" });
    const head = element("tr", { role: "row" }, ...["widget.kernel", "widget.choice", "widget.speedup"].map((key) => element("th", { scope: "col", role: "columnheader" }, say(key))));
    const title = say("widget.table");
    const table = element("details", {}, element("summary", {}, title), element("table", { role: "table", "aria-label": title }, element("thead", { role: "rowgroup" }, head), body));
    const hint = element("p", { class: "soft" }, say("widget.hint", { seconds: count(BUDGET_MS / 1000) }));
    const privacy = new WidgetPrivacy(tuner, this.#language);
    card.append(
      element("div", { class: "actions" }, run, stop), hint, bar, privacy.element, table,
      element("p", { class: "soft" }, say("widget.server", { server: new URL(tuner.server).host })),
    );
    const { names, unknown } = this.#kernels(tuner);
    if (unknown.length) {
      const text = say("widget.unknown", { names: unknown.join(", ") });
      console.warn(`<fleetune-widget>: ${text}`);
      status.after(element("p", { class: "status unknown" }, text));
    }
    if (!names.length) {
      status.remove();
      run.disabled = true;
      table.hidden = true;
      return;
    }
    const show = () => this.#result(status, body, tuner, names);
    show();

    const options = { signal };
    tuner.addEventListener("model", show, options);
    tuner.addEventListener("boot", (event) => {
      if (this.#run) status.textContent = say("bench.boot", { stage: event.detail.stage });
    }, options);
    tuner.addEventListener("progress", (event) => {
      if (!this.#run) return;
      const { done, total, kernel } = event.detail;
      bar.value = total ? done / total : 0;
      status.textContent = say("widget.working", { kernel, done: count(done), total: count(total) });
    }, options);

    const measure = async () => {
      const begun = (this.#run = new AbortController());
      run.disabled = true;
      stop.disabled = bar.hidden = false;
      bar.removeAttribute("value");
      status.textContent = say("bench.boot", { stage: "" });
      status.setAttribute("aria-live", "off"); // its beginning and its end are read out, not each step
      try {
        await tuner.benchmark({ budgetMs: BUDGET_MS, kernels: names, signal: begun.signal });
        done();
        await privacy.refresh();
      } catch (error) {
        done();
        if (!begun.signal.aborted) status.textContent = say("bench.failed", { message: /** @type {Error} */ (error).message });
      }
    };
    const done = () => {
      this.#run = undefined; // until now the benchmark used the status
      run.disabled = false;
      stop.disabled = bar.hidden = true;
      status.setAttribute("aria-live", "polite");
      show();
    };
    run.addEventListener("click", measure);
    stop.addEventListener("click", () => {
      stop.disabled = true;
      status.textContent = say("bench.stopping");
      this.#run?.abort();
    });
    if (this.hasAttribute("auto")) this.#whenSeen(measure, signal);
  }

  /** For `auto`: act one second after the card is on screen. @param {() => void} act @param {AbortSignal} signal */
  #whenSeen(act, signal) {
    const { connection } = /** @type {Navigator & {connection?: {saveData: boolean}}} */ (navigator);
    if (connection?.saveData) return;
    const watcher = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      setTimeout(() => signal.aborted || act(), 1000);
    });
    watcher.observe(this);
    signal.addEventListener("abort", () => watcher.disconnect());
  }

  /** @param {HTMLElement} status @param {HTMLElement} body @param {Tuner} tuner @param {string[]} names */
  #result(status, body, tuner, names) {
    const rows = names.map((name) => ({ name, contexts: tuner.contexts(name) }));
    const every = rows.flatMap(({ contexts }) => contexts);
    const { count, times } = this.#numbers;
    const measured = every.filter(({ source }) => source === "measured").length;
    const speedup = times(geometricMean(every.map((row) => Math.max(row.speedup, 1e-3))));
    const values = { measured: count(measured), total: count(every.length), speedup, count: count(names.length) };
    if (!this.#run) status.textContent = this.#say(measured ? "widget.measured" : "widget.result", values);
    fill(
      body,
      ...rows.map(({ name, contexts }) => {
        const builds = [...new Set(contexts.map(({ choice }) => choice))];
        const cell = element("td", { role: "cell", title: builds.join("; ") }, builds.map((build) => buildIn(this.#language, build)).join("; "));
        const mean = geometricMean(contexts.map((row) => Math.max(row.speedup, 1e-3)));
        return element("tr", { role: "row" }, element("th", { scope: "row", role: "rowheader" }, name), cell, element("td", { role: "cell" }, times(mean)));
      }),
    );
  }
}

const { customElements } = /** @type {Partial<typeof globalThis>} */ (globalThis);
if (!customElements?.get("fleetune-widget")) customElements?.define("fleetune-widget", FleetuneWidget);
