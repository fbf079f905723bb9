// shared/rounds.js over series of batches: which it asks for, and what it says.
import { readFileSync } from "node:fs";
import { seeded } from "../browser/web/shared/numbers.js";
import { Rounds } from "../browser/web/shared/rounds.js";

const { series: places, options } = JSON.parse(readFileSync(0, "utf8"));
const answers = {};
for (const [place, series] of Object.entries(places)) {
  const names = Object.keys(series);
  answers[place] = {};
  for (const current of [names[0], names.at(-1)]) {
    const rounds = new Rounds(names, { reference: names[0], current, random: seeded(1), ...options });
    const used = Object.fromEntries(names.map((name) => [name, 0]));
    for (let order = rounds.next(); order.length; order = rounds.next()) {
      for (const name of order) rounds.add(name, series[name].ms[used[name]++ % series[name].ms.length], series[name].quantum);
    }
    answers[place][current] = { ...rounds.answer(), used };
  }
}
process.stdout.write(JSON.stringify(answers));
