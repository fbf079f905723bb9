// @ts-check

/**
 * Where the server's decisions for any environment are, relative to the server; booleans as 0 and 1. Nobody asks so
 * about the browser at hand: see get_json.js.
 * @param {Record<string, any>} environment the wire fields
 */
export function decisionsPath(environment) {
  const query = Object.entries(environment).map(([name, value]) => [name, String(typeof value === "boolean" ? +value : value)]);
  return `api/decisions?${new URLSearchParams(query)}`;
}
