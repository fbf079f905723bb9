// Visits of a page that brings its own copy of the client: reads {web, server, visits} from stdin, prints what each one found.
import { readFileSync } from "node:fs";

const { web, server, visits, old } = JSON.parse(readFileSync(0, "utf8"));
if (old) crypto.subtle.importKey = () => Promise.reject(new DOMException("Ed25519 is unknown", "NotSupportedError"));
const { connect } = await import(`${web}embed/fleetune.js`);
const [plain, clock] = [globalThis.fetch, Date.now];
const found = [];
for (const [number, { keys, later = 0, name = "dot", all }] of visits.entries()) {
  const asked = [];
  globalThis.fetch = (url, init) => {
    asked.push(String(url).slice(server.length - 1).split("?")[0]);
    return plain(url, { ...init, headers: { "x-visit": String(number) } });
  };
  Date.now = () => clock() + 1000 * later;
  const aside = [];
  try {
    const tuner = await connect({ server, keys, all });
    tuner.addEventListener("setaside", ({ detail }) => aside.push(detail.candidate));
    const call = await tuner.kernel(name);
    const vectors = [Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6)];
    found.push({ sum: call(...(name === "dot" ? vectors : vectors.slice(0, 1))), aside, version: tuner.version, asked });
  } catch (error) {
    found.push({ code: error.code ?? error.message, asked });
  }
}
console.log(JSON.stringify(found));
process.exit();
