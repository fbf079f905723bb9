"""choose() with a server: the first guess of a registered job, and everything without it. In Node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests import node

EMBED = Path(__file__).parents[1] / "browser" / "web" / "embed"


def row(size: int, choice: str, candidates: dict[str, float]) -> dict[str, Any]:
    return {"size": size, "log2Size": 0, "choice": choice, "candidates": candidates, "source": "predicted"}


JOB = {
    "name": "sha256",
    "sizes": [16, 1024],
    "patterns": ["random"],
    "implementations": [{"name": "noble", "version": "1.4.0"}, {"name": "webcrypto", "version": "1"}],
    "profileSignature": "0" * 32,
}
ANSWER = {
    "version": 3,
    "root": "/kernels/x/",
    "kernels": {
        "sha256": {
            "random": [
                row(16, "js", {"js": 1, "webcrypto": 0.2}),
                row(1024, "webcrypto", {"js": 1, "webcrypto": 4}),
            ]
        }
    },
    "kinds": {},
    "job": JOB,
}
NOTHING = {**ANSWER, "kernels": {"sha256": {"random": [row(16, "js", {}), row(1024, "js", {})]}}}
PRELUDE = f"""
import {{ choose }} from {json.dumps((EMBED / "choose.js").as_uri())};
import {{ listOf }} from {json.dumps((EMBED / "kept.js").as_uri())};
const given = JSON.parse((await import("node:fs")).readFileSync(0, "utf8"));
const asked = [];
globalThis.fetch = async (url) => {{
  asked.push(String(url));
  if (given === "hangs") return new Promise(() => {{}});
  if (given === "away") throw new TypeError("fetch failed");
  return Response.json(given);
}};
const spin = (ms) => {{ const end = performance.now() + ms; while (performance.now() < end); }};
const sum = (data) => data.reduce((total, value) => total + value, 0);
let loads = 0;
const two = {{
  noble: {{ version: "1.4.0", async: false, load: () => sum }},
  webcrypto: {{ version: "1", async: false, load: () => (loads++, (d) => sum(d)) }},
}};
const server = "https://tuner.example";
const soon = () => new Promise((resolve) => setTimeout(resolve, 200));
const used = (f) => [8, 2000].map((size) => f.explain({{ size }}).implementation);
"""


def run(answer: Any, script: str) -> Any:
    script = (
        f"{PRELUDE}\nlet answer;\n{script}\nprocess.stdout.write(JSON.stringify(answer)); process.exit();"
    )
    return node.evaluate(script, input=json.dumps(answer))


def test_the_servers_guess_is_followed_until_this_browser_has_measured() -> None:
    first, guessed, stored, asked, why = run(
        ANSWER,
        """const f = await choose("sha256", two, { server });
        const first = used(f);
        await soon();
        const { source, verdict, why } = f.explain({ size: 2000 });
        if (f(new Uint8Array(2000)) !== 0) throw new Error("wrong");
        answer = [first, [...used(f), source, verdict, loads], (await listOf("sha256")).length, asked, why];""",
    )
    assert first == ["noble", "noble"], "the start waits for no server"
    assert guessed == ["noble", "webcrypto", "predicted", "guessed", 1]
    assert stored == 0, "a guess is no measurement"
    assert asked == ["https://tuner.example/api/decisions/other-relaxedSimd?job=sha256"]
    assert "Not measured here yet" in why
    assert "4.0× as fast as noble" in why


def test_what_is_measured_here_outranks_the_guess() -> None:
    found = run(
        ANSWER,
        """const slower = { ...two, webcrypto: { ...two.webcrypto, load: () => (d) => (spin(0.3), sum(d)) } };
        const input = (n) => new Uint8Array(n).fill(1);
        const f = await choose("sha256", slower, { server, input, sizes: [16, 1024], budgetMs: 1500 });
        await f.ready;
        const { contexts } = await f.measure();
        const kept = await listOf("sha256");
        answer = [used(f), contexts.map(({ verdict }) => verdict), kept.map(({ cells }) => Object.keys(cells[""]))];""",
    )
    assert found[0] == ["noble", "noble"]
    assert "guessed" not in found[1]
    assert found[2] == [["16", "1024"]]


@pytest.mark.parametrize("server", ["hangs", "away", NOTHING])
def test_everything_works_without_a_server_that_knows(server: Any) -> None:
    assert run(
        server,
        """const f = await choose("sha256", two, { server });
        await soon();
        answer = [f(Uint8Array.of(1, 2)), used(f), f.explain().source, loads];""",
    ) == [3, ["noble", "noble"], "default", 0]


@pytest.mark.parametrize(
    "changed",
    [
        {"implementations": JOB["implementations"][::-1]},
        {"implementations": [JOB["implementations"][0], {"name": "webcrypto", "version": "2"}]},
        {"implementations": [*JOB["implementations"], {"name": "more", "version": "1"}]},
    ],
)
def test_another_description_is_not_followed_and_the_page_hears_of_it(changed: dict[str, Any]) -> None:
    used, said = run(
        {**ANSWER, "job": {**JOB, **changed}},
        """const f = await choose("sha256", two, { server });
        const said = [];
        f.addEventListener("failed", ({ detail }) => said.push(detail.message));
        await soon();
        answer = [used(f), said];""",
    )
    assert used == ["noble", "noble"]
    assert "with other implementations" in said[0]
