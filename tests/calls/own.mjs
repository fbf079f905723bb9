// Reads {root, entry, pattern, calls} on stdin: an operator's kernel, packed into files below root. Makes the calls as a page
// does, for one candidate or by `rows` of decisions (and `copied` ones), and writes what each gave.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { TunedKernel } from "../../browser/web/embed/tuned_kernel.js";

const { root, entry, candidate, calls, rows = [{ choice: candidate, log2Size: 0 }], copied = rows, memoryBytes = 1 << 20, refuse = false } = JSON.parse(readFileSync(0, "utf8"));
const script = await import(pathToFileURL(`${root}/embed/${entry.name}.js`).href);
const load = async (name) => WebAssembly.compile(readFileSync(`${root}/own/${entry.name}/${name}.wasm`));
const events = [];
if (refuse) {
  WebAssembly.Memory = class {
    constructor() {
      throw new RangeError("could not allocate memory");
    }
  };
}
const tuned = new TunedKernel(entry, script, memoryBytes, load, entry.patterns[0], (name, reason) => events.push([name, reason]));
await tuned.follow({ [entry.patterns[0]]: rows, [`${entry.patterns[0]}+copied`]: copied });
const answers = calls.map(({ args, inside = false }) => {
  const made = args.map((arg) => {
    if (typeof arg === "number") return arg;
    const Type = globalThis[arg.type];
    if (!inside) return Type.from(arg.values);
    const view = tuned.arena.alloc(Type, arg.values.length);
    view.set(arg.values);
    return view;
  });
  let [result, error] = [null, null];
  try {
    result = tuned.call(...made) ?? null;
  } catch (caught) {
    error = `${caught.name}: ${caught.message}`;
  }
  return { result, error, arrays: made.filter(ArrayBuffer.isView).map((array) => [...array]), last: tuned.last ?? null };
});
process.stdout.write(JSON.stringify({ answers, events }));
