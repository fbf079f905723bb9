"""What implementations, arguments and errors may be, however unusual."""

# ruff: noqa: E501

from __future__ import annotations

from tests.test_choose_calls import run
from tests.test_choose_options import KINDS


def test_what_is_thrown_is_told_whatever_it_is() -> None:
    thrown = """{ undefined: undefined, null: null, symbol: Symbol("x"), bare: Object.create(null), getter: { get message() { throw 1; } }, text: "x", bigint: 10n }"""
    told = run(f"""
        {KINDS}
        answer = {{}};
        for (const [kind, value] of Object.entries({thrown})) {{
          let on = false;
          const given = {{
            slow, called: (d) => {{ if (on) throw value; return sum(d); }}, tried: () => {{ throw value; }},
            loaded: {{ async: false, load: () => {{ throw value; }} }},
            supported: {{ async: false, supported: () => {{ throw value; }}, load: () => sum }},
          }};
          const f = await choose(kind, given, options);
          await f.ready;
          on = true;
          const result = f(new Uint8Array(512).fill(1));
          answer[kind] = [result, Object.values(f.explain().setAside).every((why) => typeof why === "string"), Object.keys(f.explain().setAside).sort()];
        }}
    """)
    for kind, found in told.items():
        assert found == [512, True, ["called", "loaded", "supported", "tried"]], kind


def test_a_recursion_through_the_chosen_function_fails_once_and_blames_who_failed() -> None:
    """Each level that tried again what the next one had tried already would double the work."""
    assert run("""
        answer = [];
        for (const waits of [false, true]) {
          let [f, on, calls] = [undefined, false, 0];
          const deep = (d) => { calls++; if (!d.length) throw new RangeError("empty"); return f(d.subarray(1)); };
          const given = { slow: (d) => (on ? deep(d) : slow(d)), fast: (d) => (on ? deep(d) : sum(d)) };
          const late = { slow: async (d) => given.slow(d), fast: async (d) => given.fast(d) };
          f = await choose(`deep${waits}`, waits ? late : given, options);
          await f.ready;
          const used = f.explain({ size: 30 }).implementation;
          on = true;
          let said;
          try { await f(new Uint8Array(30)); } catch (error) { said = error.message; }
          await new Promise((resolve) => setTimeout(resolve, 5));
          answer.push([used, said, calls < 100, f.explain({ size: 30 }).implementation]);
        }
        let [f, on] = [undefined, false];
        const tired = (d) => { if (!on) return sum(d); if (d.length > 1) f(d.subarray(1)); throw new Error("tired"); };
        f = await choose("tired", { slow: (d) => (on ? sum(d) : slow(d)), tired }, options);
        await f.ready;
        on = true;
        answer.push([f(new Uint8Array(3).fill(1)), f.explain().setAside]);
    """) == [["fast", "empty", True, "fast"]] * 2 + [[3, {"tired": "it failed: tired"}]]


def test_all_that_a_job_in_place_was_given_is_put_back_before_the_reference_runs() -> None:
    assert run("""
        const makes = {
          view: () => Uint8Array.of(1, 2, 3), buffer: () => Uint8Array.of(1, 2, 3).buffer, data: () => new DataView(new ArrayBuffer(3)),
          list: () => [1, 2, 3], object: () => ({ a: 1, b: 2 }), nested: () => ({ a: [new Uint8Array(2)], b: { c: 1 } }),
          bare: () => Object.assign(Object.create(null), { a: 1 }), part: () => new Uint8Array(8).subarray(2, 5),
          shared: () => new Uint8Array(new SharedArrayBuffer(3)), ring: () => { const ring = { a: [1] }; ring.me = ring; return ring; },
          frozen: () => Object.freeze([new Uint8Array(2)]),
        };
        const touch = (value, seen = new Set()) => {
          if (typeof value !== "object" || seen.has(value)) return;
          seen.add(value);
          const bytes = value instanceof ArrayBuffer || value instanceof SharedArrayBuffer ? new Uint8Array(value) : value instanceof DataView ? new Uint8Array(value.buffer) : value;
          for (const key of Object.keys(bytes)) typeof bytes[key] === "object" ? touch(bytes[key], seen) : (bytes[key] += 1);
        };
        answer = {};
        for (const [kind, make] of Object.entries(makes)) {
          for (const waits of [false, true]) {
            let on = false;
            const half = (value) => {
              touch(value);
              if (!on) return;
              touch(value);
              if (Array.isArray(value) && !Object.isFrozen(value)) value.push(9);
              else if (!ArrayBuffer.isView(value) && Object.isExtensible(value)) value.more = 1;
              throw new Error("half");
            };
            const patient = (value) => { spin(0.2); touch(value); };
            const given = { ...options, input: () => [make()], size: () => 8, sizes: [8], budgetMs: 400 };
            const f = await choose(kind + waits, { patient, half: waits ? async (value) => half(value) : half }, given);
            await f.ready;
            const used = f.explain().implementation;
            on = true;
            const [mine, wanted] = [make(), make()];
            touch(wanted);
            const parts = kind === "nested" ? [mine.a, mine.a[0], mine.b] : [];
            await f(mine);
            delete mine.more;
            const same = parts.every((part, i) => part === [mine.a, mine.a[0], mine.b][i]);
            answer[kind + waits] = [used, equal(mine, wanted), same, Object.keys(f.explain().setAside)];
          }
        }
    """) == {
        f"{kind}{waits}": ["half", True, True, ["half"]]
        for kind in (
            ["view", "buffer", "data", "list", "object", "nested", "bare", "part", "shared", "ring", "frozen"]
        )
        for waits in ("false", "true")
    }


