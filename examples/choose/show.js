/** A job's table: what runs at each size, and what was timed. */
import { choose } from "fleetune/choose";

export async function show(name, implementations, options) {
  const chosen = await choose(name, implementations, options);
  const table = document.body.appendChild(document.createElement("table"));
  const row = (kind, cells) => {
    const line = table.insertRow();
    for (const text of cells) line.appendChild(document.createElement(kind)).textContent = text;
  };
  const fill = () => {
    table.replaceChildren();
    row("th", ["size", ...Object.keys(implementations).map((one) => `${one}, ms`), "runs"]);
    for (const { size, times, choice } of chosen.contexts()) {
      row("td", [size, ...Object.keys(implementations).map((one) => times[one]?.toPrecision(3) ?? ""), choice]);
    }
  };
  chosen.addEventListener("decided", fill);
  chosen.addEventListener("setaside", ({ detail }) => document.body.append(`${detail.implementation}: ${detail.reason}. `));
  await chosen.ready;
  fill();
}
