"""A visit that knows its fastest implementation loads the reference when it is needed, and then it is there."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest
from tests import test_choose_calls

# The first visit measures; `loads` says what the later ones load. `change` is what becomes of an implementation meanwhile.
WORLD = """
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const loads = [];
const dear = async (d) => (spin(0.3), sum(d));
const made = (name, call, change = {}) => ({
  version: name, load: async () => (loads.push(name), await pause(name === "slow" ? 60 : 10), call), ...change,
});
const later = { ...options, sizes: [8], expect: { calls: 10_000 } };
const visit = (change = {}, given = later) => choose("job", {
  slow: made("slow", given.slow ?? dear, change.slow), fast: made("fast", given.fast ?? (async (d) => sum(d)), change.fast),
}, given);
const known = async (given) => {
  const first = await visit({}, given);
  await first.ready;
  first.close();
  loads.length = 0;
};
const data = Uint8Array.of(1, 2);
const told = (promise) => promise.then((value) => value, (error) => error.message);
"""


def run(script: str) -> Any:
    return test_choose_calls.run(WORLD + script)


def test_the_first_visit_starts_on_the_reference_and_the_next_loads_the_fastest_alone() -> None:
    assert run("""
        const first = await visit({}, { ...later, measure: "never" });
        answer = [[...loads], first.explain().implementation, await first(data)];
        await first.measure();
        loads.length = 0;
        const second = await visit();
        const { measured } = await second.ready;
        answer.push([...loads], second.explain().implementation, await second(data), measured, loads.length);
    """) == [["slow"], "slow", 3, ["fast"], "fast", 3, 0, 1]


def test_a_choice_that_is_synchronous_always_has_its_reference() -> None:
    assert run("""
        const change = { slow: { async: false }, fast: { async: false } };
        const given = { ...later, slow, fast: sum };
        await (await visit(change, given)).ready;
        loads.length = 0;
        const second = await visit(change, given);
        answer = [loads.sort(), second(data)];
    """) == [["fast", "slow"], 3]


def test_both_are_loaded_where_each_is_worth_it_for_a_size() -> None:
    assert run("""
        const given = {
          ...later, sizes: [8, 4096], expect: { calls: 1e6 },
          slow: async (d) => (d.length > 100 && spin(0.5), sum(d)), fast: async (d) => (d.length < 100 && spin(0.5), sum(d)),
        };
        await known(given);
        const second = await visit({}, given);
        await pause(200);
        answer = [[...loads].sort(), await second(data), second.explain({ size: 8 }).implementation, second.explain({ size: 4096 }).implementation];
        const few = { ...given, expect: { calls: 1 } };
        loads.length = 0;
        await visit({}, few);
        answer.push(loads.length);
    """) == [["fast", "slow"], 3, "slow", "fast", 1]


@pytest.mark.parametrize("in_place", [False, True])
def test_calls_that_fail_get_the_references_result_of_their_arguments_as_they_were(in_place: bool) -> None:
    """The caller of one that gives its result does not wait before it writes its array anew."""
    first, found, runs, aside = run(f"""
        const inPlace = {"true" if in_place else "false"};
        const ordered = (d) => void d.sort();
        const half = (d) => d.length === 5 && (inPlace && d.fill(0), fail("five"));
        const given = {{
          ...later,
          slow: async (d) => (spin(0.3), inPlace ? ordered(d) : sum(d)), fast: async (d) => (half(d), inPlace ? ordered(d) : sum(d)),
        }};
        await known(given);
        const f = await visit({{}}, given);
        const before = [...loads];
        const all = [1, 2, 3].map((more) => Uint8Array.of(5, 4, 3, 2, more));
        const calls = all.map((d) => f(d));
        await pause(1);
        if (!inPlace) for (const d of all) d.fill(9);
        const results = await Promise.all(calls);
        answer = [before, inPlace ? all.map((d) => [...d]) : results];
        answer.push([...loads], f.explain().setAside);
    """)
    assert first == ["fast"]
    assert found == ([[1, 2, 3, 4, 5], [2, 2, 3, 4, 5], [2, 3, 3, 4, 5]] if in_place else [15, 16, 17])
    assert runs == ["fast", "slow"], "it is loaded once"
    assert list(aside) == ["fast"]


def test_a_reference_that_cannot_be_loaded_when_it_is_needed_is_named_and_tried_again() -> None:
    assert run("""
        const given = { ...later, fast: async (d) => (d.length === 5 ? fail("five") : sum(d)) };
        await known(given);
        let there = false;
        const f = await visit({ slow: { load: async () => (there ? dear : fail("404")) } }, given);
        answer = [await told(f(new Uint8Array(5))), f.explain().setAside, await f(data)];
        there = true;
        answer.push(await f(new Uint8Array(5).fill(1)), Object.keys(f.explain().setAside), await f(data));
    """) == [
        "Fleetune: the reference slow of job cannot be used: it could not be loaded: 404",
        {},
        3,
        5,
        ["fast"],
        3,
    ]


LATER = {
    "throws": "{ load: () => fail('404') }",
    "rejects": "{ load: async () => fail('404') }",
    "gives nothing": "{ load: () => undefined }",
    "hangs": "{ load: () => new Promise(() => {}) }",
    "is not supported": "{ supported: () => false }",
    "cannot say": "{ supported: () => fail('odd') }",
    "never says": "{ supported: () => new Promise(() => {}) }",
}


@pytest.mark.parametrize("what", LATER)
def test_a_page_starts_soon_whatever_becomes_of_what_it_chose(what: str) -> None:
    started, result, implementation = run(f"""
        await known();
        const began = performance.now();
        const f = await visit({{ fast: {LATER[what]} }});
        const started = performance.now() - began;
        answer = [started, await f(data), f.explain().implementation];
        process.stdout.write(JSON.stringify(answer));
        process.exit(); // a load that hangs is watched for half a minute
    """)
    assert started < 1000
    assert (result, implementation) == (3, "slow")


def test_with_neither_there_is_no_choice() -> None:
    assert (
        run("""
        await known();
        answer = await told(visit({ slow: { load: () => fail("404") }, fast: { load: () => fail("500") } }));
    """)
        == "Fleetune: the reference slow of job cannot be used: it could not be loaded: 404"
    )


def test_one_that_the_page_ended_with_is_not_loaded_again() -> None:
    assert run(
        """
        const { mark, listOf } = await import(new URL("kept.js", EMBED));
        await known();
        const [{ key }] = await listOf("job");
        await mark({ name: "job", key }, "fast");
        const f = await visit();
        answer = [loads, await f(data), f.explain().setAside];
    """.replace("EMBED", f'"{test_choose_calls.EMBED.as_uri()}/"')
    ) == [["slow"], 3, {"fast": "the page ended while it was tried"}]


def test_measuring_again_compares_with_the_reference() -> None:
    assert run("""
        await known();
        const lies = { load: async () => async () => 7 };
        const f = await visit({ fast: lies });
        const before = [loads.length, await f(data)];
        await f.measure();
        answer = [before, loads, await f(data), f.explain().setAside];
    """) == [[0, 7], ["slow"], 3, {"fast": "8: its result is not the reference's"}]


def test_what_is_old_is_measured_again_with_the_reference() -> None:
    assert run("""
        await known();
        const now = Date.now;
        Date.now = () => now() + 31 * 86_400_000;
        const f = await visit();
        const before = [...loads];
        const { measured } = await f.ready;
        answer = [before, measured, [...loads]];
    """) == [["fast"], 1, ["fast", "slow"]]


def test_a_reference_that_cannot_be_loaded_to_measure_with_ends_measuring_and_not_the_calls() -> None:
    assert run("""
        await known();
        const f = await visit({ slow: { load: () => fail("404") } });
        answer = [await told(f.measure()), await f(data)];
    """) == ["Fleetune: the reference slow of job cannot be used: it could not be loaded: 404", 3]


def test_a_choice_that_is_closed_runs_the_reference() -> None:
    assert run("""
        let gone = 0;
        await known();
        const f = await visit({ fast: { dispose: () => gone++ } });
        f.close();
        answer = [await f(data), f.explain().implementation, gone, loads];
    """) == [3, "slow", 1, ["fast", "slow"]]


def test_a_size_that_is_no_number_is_the_references() -> None:
    assert run("""
        const given = { ...later, size: (d) => (d.length === 3 ? NaN : d.length) };
        await known(given);
        const f = await visit({}, given);
        answer = [await f(data), [...loads], await f(Uint8Array.of(1, 1, 1)), [...loads]];
    """) == [3, ["fast"], 3, ["fast", "slow"]]


def test_what_learns_from_calls_starts_on_the_reference() -> None:
    assert run("""
        const given = { ...later, measure: "calls" };
        const f = await visit({}, given);
        answer = [loads, await f(data)];
        f.close();
    """) == [["slow"], 3]


def test_loading_the_reference_is_weighed_like_any_other() -> None:
    alone, both, few, none = run("""
        const cells = (one, other) => [{ 8: { times: { a: one, b: 1 }, choice: "b" }, 64: { times: { a: 1, b: other }, choice: "a" } }];
        const worth = (patterns, calls, usable = () => true) => worthLoading(patterns, { a: { ms: 400 }, b: { ms: 500 } }, calls, usable, "a").sort();
        answer = [worth(cells(3, 1.1), 1000), worth(cells(3, 3), 1000), worth(cells(3, 1.1), 10), worth(cells(3, 3), 1000, (name) => name === "a")];
    """)
    assert alone == ["b"], "it wins a size by less than it takes to load"
    assert both == ["a", "b"]
    assert few == ["a"]
    assert none == ["a"]