def test_what_was_taken_away_is_noticed_wherever_it_was() -> None:
    assert run("""
        const makes = { view: (d) => [d], inside: (d) => [{ data: d }], list: (d) => [[d]], second: (d) => [1, d], buffer: (d) => [d.buffer] };
        answer = {};
        for (const [kind, make] of Object.entries(makes)) {
          for (const changes of [false, true]) {
            let on = false;
            const find = (args) => { const [part] = args.slice(-1); return part.data ?? part[0]?.buffer ? (part.data ?? part[0]) : part instanceof ArrayBuffer ? new Uint8Array(part) : part; };
            const work = (args) => { const d = find(args); if (changes) d[0] = 1; return sum(d); };
            const taking = (...args) => { const total = work(args); if (on) { takeAway(find(args)); throw new Error("x"); } return total; };
            const f = await choose(kind + changes, { slow: (...args) => (spin(0.2), work(args)), taking }, { ...options, size: () => 8, sizes: [8], budgetMs: 300, input: (n) => make(new Uint8Array(n)) });
            await f.ready;
            const used = f.explain().implementation;
            on = true;
            let said;
            try { f(...make(new Uint8Array(8))); } catch (error) { said = error.message; }
            answer[kind + changes] = [used, said?.includes("after it took the arguments")];
          }
        }
    """) == {
        f"{kind}{changes}": ["taking", True]
        for kind in ("view", "inside", "list", "second", "buffer")
        for changes in ("false", "true")
    }


def test_values_of_every_shape_and_realm_are_copied_and_compared() -> None:
    script = """
        const { runInNewContext } = await import("node:vm");
        const make = `(() => {
          const ring = { a: 1 }; ring.me = [ring];
          let shared = [1]; for (let i = 0; i < 60; i++) shared = [shared, shared];
          return { plain: { a: [1, { b: 2 }] }, view: new Float32Array([1, NaN]), clamped: new Uint8ClampedArray(2), data: new DataView(new ArrayBuffer(2)),
            buffer: new ArrayBuffer(3), shared, ring, bare: Object.assign(Object.create(null), { x: 1 }), holes: [, 1], empty: {}, none: [] };
        })()`;
        const worlds = [() => (0, eval)(make), () => runInNewContext(make)];
        answer = [];
        for (const world of worlds) {
          for (const [kind, value] of Object.entries(world())) {
            const copy = copyOf(value);
            const apart = copy !== value && Object.getPrototypeOf(copy) === Object.getPrototypeOf(value);
            if (!apart || !equal(copy, value) || !equal(copyOf(copy), world === worlds[0] ? value : copy)) answer.push(kind);
          }
        }
        const differ = [[{ length: 2, width: 1 }, { length: 2, width: 2 }], [{ size: 1 }, { size: 2 }], [[1, [2]], [1, [3]]], [{ a: undefined }, {}], [[undefined], [1]]];
        for (const [a, b] of differ) if (equal(a, b)) answer.push([a, b]);
    """
    assert run(script) == []


def test_calls_whose_arguments_cannot_be_looked_at_are_left_alone() -> None:
    assert (
        run(f"""
        {KINDS}
        const ring = {{ a: 1 }};
        ring.me = ring;
        let shared = [1];
        for (let i = 0; i < 60; i++) shared = [shared, shared];
        const odd = {{ revoked, ring, shared, getter: {{ get a() {{ throw new Error("no"); }} }}, symbol: Symbol("x"), call: () => 1, bigint: 10n, null: null, undefined: undefined,
          trap: new Proxy({{}}, {{ ownKeys() {{ throw new Error("no"); }}, getPrototypeOf() {{ throw new Error("no"); }} }}) }};
        const sizes = [() => 8, () => 10n, () => NaN, () => -1, () => Infinity, () => "8", () => null, () => ({{}})];
        answer = [];
        for (const [kind, value] of Object.entries(odd)) {{
          for (const size of sizes) {{
            const f = await choose(kind + size, {{ one: () => 1, two: () => 1 }}, {{ measure: "calls", size }});
            await new Promise((resolve) => setTimeout(resolve, 1));
            try {{ for (let i = 0; i < 40; i++) if (f(value) !== 1) throw new Error("wrong"); }} catch (error) {{ answer.push([kind, String(size), error.message]); }}
            f.close();
          }}
        }}
    """)
        == []
    )


