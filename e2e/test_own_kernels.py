"""Journey: own kernels. A developer checks, an operator publishes, a page of another origin calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.own_world import SCRIPT, description, module

from e2e.conftest import Garage
from e2e.drivers.base import Page, wait_for
from e2e.embedder import Embedder, policy
from e2e.engines import Engine
from e2e.server import Server
from e2e.steps import BOOT_SECONDS
from e2e.wire import Wire
from fleetune_server.cli import main
from fleetune_server.http.own_kernels import Tokens
from fleetune_server.kernels.check import check
from fleetune_server.kernels.package import build
from fleetune_server.kernels.spec import read_spec

SUM = {"module": "sum.wasm", "export": "sum"}
TWICE = {"module": "sum.wasm", "export": "sum", "adapter": "twice", "optimisations": ["inlining"]}
ARRAYS = {"module": "sum.wasm", "export": "sum", "adapter": "own"}
# Each way in which modules may have their memory: the description's part and the modules.
WAYS: dict[str, tuple[dict[str, Any], dict[str, bytes]]] = {
    "imported": ({"variants": [SUM, TWICE]}, {"sum.wasm": module()}),
    "allocated": ({"memory": {"allocator": "take"}, "variants": [SUM]}, {"sum.wasm": module("allocated")}),
    "behind": ({"memory": {}, "variants": [SUM]}, {"sum.wasm": module("exported")}),
    "address": ({"memory": {"scratch": 4096}, "variants": [SUM]}, {"sum.wasm": module("exported")}),
    "arrays": ({"memory": {"arrays": True}, "variants": [ARRAYS]}, {"sum.wasm": module("fixed")}),
}
PAGE = '<!doctype html><html lang="en"><title>Own</title><script type="module" src="/page.js"></script>'
CONNECT = """
const { connect } = await import("SERVERfleetune.js");
window.tuner = await connect();
"""
CALLS = """
const aside = [];
tuner.addEventListener("setaside", ({ detail }) => aside.push(detail));
const call = await tuner.kernel(a[0]);
const wrong = [];
for (const n of [0, 1, 5, 300, 4096, 9000]) {
  const values = Float32Array.from({ length: n }, (_, i) => i % 5);
  const wanted = values.reduce((x, y) => x + y, 0);
  if (call(values, n) !== wanted || call(values) !== wanted) wrong.push(n);
}
let resident = null;
try {
  const inside = tuner.alloc(a[0], Float32Array, 64).fill(2);
  resident = call(inside, 64);
} catch (error) { resident = error.message; }
return { wrong, aside, resident, choices: tuner.contexts(a[0]).map(({ choice }) => choice) };
"""


@pytest.fixture
def site(wire: Wire) -> Iterator[Embedder]:
    files = {"/": PAGE, "/page.js": CONNECT.replace("SERVER", wire.url)}
    with Embedder(files, policy(wire.url)) as embedder:
        yield embedder


def write(folder: Path, name: str, raw: dict[str, Any], files: dict[str, bytes]) -> Path:
    """The description as TOML, its script and its modules."""
    folder.mkdir(exist_ok=True)
    (folder / "sum.js").write_text(SCRIPT)
    for file, data in files.items():
        (folder / file).write_bytes(data)
    rows = raw["variants"]
    head = {key: value for key, value in raw.items() if key not in ("variants", "memory", "tolerance")}
    lines = [f"{key} = {json.dumps(value)}" for key, value in head.items()]
    for table in ("tolerance", "memory"):
        if table in raw:
            lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in raw[table].items())]
    for row in rows:
        lines += ["[[variants]]", *(f"{key} = {json.dumps(value)}" for key, value in row.items())]
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.deep
@pytest.mark.only_in(("chromium", "isolated"), ("firefox", "isolated"))  # what the check drives
def test_the_check_runs_every_variant_and_finds_what_is_wrong(
    environment: tuple[Engine, str], garage: Garage
) -> None:
    family = environment[0].family
    garage.close()  # it starts a browser itself
    files = {"sum.wasm": module(), "sum.simd.wasm": module(wrong=True)}
    found = check(build(read_spec(description(), SCRIPT, files)), family)
    assert len(found.wrong) == 1
    assert found.wrong[0].startswith("vectorization (size 1): it returns")
    good = [row for row in found.rows if row["candidate"] != "vectorization" and row["size"] >= 16]
    assert len(good) == 2 * 2 * 6  # js and scalar; resident and copied; 16 … 4096, and 67
    assert all(row["ms"] > 0 for row in good if row["size"] != 67)


@pytest.mark.deep
def test_an_operator_publishes_kernels_and_a_foreign_page_calls_them(
    page: Page, wire: Wire, server: Server, site: Embedder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = Tokens(server.data / "operators.json").new()
    for way, (changes, files) in WAYS.items():
        # Distinct profiles: a kernel is known by its profile.
        raw = description(name=f"sum_{way}", **changes)
        padded = {name: pad(data, list(WAYS).index(way)) for name, data in files.items()}
        path = write(tmp_path / way, way, raw, padded)
        assert main(["kernels", "check", str(path), "--browser", "none"]) == 0
        assert main(["kernels", "add", str(path), "--server", server.url, "--token", "wrong"]) == 1
        assert main(["kernels", "add", str(path), "--server", server.url, "--token", token]) == 0, (
            capsys.readouterr()
        )
    capsys.readouterr()
    assert main(["kernels", "list", "--server", server.url]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        f"sum_{way}" for way in sorted(WAYS)
    ]

    page.open(f"{site.origin}/")
    wait_for(page, "window.tuner")
    for way in WAYS:
        found = page.evaluate(CALLS, f"sum_{way}")
        assert (found["wrong"], found["aside"]) == ([], []), way
        if way == "imported":
            assert found["resident"] == 128
        else:
            assert "memories of its own" in found["resident"]

    page.evaluate(
        """tuner.benchmark({ budgetMs: 24000, kernels: a[0] }).then(
          ({ results, setAside }) => (window.measured = { results: results.map((r) => r.kernel), setAside }),
          (error) => (window.measured = String(error)));""",
        [f"sum_{way}" for way in WAYS],
    )
    measured = wait_for(page, "window.measured", timeout=BOOT_SECONDS)
    assert measured["setAside"] == {}
    assert len(set(measured["results"])) >= 3
    assert page.console() == []

    for way in WAYS:
        assert main(["kernels", "remove", f"sum_{way}", "--server", server.url, "--token", token]) == 0


def pad(data: bytes, times: int) -> bytes:
    """The same module with a passive table of data: another coarse profile, the same work."""
    if not times:
        return data
    size = 4 ** (times + 2)
    body = bytes([1, 1]) + leb(size) + bytes(size)  # one passive segment
    return data + bytes([11]) + leb(len(body)) + body


def leb(number: int) -> bytes:
    """Unsigned LEB128."""
    parts = []
    while True:
        number, low = number >> 7, number & 127
        parts.append(low | (128 if number else 0))
        if not number:
            return bytes(parts)
