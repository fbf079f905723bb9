// @ts-check

/** The JSON at `url`, asked for without credentials or referrer. @param {string} url @returns {Promise<any>} */
export async function getJson(url) {
  const response = await fetch(url, { credentials: "omit", referrerPolicy: "no-referrer" });
  if (!response.ok) throw new Error(`Fleetune: ${url} answered ${response.status}`);
  return response.json();
}
