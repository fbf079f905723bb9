// @ts-check
/** Terms of art, explained on hover, focus or tap; Escape closes. */
import { find } from "./dom.js";
import { say } from "./i18n.js";

export function terms() {
  const tip = find("#tip");
  /** @type {HTMLElement | undefined} */
  let open;

  function hide() {
    tip.hidden = true;
    open?.removeAttribute("aria-describedby");
    open = undefined;
  }

  /** @param {HTMLElement} term */
  function show(term) {
    hide();
    open = term;
    tip.textContent = say(`term.${term.dataset.term}`);
    tip.hidden = false;
    term.setAttribute("aria-describedby", tip.id);
    const box = term.getBoundingClientRect();
    tip.style.top = `${box.bottom + scrollY + 6}px`;
    tip.style.left = `${Math.max(8, Math.min(box.left + scrollX, innerWidth - tip.offsetWidth - 8))}px`;
  }

  for (const term of document.querySelectorAll("[data-term]")) {
    if (!(term instanceof HTMLElement)) continue;
    term.addEventListener("pointerenter", () => show(term));
    term.addEventListener("pointerleave", hide);
    term.addEventListener("focus", () => show(term));
    term.addEventListener("blur", hide);
    term.addEventListener("click", () => show(term));
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
}
