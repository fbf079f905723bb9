// @ts-check
/** Consent, the exact packet, the budget, the history, and withdrawal: all as the store has them this moment. */
import { noteSignal, privacySignal, writeConsent } from "../shared/consent_record.js";
import { getJson } from "../shared/api.js";
import { element, fill, find, notice } from "../shared/dom.js";
import { count, language, say, tell } from "../shared/i18n.js";
import { KEYS, readPrivacy, statements } from "./privacy_state.js";
import { satisfactionCard } from "./satisfaction.js";
import * as storage from "../shared/storage.js";

/** @import { Field, Preview } from "../shared/operations" @import { Python } from "../shared/python" @import { Boot, PrivacyNotes } from "../shared/wire" @import { PrivacyState, Words } from "./privacy_state" */

/** @param {Python} python @param {() => unknown} onChoice called once storage may be used */
export function privacyCard(python, onChoice) {
  const [box, strict] = ["#enableTelemetry", "#strict"].map((id) => /** @type {HTMLInputElement} */ (find(id)));
  const [accept, refuse, send, prepare, withdraw] = ["#accept", "#refuse", "#send", "#prepare", "#withdraw"].map((id) => /** @type {HTMLButtonElement} */ (find(id)));
  const preview = find("#packetPreview");
  const answer = find("#serverAnswer");
  const satisfaction = satisfactionCard(python);
  /** @type {number | null | undefined} of the policy: undefined until the server answers, null if it does not */
  let revision;
  /** @type {PrivacyNotes | undefined} */
  let notes;
  /** @type {PrivacyState | undefined} */
  let state;
  /** @type {Preview | undefined} the packet that Python has prepared, or why there is none */
  let prepared;
  let [sending, withdrawing, withdrawn] = [false, false, false];
  let [wished, choosing] = [false, 0]; // what was pressed, while it is being written
  let strictly = false;
  let failure = "";
  let reading = 0;

  /** @param {Words} words */
  const spoken = ([key, values = {}]) =>
    say(key, Object.fromEntries(Object.entries(values).map(([name, value]) => [name, typeof value === "number" ? count(value) : value])));

  /** Read the store and show what it says; a reading that a later one overtook is dropped. */
  async function read() {
    const turn = ++reading;
    const found = await readPrivacy();
    if (turn !== reading) return;
    state = found;
    if (state.consent) strictly = state.consent.epsilon === 1;
    show();
  }

  /** Everything that the page says about telemetry, from the state alone. */
  function show() {
    find("#consentText").textContent = say("consent.text", { epsilon: count(strictly ? 1 : 2) });
    strict.checked = strictly;
    if (!state) return;
    const says = statements(state, revision);
    box.checked = choosing ? wished : says.on;
    box.disabled = accept.disabled = strict.disabled = privacySignal() || typeof revision !== "number";
    refuse.disabled = withdraw.disabled = false;
    find("#consentState").textContent = spoken(says.consent);
    find("#budgetText").textContent = spoken(says.budget);
    const meter = /** @type {HTMLMeterElement} */ (find("#budget"));
    meter.hidden = !state.budget;
    [meter.max, meter.value] = [state.budget?.cap ?? 60, state.budget?.spent ?? 0];
    fill(find("#history"), ...state.sent.map(historyItem));
    find("#historyEmpty").hidden = state.sent.length > 0;
    find("#historyEmpty").textContent = say("history.empty");
    showPacket(says.on, says.packet, state);
    if (!withdrawing) find("#withdrawAnswer").textContent = failure || (withdrawn && !says.on ? spoken(says.withdrawal) : "");
    if (state.dropped) notice(say("notice.dropped", { count: count(state.dropped) }), "bad");
    satisfaction.show(says.on, state, spoken(says.answersBudget));
  }

  /** The kept packet, else Python's, else a sample of what one looks like. @param {boolean} on @param {Words} words @param {PrivacyState} state */
  function showPacket(on, words, state) {
    const ready = on && state.kept === null && words[0] === "packet.prepare" && prepared?.packet?.privacy.epsilon === state.consent?.epsilon && prepared?.text;
    const text = on ? (state.kept ?? (ready || null)) : null;
    preview.hidden = text === null;
    preview.textContent = text ?? ""; // exactly the bytes that are sent
    send.disabled = text === null || sending;
    prepare.hidden = words[0] !== "packet.prepare" || text !== null;
    find("#packetHint").textContent = ready ? say("packet.ready") : spoken(words);
    const sample = notes?.samples[strictly ? "1" : "2"];
    find("#sample").hidden = !sample || text !== null;
    find("#samplePacket").textContent = sample ?? "";
    find("#fields").hidden = !notes && text === null;
    const fields = prepared?.fields.length ? prepared.fields : (notes?.fields ?? []);
    fill(find("#fieldList"), ...fields.flatMap(describe));
  }

  /** Let Python prepare the packet, if it runs; then show everything. */
  async function refresh() {
    try {
      if (python.running) prepared = await (await python.ops()).preview();
    } catch (error) {
      prepared = undefined;
      tell(answer, "packet.notPrepared", { message: /** @type {Error} */ (error).message });
    }
    await read();
  }

  /** @param {"on" | "off"} choice */
  async function choose(choice) {
    wished = choice === "on";
    choosing++;
    await writeConsent(choice, { revision: revision ?? 0, strict: strictly }).finally(() => choosing--);
    onChoice();
    failure = "";
    withdrawn = false;
    await refresh();
  }

  box.addEventListener("change", () => choose(box.checked ? "on" : "off"));
  strict.addEventListener("change", () => {
    strictly = strict.checked;
    const choice = state?.consent?.choice;
    if (choice === "on" || choice === "off") choose(choice);
    else show(); // nothing that can be read was chosen yet
  });
  accept.addEventListener("click", () => choose("on"));
  refuse.addEventListener("click", () => choose("off"));
  prepare.addEventListener("click", async () => {
    prepare.disabled = true;
    tell(answer, "packet.preparing");
    try {
      await (await python.ops()).update(); // a model may be what was missing
      await refresh();
      answer.textContent = prepared?.text ? "" : (prepared?.reason?.message ?? "");
    } catch (error) {
      tell(answer, "packet.notPrepared", { message: /** @type {Error} */ (error).message });
    }
    prepare.disabled = false;
  });
  send.addEventListener("click", async () => {
    sending = send.disabled = true;
    tell(answer, "packet.sending");
    try {
      const { ok, status, body } = await (await python.ops()).send();
      tell(answer, ok ? "packet.accepted" : "packet.refused", { status, answer: body });
    } catch (error) {
      tell(answer, "packet.failed", { message: /** @type {Error} */ (error).message });
    }
    sending = false;
    await refresh();
  });
  withdraw.addEventListener("click", async () => {
    withdrawing = true;
    answer.textContent = ""; // the server may be about to forget what it stored
    await choose("off");
    try {
      // Without reports there is nothing to delete, so Python is not started.
      if (python.running || (await storage.get("reports"))) await (await python.ops()).withdraw();
      withdrawn = true;
    } catch (error) {
      failure = say("withdraw.failed", { message: /** @type {Error} */ (error).message });
    }
    withdrawing = false;
    await refresh();
  });

  /** A value changed, here or in another tab. @param {string} key */
  function changed(key) {
    if (KEYS.includes(key) && key !== "measurements") read(); // they change with every context: the end of a run is told
    if (key === "consent") refresh();
  }
  const line = storage.line();
  line?.addEventListener("message", ({ data }) => changed(data));
  python.on("stored", async ({ key, value }) => {
    if (await storage.persistent()) return; // the line tells
    storage.volatile.set(key, value);
    changed(key);
  });
  // An open page must not go on saying what was true yesterday.
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  show();
  const first = read().then(() => {
    if (state?.consent) onChoice();
  });

  return {
    refresh,
    show,
    /** The server's policy, or null if it cannot be asked. @param {Boot | null} boot */
    async policy(boot) {
      if (boot) noteSignal(boot.privacySignal);
      revision = boot ? boot.policyRevision : null;
      await first;
      show();
      notes ??= /** @type {PrivacyNotes | undefined} */ (await getJson("api/privacy.json").catch(() => undefined)); // the sample is left out
      show();
    },
  };
}

/** @param {PrivacyState["sent"][number]} item */
function historyItem(item) {
  const value = `${item.value.toLocaleString(language, { maximumSignificantDigits: 6 })}×`;
  const words = say("history.item", { ...item, value, fate: say(`fate.${item.state}`) });
  return element("li", {}, words, element("details", {}, element("summary", {}, say("history.bytes")), element("pre", { tabindex: "0", role: "group", "aria-label": say("history.bytes") }, item.text)));
}

/** A row of the field table, which the code and the privacy policy share. @param {Field} field */
function describe(field) {
  // Names of other fields stand between backticks.
  const parts = (field.what[language] ?? field.what.en).split("`");
  return [element("dt", {}, field.name), element("dd", {}, ...parts.map((part, i) => (i % 2 ? element("code", {}, part) : part)))];
}
