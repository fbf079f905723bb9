"""What a page asks for to call one kernel, what it keeps of a benchmark, and how long it waits: connect() in Node."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tests import node, releases

from fleetune.model import Model
from fleetune_server.kernels.catalogue import Catalogue
from fleetune_server.publish.decisions import Decisions
from fleetune_server.publish.distribute import SealedAnswer, Sealer
from fleetune_server.publish.keys import KeyRing

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "kernels_wasm" / "dist"
# Node imports from files only, so the "server" is a folder; what would be fetched comes from this table.
SCRIPT = """
const [answers, server, WEB] = JSON.parse((await import("node:fs")).readFileSync(0, "utf8"));
const asked = [];
globalThis.fetch = async (url) => {
  const path = String(url).slice(server.length);
  asked.push(path);
  if (!(path in answers)) return new Response("", { status: 404 });
  const type = path.endsWith(".wasm") ? "application/wasm" : "application/json";
  const body = type === "application/wasm" ? Buffer.from(answers[path], "base64") : answers[path];
  return new Response(body, { headers: { "content-type": type } });
};
const { connect } = await import(`${WEB}embed/fleetune.js`);
const confirmed = await import(`${WEB}embed/confirmed.js`);
"""


def unsigned(answer: SealedAnswer) -> str:
    """As servers of earlier releases answer."""
    whole = json.loads(answer.asset.body)
    return json.dumps({name: whole[name] for name in ("version", "root", "kernels", "kinds")})


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Address, below the server's, → what it answers to a browser that is none of those known."""
    catalogue = Catalogue.load(DIST)
    model = Model.from_bytes(releases.first())
    sealer = Sealer(KeyRing.open(tmp_path_factory.mktemp("keys")))
    engine = asyncio.run(Decisions(lambda: catalogue, sealer).of_engine(model, "other-relaxedSimd"))
    path = "api/decisions/other-relaxedSimd?kernel="
    names = unsigned(engine.names)
    found = {path: names, f"{path}&model=1": names}
    for name, answer in engine.kernels.items():
        found[f"{path}{name}&model=1"] = unsigned(answer)
        found[f"embed/{name}.json"] = catalogue.files[f"embed/{name}.json"].body.decode()
    found["api/decisions/other-relaxedSimd"] = unsigned(engine.whole)
    return {where: body.replace(catalogue.root, "./") for where, body in found.items()}


def run(answers: dict[str, str], script: str, folder: Path = DIST) -> Any:
    given = [answers, f"{folder.as_uri()}/", f"{(ROOT / 'browser/web').as_uri()}/"]
    return node.evaluate(SCRIPT + script, input=json.dumps(given))


def test_a_page_that_calls_one_kernel_asks_for_that_ones_decisions(answers: dict[str, str]) -> None:
    asked, explained, refused, kernels = run(
        answers,
        """const tuner = await connect({ server });
        const dot = await tuner.kernel("dot");
        if (dot(Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6)) !== 32) throw new Error("wrong");
        await tuner.refresh();
        let refused;
        try { tuner.explain("saxpy", { size: 8 }); } catch (error) { refused = error.message; }
        const explained = tuner.explain("dot", { size: 65536 }).source;
        console.log(JSON.stringify([asked, explained, refused, tuner.kernels]));""",
    )
    decisions = [path for path in asked if path.startswith("api/")]
    assert {path.partition("?")[2] for path in decisions} == {
        "kernel=",
        "kernel=dot&model=1",
        "kernel=&model=1",
    }
    assert sum(len(gzip.compress(answers[path].encode())) for path in set(decisions)) <= 8000
    assert explained in ("predicted", "default")
    assert "saxpy has no decisions" in refused
    assert len(kernels) == len(Catalogue.load(DIST).manifest.kernels)


def test_all_decisions_can_be_asked_for_at_once(answers: dict[str, str]) -> None:
    asked, choices = run(
        answers,
        """const tuner = await connect({ server, all: true });
        const choices = tuner.contexts("saxpy").map(({ choice }) => choice);
        console.log(JSON.stringify([asked, choices]));""",
    )
    assert asked == ["api/decisions/other-relaxedSimd"]
    assert choices


KEPT = """
const measured = { choice: "js", source: "measured" };
const tables = { dot: { random: [{ ...row(4096), ...measured }, { ...row(262144), source: "predicted" }] } };
const called = [{ kernel: "dot", pattern: "random", size: 32768, row: { ...row(32768), ...measured } }];
function row(size) {
  const why = "Measured here.";
  return { size, log2Size: Math.log2(size), choice: "scalar", speedup: 1, low: 1, high: 1, source: "", why };
}
const first = await connect({ server });
const { environment } = first;
const root = server;
"""


