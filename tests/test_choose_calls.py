"""What callers of a chosen function notice, in Node, where there is no storage and no page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests import node

EMBED = Path(__file__).parents[1] / "browser" / "web" / "embed"
PRELUDE = f"""
import {{ choose }} from {json.dumps((EMBED / "choose.js").as_uri())};
import {{ stepsOf, worthLoading }} from {json.dumps((EMBED / "decide.js").as_uri())};
import {{ isKept }} from {json.dumps((EMBED / "kept.js").as_uri())};
import {{ equal }} from {json.dumps((EMBED / "alike.js").as_uri())};
import {{ copyOf }} from {json.dumps((EMBED / "values.js").as_uri())};
const sum = (data) => data.reduce((total, value) => total + value, 0);
const spin = (ms) => {{ const end = performance.now() + ms; while (performance.now() < end); }};
const bytes = (n, random) => Uint8Array.from({{ length: n }}, () => 256 * random());
const options = {{ input: bytes, sizes: [8, 512], budgetMs: 1500 }};
const slow = (data) => (spin(0.2), sum(data));
const takeAway = (data) => structuredClone(data.buffer, {{ transfer: [data.buffer] }});
const fail = (message) => {{ throw new Error(message); }};
const heard = (chosen) => {{
  const all = [];
  chosen.addEventListener("setaside", ({{ detail }}) => all.push(detail));
  return all;
}};
"""


def run(script: str) -> Any:
    """What the script assigns to `answer`."""
    return node.evaluate(f"{PRELUDE}\nlet answer;\n{script}\nprocess.stdout.write(JSON.stringify(answer));")


def test_a_choice_between_synchronous_functions_is_synchronous_and_correct_from_the_first_call() -> None:
    assert run("""
        const f = await choose("a", { slow, fast: sum }, options);
        const before = [f(new Uint8Array([1, 2])), f.explain().implementation];
        await f.ready;
        const { implementation, source, times } = f.explain({ size: 100 });
        answer = [before, f(new Uint8Array([1, 2])), implementation, source, Object.keys(times).sort()];
    """) == [[3, "slow"], 3, "fast", "measured", ["fast", "slow"]]


def test_one_implementation_that_gives_promises_makes_all_calls_give_them() -> None:
    assert run("""
        const made = {
          looks: { sum, late: async (d) => sum(d) },
          hides: { sum, late: (d) => Promise.resolve(sum(d)) },
          loads: { sum, late: { load: () => (d) => sum(d) } },
          says: { sum, late: { async: false, load: () => (d) => sum(d) } },
          alike: { sum, other: (d) => sum(d) },
        };
        answer = {};
        for (const [name, implementations] of Object.entries(made)) {
          const f = await choose(name, implementations, options);
          const result = f(new Uint8Array([5]));
          answer[name] = [typeof result, await result];
          f.close();
        }
    """) == {
        "looks": ["object", 5],
        "hides": ["object", 5],
        "loads": ["object", 5],
        "says": ["number", 5],
        "alike": ["number", 5],
    }


def test_a_promise_from_a_choice_that_was_said_to_be_synchronous_is_set_aside() -> None:
    reason, result = run("""
        const late = { async: false, load: () => async (d) => sum(d) };
        const f = await choose("p", { sum, late }, options);
        const all = heard(f);
        await f.ready;
        answer = [all[0].reason, f(new Uint8Array([5]))];
    """)
    assert "promise" in reason
    assert result == 5


def test_a_failure_in_a_call_gives_the_references_result_and_is_told() -> None:
    assert (
        run("""
        const tired = (d) => (d.length === 77 ? fail("no 77") : sum(d));
        answer = [];
        for (const waits of [false, true]) {
          const given = { slow, tired: waits ? async (d) => tired(d) : tired };
          const f = await choose(`t${waits}`, given, options);
          const all = heard(f);
          await f.ready;
          const used = f.explain({ size: 77 }).implementation;
          const result = await f(new Uint8Array(77).fill(1));
          await new Promise((resolve) => setTimeout(resolve, 5));
          const told = all.map(({ implementation, reason }) => [implementation, reason]);
          answer.push([used, result, told, f.explain({ size: 77 }).implementation]);
        }
    """)
        == [["tired", 77, [["tired", "it failed: no 77"]], "slow"]] * 2
    )


def test_concurrent_failures_all_get_the_references_result() -> None:
    assert run("""
        const tired = async (d) => (await 0, d.length === 77 ? fail("no 77") : sum(d));
        const f = await choose("c", { slow, tired }, options);
        await f.ready;
        answer = await Promise.all([1, 2, 3].map((value) => f(new Uint8Array(77).fill(value))));
    """) == [77, 154, 231]


def test_an_error_that_the_reference_makes_too_is_the_callers() -> None:
    assert run("""
        const strict = (d) => { if (!d.length) throw new RangeError("empty"); return sum(d); };
        const f = await choose("s", { slow: (d) => (spin(0.2), strict(d)), strict }, options);
        await f.ready;
        let said;
        try { f(new Uint8Array(0)); } catch (error) { said = [error.name, error.message]; }
        answer = [said, f.explain().implementation, f.explain().setAside];
    """) == [["RangeError", "empty"], "strict", {}]


def test_a_job_in_place_gets_its_arguments_back_before_the_reference_runs() -> None:
    assert (
        run("""
        const patient = (d) => { spin(0.2); d.sort(); };
        const halfway = (d) => { if (d.length === 5) { d.fill(0); throw new Error("half"); } d.sort(); };
        answer = [];
        for (const waits of [false, true]) {
          const given = { patient, halfway: waits ? async (d) => halfway(d) : halfway };
          const f = await choose(`i${waits}`, given, options);
          await f.ready;
          const data = Uint8Array.of(5, 4, 3, 2, 1);
          const used = f.explain({ size: 5 }).implementation;
          await f(data);
          answer.push([used, [...data]]);
        }
    """)
        == [["halfway", [1, 2, 3, 4, 5]]] * 2
    )


def test_an_implementation_that_takes_its_arguments_away_gets_copies_in_calls_too() -> None:
    assert run("""
        const taking = (d) => {
          const total = sum(d);
          takeAway(d);
          return total;
        };
        const f = await choose("take", { slow: (d) => (spin(4), sum(d)), taking }, options);
        await f.ready;
        const data = Uint8Array.of(1, 2, 3);
        answer = [f.explain({ size: 3 }).implementation, f(data), data.length];
    """) == ["taking", 6, 3]


def test_arguments_lost_in_a_failure_are_said_to_be_lost() -> None:
    said = run("""
        const taking = (d) => (d.length === 77 ? (takeAway(d), fail("x")) : sum(d));
        const f = await choose("lost", { slow, taking }, options);
        await f.ready;
        try { f(new Uint8Array(77)); } catch (error) { answer = error.message; }
    """)
    assert said == "Fleetune: taking failed after it took the arguments of lost away"


def test_what_cannot_run_or_load_is_named_and_the_rest_goes_on() -> None:
    aside = run("""
        const f = await choose("l", {
          sum,
          unsupported: { supported: () => false, load: () => sum },
          supportThrows: { supported: () => { throw new Error("odd"); }, load: () => sum },
          broken: { load: async () => { throw new Error("404"); } },
          nothing: { load: () => undefined },
          good: { load: async () => sum },
        }, options);
        await f.ready;
        answer = [f.explain().setAside, Object.keys(f.explain().times)];
    """)
    assert aside == [
        {
            "unsupported": "it is not supported here",
            "supportThrows": "it could not be loaded: odd",
            "broken": "it could not be loaded: 404",
            "nothing": "it could not be loaded: load did not give a function",
        },
        ["sum", "good"],
    ]


def test_a_reference_that_cannot_be_used_and_wrong_options_are_refused_with_a_reason() -> None:
    messages = run("""
        answer = [];
        for (const [implementations, given] of [
          [{ sum: { load: async () => { throw new Error("404"); } } }, options],
          [{}, options],
          [{ sum: 7 }, options],
          [{ sum }, { ...options, sizes: [-1] }],
          [{ sum }, { ...options, sizes: [] }],
          [{ sum }, { measure: "idle" }],
          [{ sum }, { ...options, measure: "always" }],
        ]) {
          const made = choose("wrong", implementations, given);
          answer.push(await made.then(() => "taken", (error) => error.message));
        }
    """)
    assert messages == [
        "Fleetune: the reference sum of wrong cannot be used: it could not be loaded: 404",
        'Fleetune: choose("wrong") needs at least one implementation',
        'Fleetune: the implementation "sum" of "wrong" must be a function or have one named load, not 7',
        'Fleetune: item 0 of sizes of "wrong" must be a finite number from 0 on, not -1',
        'Fleetune: sizes of "wrong" must be a list of finite numbers from 0 on, not an empty list',
        'Fleetune: "wrong" needs input to measure with',
        'Fleetune: measure of "wrong" must be "idle", "calls" or "never", not "always"',
    ]


def test_patterns_have_choices_of_their_own() -> None:
    assert run("""
        const even = (d) => (d[0] % 2 ? spin(0.3) : 0, sum(d));
        const odd = (d) => (d[0] % 2 ? 0 : spin(0.3), sum(d));
        const pattern = (d) => (d[0] % 2 ? "odd" : "even");
        const made = (value, wanted) => (value & 254) + (wanted === "odd");
        const input = (n, random, wanted) => bytes(n, random).map((value) => made(value, wanted));
        const given = { ...options, sizes: [8], patterns: ["even", "odd"], pattern, input };
        const f = await choose("e", { even, odd }, given);
        await f.ready;
        const found = f.contexts().map(({ pattern, choice }) => [pattern, choice]);
        answer = [found, f(Uint8Array.of(2, 2)), f(Uint8Array.of(1, 1))];
    """) == [[["even", "even"], ["odd", "odd"]], 4, 2]


def test_a_download_that_cannot_pay_back_is_not_loaded() -> None:
    assert run("""
        let loaded = [];
        const big = (name, bytes) => ({ bytes, load: async () => (loaded.push(name), sum) });
        const given = { slow, small: big("small", 10), huge: big("huge", 100_000_000) };
        const few = await choose("few", given, { ...options, expect: { calls: 100 } });
        await few.ready;
        const after = [...loaded];
        const many = await choose("many", given, { ...options, expect: { calls: 10_000_000 } });
        await many.ready;
        answer = [after, loaded];
    """) == [["small"], ["small", "small", "huge"]]


def test_the_same_tab_starts_on_the_winner_without_storage() -> None:
    assert run("""
        const given = { slow, fast: sum };
        const first = await choose("again", given, options);
        await first.ready;
        const began = performance.now();
        const second = await choose("again", given, options);
        const took = performance.now() - began;
        const used = second.explain().implementation;
        const { measured } = await second.ready;
        const changed = await choose("again", { ...given, slow: (d) => (spin(0.1), sum(d)) }, options);
        answer = [used, took < 50, measured, changed.explain().source];
    """) == ["fast", True, 0, "default"]


def test_a_signal_that_was_given_up_before_ends_at_once() -> None:
    assert (
        run("""
        const f = await choose("ab", { sum, other: (d) => sum(d) }, { ...options, measure: "never" });
        const gone = AbortSignal.abort();
        answer = [await f.measure({ signal: gone }).then(() => "measured", (error) => error.name)];
        const later = new AbortController();
        setTimeout(() => later.abort(), 30);
        const began = performance.now();
        const { stopped } = await f.measure({ budgetMs: 60_000, signal: later.signal });
        answer.push(stopped || "ended before", performance.now() - began < 2000);
    """)[0]
        == "AbortError"
    )


def test_times_are_interpolated_between_sizes_and_a_choice_holds_at_its_size() -> None:
    assert run("""
        const cell = (a, b, choice) => ({ times: { a, b }, choice, verdict: "changed" });
        const all = () => true;
        answer = [
          stepsOf({ 16: cell(1, 2, "a"), 1024: cell(64, 32, "b") }, all, "a"),
          stepsOf({ 16: cell(1, 2, "a"), 1024: cell(64, 32, "b") }, (name) => name === "a", "a"),
          stepsOf({ 16: cell(1, 0.99, "a"), 1024: cell(1, 0.99, "a") }, all, "a"),
          stepsOf({}, all, "a"),
        ];
    """) == [[[0, "a"], [140, "b"]], [[0, "a"]], [[0, "a"]], [[0, "a"]]]


def test_sizes_far_below_what_was_measured_run_the_reference_until_they_are() -> None:
    """Threads and streams take long to begin, which large sizes do not show."""
    assert run("""
        const sizes = { 65536: { times: { a: 2, b: 1 }, choice: "b", verdict: "changed" } };
        answer = [16, 16384].map((least) => stepsOf(sizes, () => true, "a", least));
    """) == [[[0, "a"], [16384, "b"]], [[0, "b"]]]


def test_loading_is_worth_it_when_the_calls_pay_it_back() -> None:
    assert run("""
        const cell = { times: { a: 2, b: 1, c: 0.9 }, choice: "c" };
        const sizes = { 16: cell, 64: cell };
        const loads = { a: { ms: 0 }, b: { ms: 10 }, c: { ms: 1000 } };
        answer = [5, 100, 100000].map((calls) => worthLoading([sizes], loads, calls, () => true, "a").sort());
    """) == [["a"], ["a", "b"], ["a", "c"]]


def test_what_was_kept_is_believed_only_if_it_looks_right() -> None:
    assert run("""
        const cell = { times: { a: 1, b: 2 }, choice: "a", verdict: "unchanged" };
        const good = {
          schema: 1, key: "x", at: 1, versions: { a: "1", b: "2" }, waits: false, inPlace: false,
          calls: 3, cells: { "": { 16: cell } }, aside: { b: "no" },
          loads: { a: { ms: 1, bytes: 0, copies: false } },
        };
        const withCell = (changes, size = 16) => ({ cells: { "": { [size]: { ...cell, ...changes } } } });
        const bad = [
          { schema: 2 }, { key: 3 }, { at: "now" }, { versions: [] },
          { versions: {} }, { cells: { "": null } },
          { loads: { a: {} } }, { aside: { b: 7 } }, { calls: NaN },
          withCell({ choice: "c" }),
          withCell({ times: { a: -1 } }), withCell({ times: { b: 1 }, choice: "b" }), withCell({}, "x"),
          withCell({ times: { a: Infinity } }), withCell({ times: null }), withCell({ verdict: 1 }),
        ].map((changes) => ({ ...good, ...changes }));
        answer = [isKept(good), [undefined, null, 7, "x", [], ...bad].map(isKept).includes(true)];
    """) == [True, False]


def test_values_are_compared_all_the_way_down() -> None:
    assert run("""
        const a = new Uint8Array([1, 2]);
        const alike = [
          [1, 1], [NaN, NaN], ["x", "x"], [a, new Uint8Array([1, 2])], [a.buffer, a],
          [{}, {}], [undefined, undefined],
          [[1, { b: a }], [1, { b: a.slice() }]], [new Float32Array([NaN]), new Float32Array([NaN])],
          [new Map(), new Map()], [new Map([[{ a }, a]]), new Map([[{ a: a.slice() }, a.buffer]])],
          [new Set([a, "x"]), new Set([a, "x"])], [new Date(7), new Date(7)], [new Date(NaN), new Date(NaN)],
        ];
        const apart = [
          [1, 2], [a, new Uint8Array([1, 3])], [a, new Uint8Array([1])], [a, [1, 2]], [{ a: 1 }, { b: 1 }],
          [null, {}],
          [new Int8Array(2), new Uint8Array(2)], ["1", 1], [undefined, null],
          [new Map([[1, 2]]), new Map([[1, 3]])], [new Map([[1, 2]]), new Map()], [new Set([1]), new Set([2])],
          [new Map(), new Set()], [new Map(), {}], [new Date(7), new Date(8)], [new Date(7), new Date(NaN)],
          [Object.assign(Object.create(Date.prototype), {}), new Date(7)], [new Blob([]), new Blob([])],
          [new Set([new Blob([])]), new Set([new Blob([])])],
        ];
        const buffer = Buffer.from([1, 2]); // whose own `slice` gives a view
        const other = copyOf(buffer);
        buffer[0] = 9;
        const copied = equal(copyOf([a, { a }, "x"]), [a, { a }, "x"]) && other[0] === 1;
        answer = [alike.every(([x, y]) => equal(x, y)), apart.some(([x, y]) => equal(x, y)), copied];
    """) == [True, False, True]


def test_a_job_closed_while_it_measures_blames_nobody_at_the_next_visit() -> None:
    closed, again = run("""
        const sizes = [8, 64, 512, 1024];
        const f = await choose("a", { slow, fast: sum }, { ...options, sizes });
        while (f.contexts().length < 2) await new Promise((resolve) => setTimeout(resolve, 2));
        f.close();
        await f.ready;
        const g = await choose("a", { slow, fast: sum }, { ...options, sizes, measure: "never" });
        await new Promise((resolve) => setTimeout(resolve, 100));
        answer = [f.explain().setAside, [g.explain({ size: 1024 }).implementation, g.explain().setAside]];
    """)
    assert closed == {"fast": "closed"}
    assert again == ["fast", {}]


def test_what_was_still_loading_when_a_job_is_closed_is_let_go() -> None:
    assert run("""
        const gone = [];
        let loaded;
        const load = () => new Promise((resolve) => (loaded = () => resolve(sum)));
        const late = { load, bytes: 1, async: false, dispose: (call) => gone.push(call === sum) };
        const f = await choose("a", { slow, late }, options);
        while (!loaded) await new Promise((resolve) => setTimeout(resolve, 2));
        f.close();
        loaded();
        await new Promise((resolve) => setTimeout(resolve, 20));
        answer = [gone, f(new Uint8Array([1, 2])), f.explain().setAside];
    """) == [[True], 3, {"late": "closed"}]
