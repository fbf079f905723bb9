// @ts-check
/** @import { EmbedScript } from "./wire" @import * as Api from "./api" */
import { unlike } from "./trust.js";

/**
 * A script, after what it imports, from texts that were compared: for workers and Node, which have no elements.
 * @param {{url: string, integrity: string}[]} files @param {(typeof Api)["ask"]} ask @returns {Promise<EmbedScript>}
 */
export async function importText(files, ask) {
  let [before, address] = ["", ""];
  for (const { url, integrity } of files) {
    const text = await ask(url, true, integrity).then((response) => response.text(), () => unlike(url));
    const whole = before ? text.replace(JSON.stringify(`./${before}`), () => JSON.stringify(address)) : text;
    [before, address] = [/** @type {string} */ (url.split("/").pop()), `data:text/javascript,${encodeURIComponent(whole)}`];
  }
  return import(/* webpackIgnore: true */ /* @vite-ignore */ address);
}