def test_a_job_closed_at_once_is_over_at_once_and_makes_calls_on() -> None:
    assert (
        run("""
        answer = [];
        for (const measure of ["idle", "calls", "never"]) {
          const f = await choose(measure, { slow, sum }, { ...options, measure });
          f.close();
          const over = await Promise.race([f.ready.then(() => "over"), new Promise((resolve) => setTimeout(resolve, 3000, "waits"))]);
          answer.push([over, f(Uint8Array.of(1, 2)), f.explain().implementation]);
        }
    """)
        == [["over", 3, "slow"]] * 3
    )


def test_input_that_fails_or_never_comes_costs_measuring_and_not_the_choice() -> None:
    answers = run("""
        const inputs = {
          throws: () => fail("no data"), rejects: async () => fail("no data"), undefined: () => { throw undefined; }, symbol: () => { throw Symbol("x"); },
          never: () => new Promise(() => {}), late: async (n, random) => (await 0, bytes(n, random)), nothing: () => undefined, none: () => [],
        };
        answer = {};
        for (const [kind, input] of Object.entries(inputs)) {
          const lenient = (d = []) => sum(d);
          const began = performance.now();
          const f = await choose(kind, { slow: (d = []) => slow(d), lenient }, { ...options, input, budgetMs: 300 });
          const said = [];
          f.addEventListener("failed", ({ detail }) => said.push(detail.message));
          const ready = await f.ready.then(() => "measured", (error) => error.message);
          await new Promise((resolve) => setTimeout(resolve, 5));
          answer[kind] = [f(Uint8Array.of(1, 2)), ready, said.length, performance.now() - began < 2500];
        }
    """)
    failed = "Fleetune: input failed for size 512: "
    said = {"throws": "no data", "rejects": "no data", "undefined": "undefined", "symbol": "Symbol(x)"}
    assert answers == {
        **{kind: [3, failed + words, 1, True] for kind, words in said.items()},
        **{kind: [3, "measured", 0, True] for kind in ("never", "late", "nothing", "none")},
    }


def test_a_promise_where_the_choice_is_synchronous_is_named_and_never_left_unhandled() -> None:
    code, said = run("""
        const lost = [];
        process.on("unhandledRejection", (error) => lost.push(String(error)));
        const rejects = { async: false, load: () => async () => fail("rejected") };
        const f = await choose("a", { slow, rejects }, options);
        await f.ready;
        const g = await choose("b", { late: (d) => Promise.resolve(sum(d)), sum }, { ...options, async: false });
        const said = await g.ready.catch((error) => error.message);
        await new Promise((resolve) => setTimeout(resolve, 20));
        answer = [[lost, Object.keys(f.explain().setAside), g.explain().implementation], said];
    """)
    assert code == [[], ["rejects"], "late"]
    assert "late, the reference, gave a promise" in said


def test_what_was_kept_outlives_an_implementation_that_is_gone() -> None:
    """A record that names it as the choice must not be thrown away with it."""
    assert run("""
        const first = await choose("a", { slow, gone: sum }, options);
        await first.ready;
        const second = await choose("a", { slow, other: { load: async () => new Promise(() => {}), async: false } }, { ...options, budgetMs: 100 });
        await second.ready;
        const third = await choose("a", { slow }, { ...options, measure: "never" });
        answer = [first.explain().implementation, third.explain().source];
    """) == ["gone", "measured"]


def test_a_choice_that_gives_promises_never_throws_and_no_call_has_a_this() -> None:
    assert run("""
        const throwing = () => fail("odd");
        answer = [];
        for (const given of [{ size: throwing }, { pattern: throwing, patterns: ["a", "b"] }, {}]) {
          const f = await choose("a", { odd: given.size || given.pattern ? sum : throwing }, { ...given, async: true });
          answer.push(await f(new Uint8Array(8)).then(() => "gave", (error) => error.message));
        }
        const seen = new Set();
        const plain = await choose("b", { slow() { seen.add(this); spin(0.2); }, other() { seen.add(this); } }, options);
        await plain.ready;
        plain.call({ odd: true }, new Uint8Array(8));
        answer.push(seen.size, seen.has(undefined));
    """) == ["odd", "odd", "odd", 1, True]


def test_what_same_says_is_waited_for_and_objects_that_show_nothing_differ() -> None:
    assert run("""
        const values = { dates: () => new Date(0), maps: () => new Map(), blobs: () => new Blob([]), texts: () => "x", lists: () => [1] };
        answer = {};
        for (const [kind, make] of Object.entries(values)) {
          const f = await choose(kind, { slow: () => (spin(0.2), make()), other: make }, { ...options, sizes: [8], budgetMs: 300 });
          await f.ready;
          answer[kind] = Object.keys(f.explain().setAside).length;
        }
        for (const [kind, same] of Object.entries({ no: async () => false, yes: async () => true, throws: () => fail("odd") })) {
          const f = await choose(kind, { slow: () => (spin(0.2), new Blob([])), other: () => new Blob([]) }, { ...options, same, sizes: [8], budgetMs: 300 });
          await f.ready;
          answer[kind] = Object.keys(f.explain().setAside).length;
        }
    """) == {"dates": 0, "maps": 0, "blobs": 1, "texts": 0, "lists": 0, "no": 1, "yes": 0, "throws": 1}
