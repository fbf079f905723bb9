// @ts-check
/** Technical terms, explained on hover, focus or tap; Escape closes. */
import { element, find } from "./dom.js";
import { say } from "./i18n.js";

/** Words with an explanation, `term.<key>`. @param {string} key @param {string} words */
export function term(key, words) {
  return element("button", { class: "term", type: "button", "data-term": key }, words);
}

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
    place();
  }

  function place() {
    if (!open) return;
    const box = open.getBoundingClientRect();
    tip.style.top = `${box.bottom + scrollY + 6}px`;
    tip.style.left = `${Math.max(8, Math.min(box.left + scrollX, innerWidth - tip.offsetWidth - 8))}px`;
  }

  /** @param {Event} event */
  function under({ target }) {
    const found = target instanceof Element && target.closest("[data-term]");
    return found instanceof HTMLElement ? found : undefined;
  }

  for (const name of ["pointerover", "focusin", "click"]) {
    document.addEventListener(name, (event) => {
      const found = under(event);
      if (found) show(found);
    });
  }
  for (const name of ["pointerout", "focusout"]) document.addEventListener(name, (event) => under(event) && hide());
  addEventListener("resize", place);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
}
