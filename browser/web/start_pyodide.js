// @ts-check
import { sha256 } from "./digest.js";

/** Starting Python: from the memory that was kept when the server was built, plainly where that does not work. */

/**
 * @param {(options: any) => Promise<any>} loadPyodide @param {string} indexURL where Pyodide's files are
 * @param {{file: string, sha256: string} | null | undefined} snapshot gzipped memory beside them (browser/snapshot.mjs)
 * @param {(text: string) => void} warn told why the snapshot was not used
 */
export async function startPyodide(loadPyodide, indexURL, snapshot, warn) {
  if (snapshot) {
    try {
      const response = await fetch(`${indexURL}${snapshot.file}`, { credentials: "omit" });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const packed = await response.arrayBuffer();
      // Pyodide hangs on memory that is not its own: nothing else may reach it.
      if ((await sha256(packed)) !== snapshot.sha256) throw new Error("it is not the one that the server names");
      const memory = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
      return await loadPyodide({ indexURL, _loadSnapshot: memory });
    } catch (error) {
      warn(`Python starts without its snapshot: ${/** @type {Error} */ (error).message}`);
    }
  }
  return loadPyodide({ indexURL });
}
