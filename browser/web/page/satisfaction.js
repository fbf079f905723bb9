// @ts-check
/** "Was this choice good?": one tap, randomised and sent by Python, only while telemetry is on. */
import { element, fill, find } from "../shared/dom.js";
import { say } from "../shared/i18n.js";

/** @import { Python } from "../shared/python" @import { PrivacyState } from "./privacy_state" */

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
      shown.textContent = text; // exactly the bytes that were sent
      shown.hidden = false;
      answer.textContent = say("satisfaction.thanks");
    } catch (error) {
      answer.textContent = say("packet.failed", { message: /** @type {Error} */ (error).message });
    }
    for (const button of buttons) button.removeAttribute("aria-disabled");
  }

  buttons.forEach((button, i) =>
    button.addEventListener("click", () => button.getAttribute("aria-disabled") !== "true" && tap(i === 0)),
  );
  return {
    /** @param {boolean} on whether telemetry is on @param {PrivacyState} state @param {string} budget in words */
    show(on, { answers }, budget) {
      card.hidden = !on;
      fill(
        find("#answers"),
        ...answers.map(({ day, nonce, text }) =>
          element("li", {}, say("satisfaction.item", { day, nonce }), element("pre", { tabindex: "0", role: "group", "aria-label": say("packet.label") }, text)),
        ),
      );
      find("#answersEmpty").hidden = answers.length > 0;
      find("#answersBudget").textContent = budget;
    },
  };
}
