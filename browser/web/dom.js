// @ts-check
/** Three helpers over the DOM; text is always text, never markup. */

/** The one element that matches; its absence is a mistake in the page. @param {string} selector @returns {HTMLElement} */
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
