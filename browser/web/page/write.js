// @ts-check
/** "Write a function": a visitor's Python becomes JavaScript and runs, all in this page. Nothing of it is sent. */
/** @import { Translated, TranslateOperations } from "../shared/operations" @import { RemoteWorker } from "../shared/rpc.js" */
import { element, fill, find } from "../shared/dom.js";
import { TimeoutError } from "../shared/protocol.js";
import { connectWorker } from "../shared/rpc.js";
import { registerServiceWorker } from "./offline.js";
import { LIMIT_MS, timesOf } from "./run_function.js";

const SILENCE_MS = 15_000; // starting Python blocks the worker for some seconds
const TRANSLATE_MS = 20_000;
const said = find("#write").dataset; // the server's words in the page's language
const language = document.documentElement.lang;
const source = /** @type {HTMLTextAreaElement} */ (find("#source"));
const button = /** @type {HTMLButtonElement} */ (find("#run"));
const download = /** @type {HTMLAnchorElement} */ (find("#download"));

/** @param {string} key @param {Record<string, string | number>} [values] */
const words = (key, values = {}) => (said[key] ?? "").replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
/** @param {string} key @param {Record<string, string | number>} [values] */
const tell = (key, values) => (find("#status").textContent = words(key, values));
const count = (/** @type {number} */ value) => value.toLocaleString(language);

/** A time in the unit that suits it. @param {number} ms */
function duration(ms) {
  const units = words("units").split(" ");
  const step = ms < 1e-3 ? 0 : ms < 1 ? 1 : 2;
  return `${(ms * 1000 ** (2 - step)).toLocaleString(language, { maximumSignificantDigits: 3 })} ${units[step]}`;
}

/** @type {Promise<RemoteWorker<TranslateOperations>> | undefined} */
let starting;

/** Python's worker; it is started when it is first needed, and again after it ended. */
function python() {
  starting ??= connectWorker(new URL("../workers/translate_worker.js", import.meta.url), { silence: SILENCE_MS });
  const forget = () => (starting = undefined);
  starting.then(({ closed }) => closed.then(forget), forget);
  return starting;
}

/** @param {string} text @returns {Promise<Translated>} */
async function translate(text) {
  registerServiceWorker(); // from the next visit on, all this works without a network
  tell("starting");
  const worker = await python();
  tell("translating");
  try {
    return await worker.call("translate", { source: text }, { timeout: TRANSLATE_MS });
  } catch (error) {
    worker.end(); // what overflowed or hung is no place for the next source
    throw error;
  }
}

/** Put the cursor where a problem is. @param {string} problem "line 3, column 5: …" */
function reveal(problem) {
  const [, line, column] = /^line (\d+), column (\d+)/.exec(problem) ?? [];
  const before = source.value.split("\n").slice(0, Number(line) - 1);
  const at = before.reduce((sum, text) => sum + text.length + 1, Number(column) - 1);
  source.focus();
  source.setSelectionRange(at, at);
}

/** @param {string[]} problems */
function showProblems(problems) {
  const items = problems.map((problem) => {
    const place = element("button", { type: "button", class: "plain" }, problem.split(": ")[0]);
    place.addEventListener("click", () => reveal(problem));
    return element("li", {}, place, problem.slice(problem.indexOf(": ")));
  });
  fill(find("#problems ul"), ...items);
  find("#problems").hidden = problems.length === 0;
}

/** @param {Translated} translated @param {string} text */
function showScript({ name, script }, text) {
  find("#result").hidden = false;
  find("#script").textContent = script;
  find("#name").textContent = name;
  URL.revokeObjectURL(download.href);
  download.href = URL.createObjectURL(new Blob([text], { type: "text/x-python" }));
  download.download = `${name}.py`;
}

/** @param {number} size @param {Record<string, number>} ms */
function showTime(size, ms) {
  find("#doubles").hidden = !("jsTuned" in ms);
  const cells = Object.values(ms).map((time) => element("td", {}, duration(time)));
  find("#times tbody").append(element("tr", {}, element("th", { scope: "row" }, words("elements", { count: count(size) })), ...cells));
}

/** @param {string} text */
async function run(text) {
  const translated = await translate(text);
  showProblems(translated.problems);
  if (translated.problems.length) return tell("wrong", { count: count(translated.problems.length) });
  showScript(translated, text);
  let running = 0;
  const began = (/** @type {number} */ size) => tell("running", { count: count((running = size)) });
  try {
    for await (const [size, ms] of timesOf(translated, began)) showTime(size, ms);
  } catch (error) {
    if (!(error instanceof TimeoutError && running)) throw error;
    return tell("slow", { count: count(running), seconds: LIMIT_MS / 1000 });
  }
  tell("done");
}

button.addEventListener("click", async () => {
  button.disabled = true;
  find("#result").hidden = true;
  fill(find("#times tbody"));
  showProblems([]);
  try {
    await run(source.value);
  } catch (error) {
    tell("failed", { message: /** @type {Error} */ (error).message });
  }
  button.disabled = false;
});
button.disabled = false;
