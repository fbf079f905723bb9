"""Python starts from the memory snapshot, and plainly from one that is missing, damaged or another."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message
from tests import node

from fleetune_server.http import assets
from fleetune_server.http.app import create_app
from fleetune_server.settings import Settings
from fleetune_server.store.base import StoreError

ROOT = Path(__file__).parents[1]
SNAPSHOT = ROOT / "browser" / "node_modules" / "pyodide" / "snapshot.bin.gz"


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of each kind of snapshot, all started in one process of Node."""
    folder = tmp_path_factory.mktemp("snapshots")
    whole = SNAPSHOT.read_bytes()
    kinds = {
        "cut": whole[: len(whole) // 2],
        "other": gzip.compress(bytes(4 << 20)),
        "another build": gzip.compress(_other_build(gzip.decompress(whole)), compresslevel=1),
        "whole": whole,
        "whole again": whole,
    }
    named: list[dict[str, str] | None] = [None, {"file": str(folder / "missing"), "sha256": ""}]
    for kind, content in kinds.items():
        (folder / kind).write_bytes(content)
        promised = content if kind == "another build" else whole
        named.append({"file": str(folder / kind), "sha256": hashlib.sha256(promised).hexdigest()})
    printed = node.run(ROOT / "tests" / "snapshot_in_node.mjs", json.dumps(named))
    return {Path(start["name"]).name: start for start in json.loads(printed)}


def _other_build(snapshot: bytes) -> bytes:
    """The same with another build's identity in its header (the fifth word)."""
    return snapshot[:16] + bytes(32) + snapshot[48:]


def test_the_build_makes_one() -> None:
    assert SNAPSHOT.stat().st_size > 1 << 20


@pytest.mark.parametrize("kind", ["none", "missing", "cut", "other", "another build"])
def test_without_a_snapshot_that_fits_python_starts_plainly_and_says_why(
    starts: dict[str, dict[str, Any]], kind: str
) -> None:
    assert starts[kind]["version"] == [3, 12]
    assert starts[kind]["sum"] == 45
    (warning,) = starts[kind]["warnings"]
    assert "without its snapshot" in warning


def test_a_whole_one_is_used_and_private_randomness_is_not_in_it(starts: dict[str, dict[str, Any]]) -> None:
    first, second = starts["whole"], starts["whole again"]
    assert first["warnings"] == second["warnings"] == []
    assert first["sum"] == 45
    assert first["secret"] != second["secret"]
    assert first["seconds"] < starts["missing"]["seconds"]


async def test_a_server_without_one_says_so_as_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(assets, "SNAPSHOT", "nowhere.bin.gz")
    (tmp_path / "data").touch()  # no folder, so nothing else starts
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        said.append(message)

    with pytest.raises(StoreError):
        await create_app(Settings(data=tmp_path / "data"))({"type": "lifespan"}, receive, send)
    assert [message["type"] for message in said] == ["lifespan.startup.failed"]
    (warning,) = [record for record in caplog.records if "no memory snapshot" in record.getMessage()]
    assert warning.levelname == "WARNING"
    assert "snapshot.mjs" in warning.__dict__["remedy"]
