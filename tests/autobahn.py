"""The Autobahn suite against our WebSockets: `python -m tests.autobahn --python PYTHON2 [--json]`.

The suite wants an echo, which the push is not: so an echo on the push's own connections
(`deliver/socket.py`) runs with the very uvicorn configuration of `fleetune serve`. The suite is Python 2:
`pip install autobahntestsuite` in a virtual environment of Python 2.7. Twice: with our limit of 4 KiB a
message, which refuses the cases with longer ones on purpose, and without it, which those cases need.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.frames import Frame, Opcode

from fleetune_server.commands.serve import config, listen
from fleetune_server.deliver.socket import Socket
from fleetune_server.settings import Settings

UNLIMITED = 1 << 26  # bytes; the longest message of the suite has 16 MiB
NOT_OURS = ["12.*", "13.*"]  # compression, which is off: a push has 30 bytes
START = "from autobahntestsuite.wstest import run; run()"


class Echo(Socket):
    """Sends back whatever comes."""

    def hear(self, message: str | bytes) -> None:
        opcode, data = (
            (Opcode.BINARY, message) if isinstance(message, bytes) else (Opcode.TEXT, message.encode())
        )
        self.write(Frame(opcode, data).serialize(mask=False))


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers no request: this is all about WebSockets."""


def serve(folder: Path, most: int) -> None:
    """Echo until killed; the first line says where."""
    settings = replace(Settings(), data=folder, port=0)
    ours = config(nothing)
    ours.ws = Echo
    ours.lifespan = "off"
    ours.ws_max_size = most or ours.ws_max_size
    with listen(settings) as listener:
        print(listener.getsockname()[1], flush=True)
        uvicorn.Server(ours).run(sockets=[listener])


def verdicts(python: str, most: int, cases: list[str]) -> dict[str, Any]:
    """How many cases ended how, and which not well."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.autobahn", "--serve", name, "--most", str(most)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            spec = {
                "outdir": str(folder / "reports"),
                "servers": [{"agent": "fleetune", "url": f"ws://127.0.0.1:{port}/"}],
                "cases": cases,
                "exclude-cases": NOT_OURS,
                "exclude-agent-cases": {},
            }
            (folder / "spec.json").write_text(json.dumps(spec))
            subprocess.run(
                [python, "-c", START, "-m", "fuzzingclient", "-s", str(folder / "spec.json")],
                stdout=subprocess.DEVNULL,
                check=True,
            )
            found = json.loads((folder / "reports" / "index.json").read_text())["fleetune"]
        finally:
            server.kill()
            server.wait()
            assert server.stdout is not None
            server.stdout.close()
    counted = Counter(case["behavior"] for case in found.values())
    closing = Counter(case["behaviorClose"] for case in found.values())
    others = sorted(name for name, case in found.items() if case["behavior"] not in ("OK", "INFORMATIONAL"))
    return {"cases": len(found), "behaviour": dict(counted), "closing": dict(closing), "not_ok": others}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default="python2", help="an interpreter that can import the suite")
    parser.add_argument("--cases", default="*", help="separated by commas, such as 1.*,6.*")
    parser.add_argument("--json", action="store_true", help="one line")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--most", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.most)
        return 0
    cases = options.cases.split(",")
    figures = {
        "limited": verdicts(options.python, 0, cases),
        "unlimited": verdicts(options.python, UNLIMITED, cases),
    }
    print(json.dumps(figures, indent=None if options.json else 2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
