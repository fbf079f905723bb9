"""A PostgreSQL server of our own: Debian's binaries, a temporary folder, a free port."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

USER = "postgres"


def binaries() -> Path:
    """The folder of `initdb` and `pg_ctl`; PostgreSQL must be installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    on_path = shutil.which("pg_ctl")
    if not found and on_path is None:
        raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1] if found else Path(str(on_path)).parent


@dataclass
class Server:
    """One cluster; `restart("immediate")` is a crash and recovery."""

    folder: Path
    port: int

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """A new empty database; its URL."""
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, database)
        return self.url(database)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", mode, "stop")

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def run(self, program: str, *arguments: str) -> None:
        # The server refuses to run as root.
        user = USER if os.getuid() == 0 else None
        subprocess.run(
            [str(binaries() / program), *arguments],
            check=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )


@contextlib.contextmanager
def cluster() -> Iterator[Server]:
    """A running server, gone afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="fleetune-pg-") as name:
        folder = Path(name)
        if os.getuid() == 0:
            shutil.chown(folder, USER, USER)
        server = Server(folder, port)
        server.run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", "trust", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
