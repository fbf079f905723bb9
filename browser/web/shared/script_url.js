// @ts-check
/** @type {{createScriptURL(url: string): string} | undefined} */
let policy;

/** A script's address, for pages that demand Trusted Types too; they allow the policy `fleetune`. @param {string} url */
export function scriptUrl(url) {
  const { trustedTypes } = /** @type {any} */ (globalThis);
  policy ??= trustedTypes?.createPolicy("fleetune", { createScriptURL: (/** @type {string} */ given) => given });
  return policy?.createScriptURL(url) ?? url;
}
