"""Answers that a page believes without believing who brought them: JSON whose last field signs the text before it.

The text is signed, not its meaning, so no two programs need agree on how to write a number. `type` keeps an answer
apart from the other things that the same keys sign (`fleetune/root.py`, `fleetune/signed.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from fleetune_server.common.assets import REVALIDATE, Asset
from fleetune_server.publish.distribute import RENEW_SECONDS, VALID_SECONDS
from fleetune_server.publish.keys import KeyRing

Stamp = tuple[int, tuple[tuple[str, str], ...]]  # what a signature depends on beside the text


class Sealer:
    """Signs texts with the keys of a ring. Replicas that share it give the same bytes on the same day."""

    def __init__(self, keys: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._now = now

    def stamp(self) -> Stamp:
        """Changes each day, and when keys do."""
        return int(self._now() // RENEW_SECONDS), tuple((key.id, key.state) for key in self._keys.keys)

    def seal(self, text: str) -> bytes:
        """A JSON object with the number of the root that names the keys, its expiry and its signatures."""
        expires = int(self._now() // RENEW_SECONDS) * RENEW_SECONDS + VALID_SECONDS
        more = _json({"keys": self._keys.root()["signed"]["version"], "expires": expires})
        signed = f"{text[:-1]},{more[1:]}"
        return f'{signed[:-1]},"signature":{_json(self._keys.sign(signed.encode()))}}}'.encode()


class SealedAnswer:
    """One answer, signed when it is asked for: anew each day, and when the keys change."""

    def __init__(self, kind: str, answer: Mapping[str, Any], sealer: Sealer) -> None:
        self._text = _json({"type": kind, **answer})
        self._sealer = sealer
        self._signed: tuple[Stamp, Asset] | None = None

    @property
    def asset(self) -> Asset:
        """As it is served now; zipped once at most."""
        stamp = self._sealer.stamp()
        if self._signed is None or self._signed[0] != stamp:
            self._signed = stamp, Asset(self._sealer.seal(self._text), ".json", REVALIDATE)
        return self._signed[1]


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
