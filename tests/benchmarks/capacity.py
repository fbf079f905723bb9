"""What reports, versions and pages cost to keep and to send: `python tests/benchmarks/capacity.py [--json]`.

Bytes on disk of a pending report, of a remembered nonce and of a cell's sums (SQLite; the baseline is a raw
16-byte nonce); bytes of the first model of the committed lab measurements, as a new page fetches it, and of
an answer that nothing is newer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import uvloop

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests import tiny  # noqa: E402
from tests.load import Round, encode, hammer  # noqa: E402
from tests.running import server  # noqa: E402
from tests.test_store import ENVIRONMENT  # noqa: E402

from fleetune.context import Context  # noqa: E402
from fleetune_server.store.base import Cell, StoredPacket  # noqa: E402
from fleetune_server.store.sqlite import SqliteStore, open_sqlite  # noqa: E402

CELLS = 16_000
GROUP = 1000


async def storage(path: Path, reports: int) -> dict[str, float]:
    """Bytes of the file per report in each of its states."""
    cells = [
        Cell(f"{i:032x}", Context(i % 24, "f32", "random"), ENVIRONMENT, "scalar", 1, 2.0, 0.5, 0.1)
        for i in range(CELLS)
    ]
    async with open_sqlite(path, 10 * GROUP) as store:
        empty = await _size(store)
        for start in range(0, reports, GROUP):
            group = [
                StoredPacket(cells[i % CELLS], i % 64, secrets.token_hex(16), i % 10 == 0)
                for i in range(start, start + GROUP)
            ]
            await store.append(group)
        pending = await _size(store)
        began = time.perf_counter()
        await store.fold(time.time() + 1)
        seconds = time.perf_counter() - began
        folded = await _size(store)
        await store.forget(time.time() + 1)
        sums = await _size(store)
    return {
        "pending_report_bytes": (pending - empty) / reports,
        "nonce_bytes": (folded - sums) / reports,
        "cell_bytes": (sums - empty) / CELLS,
        "fold_reports_per_second": reports / seconds,
    }


async def _size(store: SqliteStore) -> int:
    """Bytes that the data need, without what deleted rows left free."""
    sizes = [
        (await store._writing.execute_fetchall(f"PRAGMA {name}"))
        for name in ("page_size", "page_count", "freelist_count")
    ]
    page, count, free = (int(next(iter(rows))[0]) for rows in sizes)
    return page * (count - free)


def sending(folder: Path) -> dict[str, int]:
    """Bytes on the wire: the first model, the answer that names it, and the answer that nothing is newer."""
    with server(folder / "sending") as running, httpx.Client(base_url=running.url) as client:
        latest = client.get("/api/model/latest")
        answer = latest.json()
        with client.stream("GET", answer["url"], headers={"accept-encoding": "br"}) as file:
            model = len(b"".join(file.iter_raw()))
        current = client.get("/api/model/latest", params={"version": answer["version"]})
        headers = sum(len(name) + len(value) + 4 for name, value in current.headers.raw)
        return {
            "model_bytes": answer["size"],
            "model_brotli_bytes": model,
            "latest_bytes": len(latest.content),
            "up_to_date_bytes": len(current.content) + headers,
        }


def taking(folder: Path) -> dict[str, float]:
    """Reports per second of the server's processor, durable, one and fifty a request (tiny catalogue)."""
    settings = {"kernels": tiny.write(folder / "dist"), "lab": folder, "retrain_packets": 10**9}
    figures = {}
    with server(folder / "taking", rate_packets=0, **settings) as running:
        for batch in (1, 50):
            packets = Round.fetch(running.url).packets(200 * 50, tiny.ENVIRONMENT)
            before = _cpu(running.process.pid)
            outcome = uvloop.run(hammer(running.url, encode(packets, batch)))
            spent = _cpu(running.process.pid) - before
            figures[f"reports_per_cpu_second_{batch}"] = len(outcome.acknowledged) * batch / spent
    return figures


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=500_000)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures: dict[str, Any] = asyncio.run(storage(Path(name) / "fleetune.db", args.reports))
        figures |= taking(Path(name))
        figures = {key: round(value, 1) for key, value in figures.items()} | sending(Path(name))
    print(
        json.dumps(figures) if args.json else "\n".join(f"{key}: {value}" for key, value in figures.items())
    )


if __name__ == "__main__":
    main()
