"""A server's signed answers and files for a page of Node's, visit by visit, so that an attacker can change some."""

from __future__ import annotations

import asyncio
import base64
import http.server
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests import node, releases
from tests.kernel_runner import DIST
from tests.sites import serving

from fleetune.model import Model
from fleetune.signed import key_id
from fleetune_server.common.assets import TYPES
from fleetune_server.kernels.catalogue import Catalogue
from fleetune_server.kernels.package import Package
from fleetune_server.publish.decisions import Decisions
from fleetune_server.publish.distribute import Sealer
from fleetune_server.publish.keys import KeyRing

WEB = Path(__file__).resolve().parents[1] / "browser" / "web"
ENGINE = "other-relaxedSimd"  # Node's
DAY = 86_400
DECISIONS = f"/api/decisions/{ENGINE}"
Answers = dict[str, bytes]  # path with query → body


@cache
def model(version: int) -> Model:
    first = releases.first()
    return Model.from_bytes(first if version == 1 else releases.changed(first, version, version))


@dataclass
class Site:
    """What a server answers now."""

    folder: Path
    version: int = 1
    packages: tuple[Package, ...] = ()
    age: float = 0  # seconds since its answers were signed
    keys: KeyRing = field(init=False)

    def __post_init__(self) -> None:
        self.keys = KeyRing.open(self.folder, now=self.now)
        self.catalogue = Catalogue.load(DIST).with_own(self.packages)

    def now(self) -> float:
        return time.time() - self.age

    @property
    def root(self) -> Any:
        """The newest root, as a page is built with it."""
        return self.keys.root()

    def path(self, name: str) -> str:
        """The address of a file of a kernel."""
        return f"{self.catalogue.root}embed/{name}"

    def answers(self) -> Answers:
        decisions = Decisions(lambda: self.catalogue, Sealer(self.keys, self.now))
        engine = asyncio.run(decisions.of_engine(model(self.version), ENGINE))
        found = {self.catalogue.root + path: asset.body for path, asset in self.catalogue.files.items()}
        names = engine.names.asset.body
        found |= {DECISIONS: engine.whole.asset.body, f"{DECISIONS}?kernel=": names}
        for name in ("dot", *(package.entry["name"] for package in self.packages)):
            body = engine.kernels[name].asset.body
            found |= {f"{DECISIONS}?kernel={name}{more}": body for more in ("", f"&model={self.version}")}
        newest = self.root["signed"]["version"]
        chain = {str(number): self.keys.roots.document(number) for number in range(1, newest + 1)}
        return found | {
            f"/roots/{name}": json.dumps(root).encode()
            for name, root in {**chain, "newest": self.root}.items()
        }


def opened(body: bytes) -> dict[str, Any]:
    """A signed answer without its signature."""
    answer: dict[str, Any] = json.loads(body)
    del answer["signature"]
    return answer


def signed(answer: Mapping[str, Any], *keys: Ed25519PrivateKey) -> bytes:
    """An answer that somebody else signs, under the ids of these keys."""
    text = json.dumps(answer)
    pairs = ((key_id(key.public_key().public_bytes_raw()), key.sign(text.encode())) for key in keys)
    signatures = {name: base64.b64encode(signature).decode() for name, signature in pairs}
    return f'{text[:-1]},"signature":{json.dumps(signatures)}}}'.encode()


def resigned(answers: Answers, *keys: Ed25519PrivateKey, where: str = DECISIONS, **changes: Any) -> Answers:
    """The decisions changed and signed by these keys; without keys, under the signature that they had."""
    forged = dict(answers)
    for path, body in answers.items():
        if path.startswith(where):
            signature = json.loads(body)["signature"]
            altered = opened(body) | changes
            forged[path] = (
                signed(altered, *keys)
                if keys
                else json.dumps({**altered, "signature": signature}, separators=(",", ":")).encode()
            )
    return forged


def visit(
    *visits: tuple[Mapping[str, bytes | Callable[[Any], None]], Mapping[str, Any]], old: bool = False
) -> list[dict[str, Any]]:
    """What a page finds whose first visit gets the first answers, and so on; a callable writes the body itself."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers = visits[int(self.headers["x-visit"])][0]
            body = answers.get(unquote(self.path))
            self.send_response(404 if body is None else 200)
            self.send_header(
                "content-type", TYPES.get(Path(self.path.split("?")[0]).suffix, "application/json")
            )
            self.end_headers()
            if callable(body):
                body(self.wfile)
            else:
                self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """No log."""

    with serving(Handler) as server:
        request = {
            "web": f"{WEB.as_uri()}/",
            "server": server,
            "visits": [options for _, options in visits],
            "old": old,
        }
        printed = node.run(Path(__file__).with_name("trust_in_node.mjs"), input=json.dumps(request))
    found: list[dict[str, Any]] = json.loads(printed)
    return found