def test_what_was_measured_is_followed_at_the_next_visit_without_python(answers: dict[str, str]) -> None:
    choices = run(
        answers,
        KEPT
        + """await confirmed.keep(server, environment, root, tables, called);
        await confirmed.keep(server, environment, root, tables, []); // a benchmark without calls forgets none
        const tuner = await connect({ server });
        await tuner.kernel("dot");
        const rows = tuner.contexts("dot").filter(({ pattern }) => pattern === "random");
        console.log(JSON.stringify(rows.map(({ size, choice, source }) => [size, choice, source])));""",
    )
    measured = [row for row in choices if row[2] == "measured"]
    assert measured == [[4096, "js", "measured"], [32768, "js", "measured"]]
    assert len(choices) > 2


@pytest.mark.parametrize(
    "spoilt",
    [
        "kept.place = kept.place.replace('other', 'firefox')",
        "kept.at = Date.now() - 31 * 86400000",
        "kept.calls[0].row.speedup = 'fast'",
        "kept.calls[0].row = null",
        "kept.schema = 2",
        "kept = 'gone'",
    ],
)
def test_what_is_old_foreign_or_spoilt_is_not_believed(answers: dict[str, str], spoilt: str) -> None:
    same = run(
        answers,
        KEPT
        + f"""await confirmed.keep(server, environment, root, tables, called);
        const storage = (await import(`${{WEB}}shared/storage.js`)).storageOf(server);
        let kept = structuredClone(await storage.get("confirmed"));
        {spoilt};
        const given = {{ dot: {{ random: [row(32768)] }} }};
        console.log(JSON.stringify(confirmed.recalled(kept, environment, root)(given).dot.random[0].source));""",
    )
    assert same == ""


def test_a_server_that_hangs_while_a_script_is_imported_ends_in_an_error(
    answers: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "embed").mkdir()
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "embed" / "dot.js").write_text("await new Promise((resolve) => setTimeout(resolve, 60000));")
    message = run(
        answers,
        """const patience = [];
        const timeout = AbortSignal.timeout.bind(AbortSignal);
        AbortSignal.timeout = (ms) => (patience.push(ms), timeout(ms / 100));
        const tuner = await connect({ server });
        const message = await tuner.kernel("dot").then(() => "", (error) => `${error.name} ${Math.max(...patience)}`);
        console.log(JSON.stringify(message));
        process.exit();""",
        tmp_path,
    )
    assert message == "TimeoutError 10000"


def test_what_a_page_asks_wrongly_is_refused_in_words_that_say_what_is_wanted(
    answers: dict[str, str],
) -> None:
    said = run(
        answers,
        """const tuner = await connect({ server: new URL(server) });
        await tuner.kernel("dot");
        const odd = [null, "8", -1, NaN, 1.5, 10n, Symbol("x"), {}];
        const ways = {
          alloc: (one) => tuner.alloc("dot", Float32Array, one),
          explain: (size) => (size === 1.5 ? fail() : tuner.explain("dot", { size })),
          budgetMs: (budgetMs) => tuner.benchmark({ budgetMs }),
          kernels: (one) => tuner.benchmark({ kernels: [one === "8" ? 8 : one] }),
          signal: (signal) => tuner.benchmark({ signal }),
        };
        const fail = () => { throw new RangeError("not 1.5"); };
        const said = [];
        for (const [name, ask] of Object.entries(ways)) {
          for (const one of odd) {
            try { said.push([name, String(one), "taken", String(await ask(one))]); }
            catch (error) { said.push([name, String(one), error.name, error.message]); }
          }
        }
        console.log(JSON.stringify(said));""",
    )
    for name, given, kind, words in said:
        assert kind in ("TypeError", "RangeError"), (name, given, kind, words)
        assert words.endswith(f"not {given}") or (name, given) == ("kernels", "8"), words


def test_a_server_may_be_named_by_a_url_with_or_without_its_last_slash(answers: dict[str, str]) -> None:
    servers = run(
        answers,
        """const given = [server, server.slice(0, -1), new URL(server), new URL(server.slice(0, -1))];
        const tuners = await Promise.all(given.map((server) => connect({ server })));
        console.log(JSON.stringify([...new Set(tuners.map(({ server }) => server))].map((one) => one === server)));""",
    )
    assert servers == [True]
