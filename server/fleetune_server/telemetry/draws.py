"""What the server draws about a report, by a secret of its own: senders choose nonces, so a nonce decides nothing."""

from __future__ import annotations

import hmac
import secrets

from fleetune_server.store.base import Store

KEY = "draws"  # store key: {"version", "secret"}
HELDOUT = 10  # one report in so many is kept out of training, for the gate
SECRET_BYTES = 32


async def shared_secret(store: Store, key: str, version: int = 0) -> bytes:
    """The secret of all replicas; a new one if none is stored, or one that is older than the published `version`."""
    stored = await store.get(key)
    if stored is None or stored["version"] < version:
        await store.put(key, {"version": version, "secret": secrets.token_hex(SECRET_BYTES)})
        stored = await store.get(key)  # another replica may have written at the same moment
    return bytes.fromhex(stored["secret"])


class Draws:
    """Held-out membership: HMAC-SHA256 of the nonce. A new model version brings a new secret, for all replicas."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._secret = secrets.token_bytes(SECRET_BYTES)  # until the store's is known

    async def follow(self, version: int) -> None:
        """Use the stored secret; replace it if it is older than the published `version`, or if there is none."""
        self._secret = await shared_secret(self._store, KEY, version)

    def heldout(self, nonce: str) -> bool:
        """Whether this report is kept out of training."""
        digest = hmac.digest(self._secret, nonce.encode(), "sha256")
        return int.from_bytes(digest[:8], "big") % HELDOUT == 0
