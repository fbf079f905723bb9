"""Kernels of an operator's own: read strictly, never run on the server, added by who holds a token."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import re
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import node, own_world, tiny
from tests.own_world import SCRIPT, description, modules, reports
from tests.running import Running, server

from fleetune.manifest import Manifest, ManifestError
from fleetune_server import cli
from fleetune_server.http.own_kernels import LIFETIME, Tokens
from fleetune_server.kernels.catalogue import Catalogue
from fleetune_server.kernels.package import Package, build
from fleetune_server.kernels.shelf import Shelf, read_document, to_document
from fleetune_server.kernels.spec import SpecError, read_spec
from fleetune_server.store.sqlite import open_sqlite


def package(kind: str = "imported", **changes: Any) -> Package:
    return build(read_spec(description(**changes), SCRIPT, modules(kind)))


def problems(files: dict[str, bytes] | None = None, **changes: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        build(read_spec(description(**changes), SCRIPT, files or modules()))
    return caught.value.problems


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "Own Sum"}, "name: must be lower_snake_case"),
        ({"name": "constructor"}, "name: constructor is what every JavaScript object has"),
        ({"name": "new"}, "name: /functions/new is a page of its own"),
        ({"name": None}, "name: is missing"),
        ({"summary": "x\n" * 3}, "summary: must be a short text"),
        ({"family": 3}, "family: must be a text, not 3"),
        ({"dtype": "f16"}, "dtype: must be one of i8, "),
        ({"script": "../sum.js"}, "script: must be a file name without folders"),
        ({"params": ["values: in f32[]", "n"]}, "params: parameter 'n' is neither 'name: dir type[length]'"),
        (
            {"params": ["values: in f32[2 * m]", "n: i32"]},
            "params: parameter values: its length '2 * m' must",
        ),
        ({"params": ["values: in f32[n *]", "n: i32"]}, "params: parameter values: its length 'n *' is no"),
        (
            {"params": ["values: in f32[n]", "n: i32 9..1"]},
            "params: parameter 'n: i32 9..1': 9..1 is no range",
        ),
        ({"params": ["m: i32", "n: i32"]}, "params: there is no array"),
        ({"size": "n; alert(1)"}, "size: must be a number parameter"),
        ({"size": "values"}, "size: values is not a number among params"),
        ({"returns": "i64"}, "returns: must be one of"),
        ({"sizes": []}, "sizes: must be 1 to 12 different whole numbers"),
        ({"sizes": [*range(1, 14)]}, "sizes: must be 1 to 12 different whole numbers"),
        ({"sizes": [4, 16.5]}, "sizes: must be 1 to 12 different whole numbers"),
        ({"sizes": [4, 16, 64, 256, 4096, 1024]}, "in rising order"),
        ({"patterns": []}, "patterns: 1 to 6"),
        ({"tolerance": {"relative": -1}}, "tolerance.relative: must be a number, 0 or more"),
        ({"tolerances": {}}, "tolerances: there is no such field"),
        ({"memory": {"allocator": "take", "scratch": 0}}, "memory.scratch: give an allocator or"),
        ({"memory": {"arrays": True}}, "variants[1].adapter: is missing"),
        ({"variants": []}, "variants: one must have no optimisations"),
        ({"variants": [{"module": "no.wasm"}]}, "variants[1].module: there is no file no.wasm"),
        (
            {"variants": [{"module": "sum.wasm", "optimisations": ["fast"]}]},
            "variants: one must have no optimisations",
        ),
        ({"variants": [{"module": "sum.wasm"}] * 2}, "variants: two are called scalar"),
        ({"variants": [{"module": "sum.wasm", "export": "add"}]}, "variants[1].export: sum.wasm exports no"),
        ({"variants": [{"module": "sum.wasm", "features": ["threads"]}]}, "variants[1].features: must hold"),
        (
            {"returns": "f64", "variants": [{"module": "sum.wasm", "export": "sum"}]},
            "variants[1].export: sum is (i32, i32) → (f32), params and returns make it (i32, i32) → (f64)",
        ),
        (
            {"memory": {}, "variants": [{"module": "sum.wasm", "export": "sum"}]},
            "variants[1].module: sum.wasm imports env.memory",
        ),
        (
            {"variants": [{"module": "sum.simd.wasm", "export": "sum"}]},
            "variants[1].features: sum.simd.wasm uses simd, which must be listed",
        ),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], says: str) -> None:
    found = problems(**changes)
    assert any(says in problem for problem in found), found


def test_bytes_that_are_no_module_and_missing_memories_are_named() -> None:
    one = [{"module": "sum.wasm", "export": "sum"}]
    assert (
        "variants[1].module: sum.wasm: not a WebAssembly 1 module"
        in problems({"sum.wasm": b"MZ"}, variants=one)[0]
    )
    exported = {"sum.wasm": own_world.module("exported")}
    assert (
        "does not import env.memory; if it exports a memory, add [memory]"
        in problems(exported, variants=one)[0]
    )
    assert (
        "exports no memory heap (memory.export)"
        in problems(exported, variants=one, memory={"export": "heap"})[0]
    )
    assert (
        "exports no function take (memory.allocator)"
        in problems(exported, variants=one, memory={"allocator": "take"})[0]
    )


def test_modules_that_would_overwrite_each_others_tables_in_a_shared_memory_are_refused() -> None:
    files = {
        "sum.wasm": own_world.module(data='(data (i32.const 1024) "one table")'),
        "sum.simd.wasm": own_world.module(simd=True, data='(data (i32.const 1028) "another")'),
    }
    assert "keep static data at the same addresses" in problems(files)[0]
    files["sum.simd.wasm"] = own_world.module(simd=True, data='(data (i32.const 2048) "another")')
    entry = build(read_spec(description(), SCRIPT, files)).entry
    assert entry["dataEnd"] == 65536, "behind the memory that the modules declare"
    assert build(read_spec(description(dataEnd=2055), SCRIPT, files)).entry["dataEnd"] == 2112


def test_the_package_is_one_that_the_catalogue_reads() -> None:
    built = package()
    assert (built.entry["resident"], built.entry["memory"]) == (True, None)
    catalogue = Catalogue.load(Path("nowhere")).with_own([built])
    kernel = catalogue.manifest.kernels["own_sum"]
    assert set(kernel.variants) == {"scalar", "vectorization"}
    assert kernel.variants["vectorization"].features == {"simd"}
    assert len(list(kernel.contexts())) == 12
    assert catalogue.files["embed/own_sum/scalar.wasm"].body == modules()["sum.wasm"]
    assert catalogue.with_own([]).manifest.kernels == {}
    with pytest.raises(ManifestError, match="own_sum already"):
        catalogue.with_own([built, built])
    twin = package(name="other_sum")
    with pytest.raises(ManifestError, match="own_sum has the very profile of other_sum"):
        catalogue.with_own([built, twin])


@pytest.mark.parametrize(
    "name", ["scratch", "constructor", "js", "await", "class", "arguments", "at_n", "run"]
)
def test_an_argument_can_be_called_anything(name: str, tmp_path: Path) -> None:
    built = package(params=[f"{name}: in f32[n]", "n: i32"])
    for path, data in built.files.items():
        if path.endswith(".js"):
            file = tmp_path / path.replace("/", "_").replace(".js", ".mjs")
            file.write_bytes(data)
            node.run("--check", file)


def test_modules_with_a_memory_of_their_own_are_only_called_with_copies() -> None:
    built = package("allocated", memory={"allocator": "take"})
    kernel = Manifest.load({"schema": 1, "bundles": built.bundles, "kernels": [built.entry]}).kernels[
        "own_sum"
    ]
    assert {context.pattern for *_, context in kernel.contexts()} == {"random+copied"}


async def test_what_is_kept_is_what_was_given(tmp_path: Path) -> None:
    document = to_document(description(), SCRIPT, modules())
    async with open_sqlite(tmp_path / "fleetune.db", 100) as store:
        shelf = Shelf(store)
        await shelf.put("own_sum", document)
        assert [one.entry for one in (await shelf.packages())[0]] == [build(read_document(document)).entry]
        assert await shelf.marks() == {"own_sum": hashlib.sha256(document).hexdigest()}
        assert not await shelf.remove("own_%")
        assert await shelf.remove("own_sum")
        assert (await shelf.packages(), await shelf.marks()) == (([], []), {})
    for bad in (b"", b"[]", b'{"kernel": {}, "script": 1, "modules": {}}', document.replace(b'"AGFz', b'"!')):
        with pytest.raises(SpecError):
            read_document(bad)


def test_a_token_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "operators.json")
    first, second = tokens.new(), tokens.new()
    kept = tokens.path.read_text()
    assert all(part not in kept for token in (first, second) for part in (token, token.split("-", 2)[2]))
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    assert tokens.holder(first) == tokens.known()[0].id
    assert not tokens.holder(first[:-1])
    assert not tokens.holder("")
    assert tokens.revoke(tokens.known()[0].id)
    assert not tokens.holder(first)
    assert tokens.holder(second)
    assert not tokens.revoke("nobody")


def test_a_token_expires_also_one_from_before_they_did(tmp_path: Path) -> None:
    now = [1_795_392_000.0]
    tokens = Tokens(tmp_path / "operators.json", lambda: now[0])
    token = tokens.new()
    rows = json.loads(tokens.path.read_text())
    old = {key: rows[0][key] for key in ("id", "sha256", "created")}
    for kept in (rows, [old]):
        tokens.path.write_text(json.dumps(kept))
        now[0] = 1_795_392_000.0 + LIFETIME - 1
        assert tokens.holder(token) == old["id"]
        now[0] += 2
        assert tokens.holder(token) is None


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("own")
    with server(folder, kernels=tiny.write(folder / "dist"), lab=folder) as started:
        yield started


@pytest.fixture
def token(running: Running) -> str:
    return Tokens(running.log.parent / "data" / "operators.json").new()


ASKED = {
    "browser": "firefox", "version": "153", "os": "linux", "simd": "1", "relaxedSimd": "1", "threads": "0",
    "cores": "2-3",
}  # fmt: skip


def test_a_kernel_is_added_used_reported_about_and_removed(
    running: Running, token: str, tmp_path: Path
) -> None:
    document = to_document(description(), SCRIPT, modules())
    with httpx.Client(base_url=running.url) as client:
        before = client.get("/api/kernels").json()["root"]
        refused = [
            client.post("/api/own-kernels", content=document, headers=headers).status_code
            for headers in ({}, {"authorization": "Bearer nothing"}, {"authorization": f"Basic {token}"})
        ]
        assert refused == [401] * 3
        client.headers["authorization"] = f"Bearer {token}"
        wrong = client.post("/api/own-kernels", content=to_document(description(size="m"), SCRIPT, modules()))
        assert wrong.status_code == 422
        assert wrong.json()["error"]["problems"] == ["size: m is not a number among params"]
        taken = client.post(
            "/api/own-kernels", content=to_document(description(name="dot"), SCRIPT, modules())
        )
        assert taken.status_code == 409

        added = client.post("/api/own-kernels", content=document)
        assert added.status_code == 201, added.text
        listing = client.get("/api/kernels").json()
        (entry,) = [kernel for kernel in listing["kernels"] if kernel.get("own")]
        assert entry["profileSignature"] == added.json()["profileSignature"]
        for name in (
            "embed/own_sum.js",
            "embed/own_sum.source.js",
            "own/own_sum.js",
            "embed/own_sum/scalar.wasm",
        ):
            answer = client.get(listing["root"] + name)
            assert answer.status_code == 200, name
            assert answer.headers["access-control-allow-origin"] == "*"
        assert client.get(before + "embed/dot.json").status_code == 200, "pages that are open go on"

        rows = client.get("/api/decisions", params=ASKED).json()["kernels"]["own_sum"]
        assert [row["size"] for row in rows["random"]] == description()["sizes"]
        assert {"js", "scalar", "vectorization"} <= rows["random"][0]["candidates"].keys()
        assert (
            client.post(
                "/api/telemetry", json=reports(client, listing, lambda candidate: 0.3)[:1]
            ).status_code
            == 202
        )

        assert client.delete("/api/own-kernels/nothing").status_code == 404
        assert client.delete("/api/own-kernels/dot").status_code == 404
        assert client.delete("/api/own-kernels/own_sum").status_code == 200
        assert "own_sum" not in client.get("/api/decisions", params=ASKED).json()["kernels"]
        assert client.post(
            "/api/telemetry", json=reports(client, listing, lambda candidate: 0.3)[:1]
        ).status_code in (400, 422)


def test_an_added_kernel_survives_a_restart(tmp_path: Path) -> None:
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path}
    for visit in range(2):
        with server(tmp_path, **settings) as started:
            if not visit:
                token = Tokens(tmp_path / "data" / "operators.json").new()
                document = to_document(description(), SCRIPT, modules())
                headers = {"authorization": f"Bearer {token}"}
                httpx.post(
                    f"{started.url}api/own-kernels", content=document, headers=headers
                ).raise_for_status()
            names = [kernel["name"] for kernel in httpx.get(f"{started.url}api/kernels").json()["kernels"]]
            assert "own_sum" in names
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "fleetune.db")) as store, store:
        change = "UPDATE settings SET value = replace(value, 'AGFz', 'AAAA') WHERE key = 'own-kernel/own_sum'"
        assert store.execute(change).rowcount == 1
    with server(tmp_path, **settings) as started:
        ready = httpx.get(f"{started.url}readyz")
        assert ready.status_code == 503
        assert "own kernels: own_sum: " in ready.json()["problems"][0]
        assert len(httpx.get(f"{started.url}api/kernels").json()["kernels"]) == 2


HOSTILE = (
    b'"\\ud800"', b'"\xed\xa0\x80"', b"9" * 400, b"-" + b"9" * 400, b"9" * 5000, b"1e308", b"1e999", b"NaN",
    b'"\\u0000"', b"null", b"true", b"[]", b"{}", b'["\\ud800"]', b'"' + b"9" * 5000 + b'"', b"[" * 5000,
    b'["n: i32 1..' + b"9" * 5000 + b'"]',
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def test_no_value_in_any_place_of_an_upload_is_more_than_refused() -> None:
    """Half surrogate pairs, numbers of 400 digits and worse, where the description has something else."""
    document = json.loads(to_document(description(tolerance={"relative": 0.1}), SCRIPT, modules()))
    refused = 0
    for path in list(places(document))[1:]:
        changed = copy.deepcopy(document)
        outer = changed
        for key in path[:-1]:
            outer = outer[key]
        outer[path[-1]] = "MARK"
        for value in HOSTILE:
            data = json.dumps(changed).encode().replace(b'"MARK"', value)
            try:
                build(read_document(data))
            except SpecError as error:
                refused += 1
                str(error).encode()  # what is told can be sent
    assert refused > 300
    names = json.dumps(document).encode().replace(b'"summary"', b'"\\ud800"')
    with pytest.raises(SpecError):
        read_document(names)


@pytest.mark.parametrize("suffix", [".toml", ".js"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1", "utf-8-sig"])
def test_text_in_another_encoding_gets_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, encoding: str
) -> None:
    assert cli.main(["kernels", "init", str(tmp_path)]) == 0
    file = tmp_path / f"sum{suffix}"
    modules = re.findall(r'module = "(.+?)"', (tmp_path / "sum.toml").read_text())
    for name in modules:
        (tmp_path / name).write_bytes(b"no module")
    comment = {".toml": "# é\n", ".js": "// é\n"}[suffix]
    file.write_bytes((comment + file.read_text()).encode(encoding))
    capsys.readouterr()
    assert cli.main(["kernels", "check", str(tmp_path / "sum.toml"), "--browser", "none"]) == 1
    lines = capsys.readouterr().err.splitlines()
    if encoding == "utf-8-sig":  # a byte order mark is no fault; what is wrong are the modules
        assert len(lines) >= len(modules)
        assert "UTF-8" not in "".join(lines)
    else:
        assert len(lines) == 1
        assert lines[0].startswith(f"fleetune kernels: sum{suffix}: ")
        assert lines[0].endswith("save it as UTF-8")
