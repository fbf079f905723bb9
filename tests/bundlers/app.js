// A small app that uses all of the package. What it found is in `window.found`.
import { choose, connect } from "fleetune";
import "fleetune/widget";

const server = new URL(location.href).searchParams.get("server");
const plain = (data) => data.reduce((a, b) => a + b, 0);
const loop = (data) => {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i];
  return sum;
};

async function run() {
  const sum = await choose("sum", { plain, loop }, { input: (n, random) => Float64Array.from({ length: n }, random), sizes: [64], budgetMs: 300 });
  const tuner = await connect({ server });
  const dot = await tuner.kernel("dot");
  const card = document.createElement("fleetune-widget");
  card.setAttribute("server", server);
  document.body.append(card);
  const { state } = await tuner.consent.get();
  const enough = new AbortController();
  tuner.addEventListener("progress", ({ detail }) => detail.done >= 1 && enough.abort());
  const { results } = await tuner.benchmark({ budgetMs: 60000, kernels: ["dot"], signal: enough.signal });
  const { measured } = await sum.ready;
  return {
    sum: sum(Float64Array.of(1, 2, 3)),
    measured,
    dot: dot(Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6)),
    state,
    results: results.length,
    card: card.shadowRoot.textContent,
  };
}

run().then(
  (found) => (window.found = found),
  (error) => (window.found = { failed: String(error.stack ?? error) }),
);
