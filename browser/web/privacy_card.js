// @ts-check
/** Consent, the exact packet, the budget, the history, and withdrawal. */
import { consentState, privacySignal, readConsent, writeConsent } from "./consent.js";
import { element, fill, find } from "./dom.js";
import { count, language, say } from "./i18n.js";
import { satisfactionCard } from "./satisfaction.js";
import * as storage from "./storage.js";

/** @typedef {import("./python.js").Python} Python */

/** @param {Python} python @param {number} revision of the policy @param {() => unknown} onChoice something may be stored from now on */
export async function privacyCard(python, revision, onChoice) {
  const box = /** @type {HTMLInputElement} */ (find("#enableTelemetry"));
  const strict = /** @type {HTMLInputElement} */ (find("#strict"));
  const send = /** @type {HTMLButtonElement} */ (find("#send"));
  const preview = find("#packetPreview");
  const answer = find("#serverAnswer");
  const satisfaction = satisfactionCard(python);
  let record = await readConsent();
  if (record) onChoice();

  function showConsent() {
    const { on, words } = consentState(record, revision);
    box.checked = on;
    strict.checked = record?.epsilon === 1;
    box.disabled = strict.disabled = privacySignal();
    /** @type {HTMLButtonElement} */ (find("#accept")).disabled = privacySignal();
    for (const id of ["#refuse", "#withdraw"]) /** @type {HTMLButtonElement} */ (find(id)).disabled = false;
    find("#consentState").textContent = say(words, { epsilon: count(record?.epsilon ?? 2) });
    return on;
  }

  /** @param {"on" | "off"} choice */
  async function choose(choice) {
    record = await writeConsent(choice, { revision, strict: strict.checked });
    onChoice();
    await satisfaction.show(showConsent());
    await refresh();
  }

  /** Show the packet that would be sent now, or why there is none; Python decides. */
  async function refresh() {
    if (!python.running) return;
    const ops = await python.ops();
    const { packet, text, reason, fields } = await ops.preview();
    preview.hidden = find("#fields").hidden = !packet;
    send.disabled = !packet;
    if (packet) {
      preview.textContent = text; // the very bytes
      fill(find("#fieldList"), ...fields.flatMap(describe));
      find("#packetHint").textContent = say("packet.ready");
    } else {
      find("#packetHint").textContent = reasonText(reason);
    }
    await history(ops);
  }

  /** @param {{code: string, message: string}} reason */
  function reasonText(reason) {
    const words = { nothing: "packet.hint", consent: "packet.needConsent", budget: "packet.spent" }[reason.code];
    return words ? say(words) : reason.message;
  }

  /** @param {any} ops */
  async function history(ops) {
    const { sent, budget } = await ops.history();
    fill(
      find("#history"),
      ...sent.map((/** @type {any} */ item) => element("li", {}, say("history.item", { ...item, value: `${item.value.toLocaleString(language, { maximumSignificantDigits: 6 })}×` }))),
    );
    find("#historyEmpty").hidden = sent.length > 0;
    const meter = /** @type {HTMLMeterElement} */ (find("#budget"));
    meter.max = budget.cap;
    meter.value = budget.spent;
    find("#budgetText").textContent = budget.spent
      ? say("budget.text", { ...budget, spent: count(budget.spent), cap: count(budget.cap) })
      : say("budget.empty");
  }

  box.addEventListener("change", () => choose(box.checked ? "on" : "off"));
  strict.addEventListener("change", () => record && choose(record.choice));
  find("#accept").addEventListener("click", () => choose("on"));
  find("#refuse").addEventListener("click", () => choose("off"));
  send.addEventListener("click", async () => {
    send.disabled = true;
    answer.textContent = say("packet.sending");
    try {
      const { ok, status, body } = await (await python.ops()).send();
      answer.textContent = say(ok ? "packet.accepted" : "packet.refused", { status, answer: body });
    } catch (error) {
      answer.textContent = say("packet.failed", { message: /** @type {Error} */ (error).message });
    }
    await refresh();
  });
  find("#withdraw").addEventListener("click", async () => {
    await choose("off");
    const said = find("#withdrawAnswer");
    // Nothing was ever drafted or sent: no need to start Python in order to delete it.
    if (!python.running && !(await storage.get("reports"))) {
      said.textContent = say("withdraw.nothing");
      return;
    }
    try {
      const { removed, late } = await (await python.ops()).withdraw();
      said.textContent = removed || late ? say("withdraw.done", { removed, late }) : say("withdraw.nothing");
    } catch (error) {
      said.textContent = say("withdraw.failed", { message: /** @type {Error} */ (error).message });
    }
    await refresh();
  });

  await satisfaction.show(showConsent());
  return { refresh };
}

/** @param {any} field one row of the field table that the code and the policy share */
function describe(field) {
  // Names of other fields stand between backticks.
  const parts = (field.what[language] ?? field.what.en).split("`");
  return [element("dt", {}, field.name), element("dd", {}, ...parts.map((/** @type {string} */ part, /** @type {number} */ i) => (i % 2 ? element("code", {}, part) : part)))];
}
