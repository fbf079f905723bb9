// @ts-check
/** Helpers over the DOM. Text is always set as text, never as markup. */

/** The one element that matches; an error if there is none. @param {string} selector @returns {HTMLElement} */
export function find(selector, root = /** @type {ParentNode} */ (document)) {
  const node = root.querySelector(selector);
  if (!(node instanceof HTMLElement)) throw new Error(`the page has no ${selector}`);
  return node;
}

/**
 * @param {string} tag @param {Record<string, string>} attributes @param {...(Node | string | false | undefined)} children
 */
export function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== "") node.setAttribute(name, value);
  for (const child of children) if (child) node.append(child);
  return node;
}

/** @param {HTMLElement} host @param {...(Node | string)} children */
export function fill(host, ...children) {
  host.replaceChildren(...children);
}

/**
 * Show a line in the page's notices, once per text.
 * @param {string} text @param {"good" | "bad" | "warn"} [kind] @returns {() => void} removes it
 */
export function notice(text, kind = "warn") {
  const host = find("#notices");
  const known = [...host.children].find((child) => child.textContent === text);
  const line = known ?? element("p", { class: `notice ${kind}` }, text);
  if (!known) host.append(line);
  return () => line.remove();
}

/** @param {string} text @returns {Promise<boolean>} false where the browser refuses */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // no secure context, or not allowed
  }
}
