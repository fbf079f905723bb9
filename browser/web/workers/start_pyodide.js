// @ts-check
/** @import { Parts } from "../shared/wire" */
import { sha256 } from "./digest.js";

/**
 * Start Python from the memory snapshot that was made at build time; without it where that does not work.
 * @param {typeof import("pyodide").loadPyodide} loadPyodide @param {string} indexURL where Pyodide's files are
 * @param {Parts["snapshot"]} snapshot gzipped memory beside them (browser/snapshot.mjs)
 * @param {(text: string) => void} warn hears why the snapshot is not used
 */
export async function startPyodide(loadPyodide, indexURL, snapshot, warn) {
  if (!snapshot) warn("Python starts without its snapshot: the server has none, or this browser cannot use it");
  else {
    try {
      const response = await fetch(`${indexURL}${snapshot.file}`, { credentials: "omit" });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const packed = await response.arrayBuffer();
      // Pyodide hangs on any other memory.
      if ((await sha256(packed)) !== snapshot.sha256) throw new Error("it is not the one that the server names");
      const memory = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
      return await loadPyodide({ indexURL, _loadSnapshot: memory });
    } catch (error) {
      warn(`Python starts without its snapshot: ${/** @type {Error} */ (error).message}`);
    }
  }
  return loadPyodide({ indexURL });
}
