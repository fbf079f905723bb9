// The stopping rule of `choose` over recorded series: which batches it asks for, where it stops, what it says.
import { readFileSync } from "node:fs";
import { Rounds } from "../browser/web/shared/rounds.js";
import { seeded } from "../browser/web/shared/numbers.js";

const answers = {};
for (const [place, series] of Object.entries(JSON.parse(readFileSync(process.argv[2], "utf8")))) {
  const [reference] = Object.keys(series);
  const rounds = new Rounds(Object.keys(series), { reference, random: seeded(1) });
  const used = Object.fromEntries(Object.keys(series).map((name) => [name, 0]));
  for (let order = rounds.next(); order.length; order = rounds.next()) {
    for (const name of order) rounds.add(name, series[name].ms[used[name]++ % series[name].ms.length], series[name].quantum);
  }
  answers[place] = { ...rounds.answer(), used };
}
process.stdout.write(JSON.stringify(answers));
