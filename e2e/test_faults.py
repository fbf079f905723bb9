"""Journey: faults. A variant that is wrong, traps, hangs or is no module is named; the rest is measured."""

from __future__ import annotations

import pytest

from e2e.drivers.base import Page
from e2e.planted import FAULTS, KERNEL, plant
from e2e.steps import BOOT_SECONDS
from e2e.wire import Wire

SETTINGS = {"kernels": plant()}
RUN = """
const { connectWorker } = await import(new URL("static/shared/rpc.js", location.href).href);
const events = [];
const onEvent = (name, data) => events.push([name, data]);
const { ops } = await connectWorker(new URL("static/workers/python_worker.js", location.href), { onEvent });
const outcome = await ops.benchmark({ workloads: a[0] });
return { outcome, aside: events.filter(([name]) => name === "setAside").map(([, data]) => data) };
"""


@pytest.mark.deep
def test_bad_variants_are_set_aside_and_named_and_the_rest_goes_on(page: Page, wire: Wire) -> None:
    page.open(wire.url)
    workloads = [{"kernel": KERNEL, "size": size, "pattern": "random", "copied": False} for size in (64, 512)]
    seen = page.evaluate(RUN, workloads, timeout=BOOT_SECONDS + 60)
    reasons = {event["candidate"]: event["reason"] for event in seen["aside"]}
    assert reasons.keys() == FAULTS.keys(), "each is named once"
    for candidate, (_, word) in FAULTS.items():
        assert word in reasons[candidate]
    assert len(seen["outcome"]["results"]) == len(workloads)
    for result in seen["outcome"]["results"]:
        measured = {name for name, row in result["candidates"].items() if row["ok"]}
        assert measured == result["candidates"].keys() - FAULTS.keys()
        assert {"js", "scalar"} <= measured
        assert result["choice"] in measured
