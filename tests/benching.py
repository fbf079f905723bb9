"""Operations of a session without a browser, as the tests of the benchmark call them."""

from __future__ import annotations

from typing import Any

from tests.fake_platform import FakePlatform
from tests.tiny import ENVIRONMENT, raw_manifest

from fleetune.app import handlers
from fleetune.app.session import Session
from fleetune.context import Environment
from fleetune.manifest import Manifest

MANIFEST = Manifest.load(raw_manifest())
KERNEL = next(iter(MANIFEST.kernels.values()))
SIZE = KERNEL.sizes[1]
CELL = {"kernel": KERNEL.name, "size": SIZE, "pattern": "random", "copied": False}


async def a_session(platform: FakePlatform, environment: Environment = ENVIRONMENT) -> Session:
    return await handlers.start(platform, boot={}, manifest=MANIFEST, environment=environment)


async def call(session: Session, op: str, **args: Any) -> Any:
    answer = await handlers.call(session, op, args)
    assert "error" not in answer, answer
    return answer["value"]


async def refused(session: Session, op: str, **args: Any) -> dict[str, str]:
    answer = await handlers.call(session, op, args)
    error: dict[str, str] = answer["error"]
    return error
