// @ts-check
/** "Was this choice good?": one tap, randomised and sent by Python, only while telemetry is on. */
import { element, fill, find } from "./dom.js";
import { count, say } from "./i18n.js";

/** @typedef {import("./python.js").Python} Python */

/** @param {Python} python */
export function satisfactionCard(python) {
  const card = find("#satisfactionCard");
  const answer = find("#satisfactionAnswer");
  const shown = find("#satisfactionSent");
  const buttons = ["#satisfied", "#unsatisfied"].map((selector) => find(selector));

  /** @param {boolean} good */
  async function tap(good) {
    for (const button of buttons) button.setAttribute("aria-disabled", "true"); // not `disabled`: the focus stays
    answer.textContent = say("packet.sending");
    try {
      const { text } = await (await python.ops()).satisfaction({ good });
      shown.textContent = text; // the very bytes
      shown.hidden = false;
      answer.textContent = say("satisfaction.thanks");
    } catch (error) {
      answer.textContent = say("packet.failed", { message: /** @type {Error} */ (error).message });
    }
    for (const button of buttons) button.removeAttribute("aria-disabled");
    await refresh();
  }

  /** Everything that was ever answered, from Python if it runs. */
  async function refresh() {
    if (!python.running) return;
    const { sent, budget } = await (await python.ops()).answers();
    fill(
      find("#answers"),
      ...sent.map((/** @type {any} */ { day, nonce, text }) =>
        element("li", {}, say("satisfaction.item", { day, nonce }), element("pre", {}, text)),
      ),
    );
    find("#answersEmpty").hidden = sent.length > 0;
    find("#answersBudget").textContent = say("satisfaction.budget", { spent: count(budget.spent), cap: count(budget.cap) });
  }

  buttons.forEach((button, i) =>
    button.addEventListener("click", () => button.getAttribute("aria-disabled") !== "true" && tap(i === 0)),
  );
  return {
    /** @param {boolean} on whether telemetry is on */
    async show(on) {
      card.hidden = !on;
      if (on) await refresh();
    },
  };
}
