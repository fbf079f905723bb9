/** Serve this folder at http://127.0.0.1:8123 as an isolated page: threads and fine clocks need these headers. */
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };
const HEADERS = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

const server = createServer(async ({ url }, response) => {
  const path = normalize(new URL(url, "http://localhost").pathname);
  const file = join(import.meta.dirname, path === "/" ? "index.html" : path);
  try {
    const body = await readFile(file);
    response.writeHead(200, { ...HEADERS, "content-type": TYPES[extname(file)] ?? "application/octet-stream" }).end(body);
  } catch {
    response.writeHead(404, HEADERS).end();
  }
});
server.listen(Number(process.env.PORT ?? 8123), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
