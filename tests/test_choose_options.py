"""What `choose` is given: every option, name and setting of every kind is taken or refused in words."""

# ruff: noqa: E501

from __future__ import annotations

import json

import pytest
from tests.test_choose_calls import run

KINDS = """
const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();
const kinds = {
  null: null, number: 7, NaN: NaN, Infinity: Infinity, negative: -1, bigint: 10n, symbol: Symbol("x"), text: "x", empty: "",
  true: true, list: [], holes: [, 8], object: {}, bare: Object.create(null), date: new Date(0), call: () => 1, revoked,
  texts: ["16"], bigints: [1n], own: ["constructor"], proto: ["__proto__"], sizes: [8, 512], url: new URL("http://x"),
};
"""
# What each option takes of these; all of them take undefined.
TAKEN = {
    "size": {"call"},
    "input": {"call"},
    "same": {"call"},
    "pattern": {"call"},
    "sizes": {"sizes"},
    "patterns": {"texts"},
    "measure": set(),
    "budgetMs": {"number"},
    "expect": {"object", "bare", "date", "list", "holes", "texts", "bigints", "own", "proto", "sizes", "url"},
    "async": {"true"},
    "version": {"text", "empty"},
    "worker": {"text", "empty", "url"},
    "server": {"empty"},  # others are asked
    "keys": {
        "revoked",
        "object",
        "bare",
        "date",
        "list",
        "holes",
        "texts",
        "bigints",
        "own",
        "proto",
        "sizes",
        "url",
    },
}
PRINTED = {
    "null": "null",
    "bigint": "10n",
    "symbol": "Symbol(x)",
    "NaN": "NaN",
    "negative": "-1",
    "text": '"x"',
}


def test_every_option_says_its_name_what_it_takes_and_what_it_was_given() -> None:
    answers: dict[str, dict[str, str]] = run(f"""
        {KINDS}
        const wanted = {json.dumps(list(TAKEN))};
        answer = {{}};
        for (const option of wanted) {{
          answer[option] = {{}};
          for (const [kind, value] of Object.entries(kinds)) {{
            if (option === "server" && ["text", "url"].includes(kind)) continue;
            const given = {{ input: bytes, measure: option === "measure" ? undefined : "never", [option]: value }};
            const made = choose("job", {{ sum }}, given).then((f) => (f.close(), "taken"));
            answer[option][kind] = await made.catch((error) => `${{error.name}}: ${{error.message}}`);
          }}
        }}
    """)
    for option, kinds in answers.items():
        taken = {kind for kind, said in kinds.items() if said == "taken"}
        assert taken == TAKEN[option], option
        for kind, said in kinds.items():
            if kind in taken:
                continue
            assert option in said, said
            assert '"job"' in said, said
            assert " must be " in said, said
            assert said.startswith(("TypeError: Fleetune: ", "RangeError: Fleetune: ")), said
            assert said.endswith(f", not {PRINTED[kind]}") if kind in PRINTED else ", not " in said, said


@pytest.mark.parametrize("what", ["name", "implementations", "options", "implementation", "load", "bytes"])
def test_what_is_no_option_is_refused_in_the_same_way(what: str) -> None:
    said: dict[str, str] = run(f"""
        {KINDS}
        answer = {{}};
        const given = {{
          name: (value) => [value, {{ sum }}], implementations: (value) => ["job", value], options: (value) => ["job", {{ sum }}, value],
          implementation: (value) => ["job", {{ sum, one: value }}], load: (value) => ["job", {{ sum, one: {{ load: value }} }}],
          bytes: (value) => ["job", {{ sum, one: {{ load: () => sum, bytes: value }} }}],
        }}[{json.dumps(what)}];
        for (const [kind, value] of Object.entries(kinds)) {{
          const made = choose(...given(value)).then((f) => (f.close(), "taken"));
          answer[kind] = await made.catch((error) => `${{error.name}}: ${{error.message}}`);
        }}
    """)
    taken = {kind for kind, words in said.items() if words == "taken"}
    assert (
        taken
        == {
            "name": {"text"},
            "implementations": set(),
            "options": {"object", "bare", "date", "url"},  # lists have keys of their own
            "implementation": {"call"},
            "load": {"call"},
            "bytes": {"number", "Infinity"},
        }[what]
    )
    for kind in said.keys() - taken:
        assert said[kind].startswith(("TypeError: ", "RangeError: ")), (kind, said[kind])
        assert "Fleetune: " in said[kind] or kind == "revoked", (kind, said[kind])


