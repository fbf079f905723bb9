"""Where `choose` runs: storage, clocks and realms that hinder it, and pages that call it very often."""

# ruff: noqa: E501

from __future__ import annotations

import json
from typing import Any

import pytest
from tests import node
from tests.test_choose_calls import EMBED, PRELUDE

STORAGES = {
    "hangs": "{ open: () => ({}), databases: async () => [] }",
    "throws": "{ open() { throw new DOMException('no', 'SecurityError'); } }",
    "fails": "{ open: () => { const request = {}; setTimeout(() => request.onerror()); return request; } }",
    "blocked": "{ open: () => { const request = {}; setTimeout(() => request.onblocked()); return request; } }",
    "closing": "{ open: () => { const result = { transaction() { throw new DOMException('closing', 'InvalidStateError'); } }; const request = { result }; setTimeout(() => request.onsuccess()); return request; } }",
    "aborts": "{ open: () => { const result = { transaction: () => { const one = { objectStore: () => ({ get: () => ({}), put: () => ({}) }) }; setTimeout(() => one.onabort()); return one; } }; const request = { result }; setTimeout(() => request.onsuccess()); return request; } }",
}


@pytest.mark.parametrize("storage", STORAGES)
def test_no_storage_keeps_a_choice_from_being_made_and_measured(storage: str) -> None:
    script = f"""
        globalThis.indexedDB = {STORAGES[storage]};
        const {{ choose }} = await import({json.dumps((EMBED / "choose.js").as_uri())});
        const sum = (data) => data.reduce((total, value) => total + value, 0);
        const slow = (data) => {{ const end = performance.now() + 0.2; while (performance.now() < end); return sum(data); }};
        const given = {{ slow, a: sum, b: (d) => sum(d), c: {{ async: false, load: () => (d) => sum(d) }} }};
        const began = performance.now();
        const f = await choose("job", given, {{ input: (n) => new Uint8Array(n), sizes: [8, 512], budgetMs: 4000 }});
        const start = performance.now() - began;
        await f.ready;
        console.log(JSON.stringify([start < 2500, f.contexts().length, f.explain({{ size: 512 }}).implementation !== "slow"]));
    """
    assert node.evaluate(script) == [True, 2, True]


CLOCKS = {
    "a millisecond": "(real) => Math.floor(real())",
    "a frame": "(real) => Math.floor(real() / 16.7) * 16.7",
    "a tenth": "(real) => Math.floor(real() / 100) * 100",
    "stands still": "() => 5",
    "runs back": "(real) => 1e6 - real()",
    "falls back": "(real) => real() - (real() > since + 500 ? 3_600_000 : 0)",
    "leaps": "(real) => real() + (real() > since + 500 ? 3_600_000 : 0)",
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_measuring_ends_near_its_budget_by_any_clock(clock: str) -> None:
    script = f"""
        {PRELUDE.replace("const spin", "const spinning")}
        const real = performance.now.bind(performance);
        const since = real();
        const clock = {CLOCKS[clock]};
        performance.now = () => clock(real);
        const work = (times) => (data) => {{ let total = 0; for (let i = 0; i < times; i++) total = sum(data); return total; }};
        const f = await choose("job", {{ long: work(20), short: work(1) }}, {{ ...options, measure: "never" }});
        const began = real();
        await f.measure({{ budgetMs: 1500 }});
        const took = real() - began;
        console.log(JSON.stringify([took < 4000, f(Uint8Array.of(1, 2))]));
    """
    assert node.evaluate(script) == [True, 3]


REALMS = {
    "frozen": "for (const one of [Object, Function, Array, Promise, Error, Map, Set, EventTarget, Event, String, Number]) { Object.freeze(one.prototype); Object.freeze(one); }",
    "extended": "Object.prototype.extra = Array.prototype.extra = Function.prototype.extra = { odd: true };",
    "bare": "for (const one of ['scheduler', 'requestIdleCallback', 'navigator', 'AbortSignal_', 'Blob', 'BroadcastChannel', 'MessageChannel', 'indexedDB']) delete globalThis[one];",
    "page": "globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };",
    "locks refuse": "Object.defineProperty(globalThis, 'navigator', { value: { locks: { request: async () => { throw new DOMException('no', 'SecurityError'); }, query: async () => { throw new DOMException('no', 'SecurityError'); } } }, configurable: true });",
    "locks throw": "Object.defineProperty(globalThis, 'navigator', { value: { locks: { request() { throw new DOMException('no', 'SecurityError'); }, query() { throw new DOMException('no', 'SecurityError'); } } }, configurable: true });",
}


@pytest.mark.parametrize("realm", REALMS)
def test_a_choice_is_made_and_measured_in_any_realm(realm: str) -> None:
    script = f"""
        {REALMS[realm]}
        {PRELUDE.replace("import {", "const {").replace("} from ", "} = await import(").replace('.js";', '.js");')}
        const f = await choose("job", {{ slow, fast: sum, late: {{ async: false, load: async () => (d) => sum(d) }} }}, options);
        await f.ready;
        console.log(JSON.stringify([f.contexts().length, f.explain().implementation !== "slow", f(Uint8Array.of(1, 2)), f.explain().setAside]));
    """
    assert node.evaluate(script) == [2, True, 3, {}]


def test_a_million_calls_and_ten_thousand_choices_leave_nothing_behind() -> None:
    grown: Any = json.loads(
        node.run(
            "--expose-gc",
            "--input-type=module",
            "-e",
            f"""
        {PRELUDE}
        const made = async (count) => {{
          for (let i = 0; i < count; i++) (await choose("job", {{ slow, sum }}, {{ ...options, measure: i % 2 ? "idle" : "calls" }})).close();
          await new Promise((resolve) => setTimeout(resolve, 1000));
          gc();
          return process.memoryUsage().heapUsed;
        }};
        const before = await made(1000);
        const choices = (await made(3000)) - before;
        const f = await choose("calls", {{ sum, other: (d) => sum(d) }}, options);
        await f.ready;
        const data = Uint8Array.of(1, 2);
        for (let i = 0; i < 1e5; i++) f(data);
        gc();
        const held = process.memoryUsage().heapUsed;
        for (let i = 0; i < 1e6; i++) f(data);
        gc();
        process.stdout.write(JSON.stringify([choices / 3000, process.memoryUsage().heapUsed - held]));
    """,
        )
    )
    assert grown[0] < 300, "bytes a choice"
    assert grown[1] < 500_000
