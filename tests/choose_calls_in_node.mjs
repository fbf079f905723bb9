// A page in a simulated world: its clock moves only when functions of known speeds run. What does `measure: "calls"` learn, and at what price?
import { choose } from "../browser/web/embed/choose.js";

let [time, step] = [1000, 0.005];
Object.defineProperty(performance, "now", { value: () => (time += Math.max(1e-5, step / 5000), Math.floor(time / step) * step) });
const real = (data) => data.reduce((sum, value) => sum + value, 0);
/** What cannot be copied. */
class Own { constructor(data) { this.data = data; this.length = data.length; } reduce(...how) { return this.data.reduce(...how); } }

async function run(name, world) {
  let paging = false; // whether the page itself is calling
  const spent = { page: 0, explored: 0 };
  let own; // the arguments of the page's call: while it waits for a promise, others may be tried on copies
  step = world.step ?? 0.005;
  const spend = (ms, own) => {
    time += ms;
    spent[own ? "page" : "explored"] += ms;
  };
  let calls = 0;
  const rounds = world.rounds ?? 15000;
  const made = { reference: 1, ...world.speeds };
  const lie = { liar: () => true, large: (data) => data.length > 100, later: () => calls > 20 };
  const implementations = Object.fromEntries(
    Object.entries(made).map(([name, speed]) => {
      const work = (data) => {
        const factor = Array.isArray(speed) ? (calls > (world.changes ?? rounds / 3) ? speed[1] : speed[0]) : speed;
        spend((factor * (world.ms ?? 1) * data.length) / 64, paging && (data === own || !world.waits));
        return real(data) + (lie[name]?.(data) ? 1 : 0);
      };
      if (name === "sorts") return [name, (data) => (data.sort(), work(data))];
      if (name === "throws") return [name, (data) => { if (data.length > 60 && calls > 500) throw new Error("tired"); return work(data); }];
      return [name, world.waits ? async (data) => work(data) : work];
    }),
  );
  const f = await choose(name, implementations, { measure: "calls", async: world.waits, size: (data) => data.length });
  const aside = {};
  f.addEventListener("setaside", ({ detail }) => (aside[detail.implementation] = detail.reason));
  await new Promise((resolve) => setTimeout(resolve, 30)); // until the modules are there

  let wrong = 0;
  const used = [];
  const sizes = world.sizes ?? [64];
  for (; calls < rounds; calls++) {
    const size = sizes[calls % sizes.length];
    const numbers = Float64Array.from({ length: size }, (_, i) => (i * 7 + calls) % 5);
    const data = world.own ? new Own(numbers) : numbers;
    const expected = real(data);
    [paging, own] = [true, data];
    const found = f(data);
    paging = false;
    const result = world.waits ? ((paging = true), await found.finally(() => (paging = false))) : found;
    if (result !== expected) wrong++;
    time += 0.3; // the page does something else
    if (calls % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (calls % (rounds / 10) === 0) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      used.push(f.explain({ size: sizes[0] }).implementation);
    }
  }
  const choices = Object.fromEntries(sizes.map((size) => [size, f.explain({ size }).implementation]));
  const unseen = Float64Array.from({ length: 1024 }, (_, i) => i); // a size that the page has not called with
  paging = true;
  if ((await f(unseen)) !== real(unseen)) wrong++;
  f.close();
  return { choices, wrong, aside, used, ...spent, sizes: f.contexts().map(({ size }) => size) };
}

const answers = {};
for (const [name, world] of Object.entries(JSON.parse(process.argv[2]))) answers[name] = await run(name, world);
process.stdout.write(JSON.stringify(answers));
process.exit();
