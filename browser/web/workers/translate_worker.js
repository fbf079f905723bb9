// @ts-check
/** Python for `/functions/new`: Pyodide without packages, and the translator's wheel. It translates source text and runs none. */
/** @import { TranslateOperations } from "../shared/operations" @import { Parts } from "../shared/wire" */
import { beat, refuse, serve } from "../shared/rpc.js";
import { fetchWheel, startPyodide } from "./python_files.js";

const server = new URL("../../", import.meta.url);

async function main() {
  const answer = await fetch(new URL("../parts.json", import.meta.url), { credentials: "omit" });
  if (!answer.ok) throw new Error(`the server does not say where Python is (HTTP ${answer.status}): reload the page`);
  const parts = /** @type {Parts} */ (await answer.json());
  const wheel = fetchWheel(new URL(parts.translator, server).href);
  wheel.catch(() => {}); // it is awaited below
  const pyodide = await startPyodide(parts, server);
  pyodide.unpackArchive(await wheel, "wheel");
  const { translated } = pyodide.pyimport("kernels_wasm.translate.module");
  serve({
    /** @type {TranslateOperations["translate"]} */
    translate: ({ source }) => JSON.parse(translated(source)),
  });
}

beat();
main().catch(refuse);