def test_names_that_objects_have_or_that_come_first_are_refused_and_all_others_work() -> None:
    refused, taken = run("""
        const made = (name, wanted = options) => choose("job", { slow, [name]: sum }, { ...wanted, measure: "never" }).then(() => "taken", (error) => error.message);
        answer = [[], []];
        for (const name of ["", "0", "16", "__proto__", "constructor", "toString"]) answer[0].push(await made(name));
        for (const name of ["1 thread", "1.5", "-1", "🎉", " ", "then", "length", "x".repeat(1e6), "a|b", "a/trying"]) answer[1].push(await made(name));
        answer.push(({}).x);
    """)[:2]
    assert all("must have another name" in said for said in refused), refused
    assert set(taken) == {"taken"}


def test_no_pattern_or_name_reaches_the_prototype_of_all_objects() -> None:
    assert (
        run("""
        const before = Object.getOwnPropertyNames(Object.prototype).length + Object.getOwnPropertyNames(Object).length;
        for (const odd of ["__proto__", "constructor", "valueOf"]) {
          await choose("job", { slow, fast: sum }, { ...options, patterns: [odd] }).then((f) => f.ready, () => {});
          await choose(odd, { slow, fast: sum }, { ...options, pattern: () => odd, patterns: ["a"] }).then((f) => (f(new Uint8Array(9)), f.ready));
        }
        answer = Object.getOwnPropertyNames(Object.prototype).length + Object.getOwnPropertyNames(Object).length - before;
    """)
        == 0
    )


def test_settings_that_are_no_text_and_methods_that_use_this_are_taken() -> None:
    assert run("""
        const ring = {};
        ring.me = ring;
        class One { async = false; call = sum; load() { return this.call; } supported() { return this.call; } dispose() { gone.push(this.call === sum); } }
        const gone = [];
        const refuses = { toJSON() { throw new Error("no"); } };
        const with_ = (params) => ({ async: false, params, load: (given) => (given === params ? sum : fail("other params")) });
        const given = { slow, ring: with_(ring), big: with_({ n: 1n }), bytes: with_(new Uint8Array(9)), null: with_(null), refuses: with_(refuses), symbol: with_(Symbol("x")), one: new One() };
        const f = await choose("a", given, { ...options, sizes: [8] });
        await f.ready;
        answer = [f.explain().setAside, Object.keys(f.explain().times).length];
        f.close();
        await new Promise((resolve) => setTimeout(resolve, 5));
        answer.push(gone);
        const versions = [];
        for (const params of [{ n: 1n }, { n: 2n }]) {
          const g = await choose("b", { slow, big: with_(params) }, { ...options, sizes: [8] });
          versions.push(Object.keys(g.explain().times));
          await g.ready;
        }
        answer.push(versions);
    """) == [{}, 8, [True], [[], ["slow"]]]


def test_options_of_a_class_are_read_and_what_becomes_of_them_later_is_not() -> None:
    assert run("""
        class Options { get input() { return bytes; } get sizes() { return Object.freeze([8, 8]); } get patterns() { return ["a", "b", "a"]; } pattern() { return "b"; } get budgetMs() { return 400; } get measure() { return "never"; } get async() { return true; } }
        const f = await choose("a", Object.freeze({ slow, sum }), new Options());
        await f.measure();
        const given = { ...options, async: true };
        const making = choose("b", { sum }, given);
        given.async = false;
        answer = [f.contexts().map(({ size, pattern }) => [size, pattern]), typeof f(new Uint8Array(8)), typeof (await making)(new Uint8Array(8))];
    """) == [[[8, "a"], [8, "b"]], "object", "object"]
