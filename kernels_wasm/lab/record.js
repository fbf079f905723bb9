// Body of an async function, run in a page of our own server: a = [workloads, seed, batchMs].
// Starts the page's own Python worker and its `benchmark` operation; what comes is kept in `globalThis.lab`, which
// the recorder polls.
const [workloads, seed, batchMs] = a;
const lab = (globalThis.lab = { results: [], done: false, error: null, stage: "starting", aside: [] });
const { connectWorker } = await import("/static/shared/rpc.js");
const worker = await connectWorker("/static/workers/python_worker.js", {
  onEvent: (name, detail) => {
    if (name === "result") lab.results.push(detail);
    if (name === "setAside") lab.aside.push(detail);
    if (name === "boot") lab.stage = detail.stage;
    if (name === "progress") lab.stage = `${detail.done}/${detail.total} ${detail.kernel}`;
  },
});
worker.closed.then((reason) => (lab.error ??= String(reason)));
lab.environment = await worker.ops.environment();
worker.ops.benchmark({ workloads, seed, batchMs, fixed: true }).then(
  () => (lab.done = true),
  (error) => (lab.error = String(error)),
);
return lab.environment;
