"""What replicas decide about reports by secrets that they share: who is held out, what work a flood asks for."""

from __future__ import annotations

import hmac
import math
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fleetune.work import is_answer
from fleetune_server.store.base import Store

DRAWS = "draws"  # store key: {"version", "secret"}
HELDOUT = 10  # one report in so many is kept out of training, for the gate
SECRET_BYTES = 32
CHALLENGES = "challenges"  # store key: the secret of all replicas
HOUR = 3600
WINDOW = 600.0  # seconds that count as now
USUAL = 28 * 86_400.0  # seconds that say what is usual
TIMES = 8.0  # times what is usual are a flood: twice a day's peak, which is about four times its mean
FEW = 40.0  # in WINDOW that never are one: what two networks may send in an hour by default
LEAST, MOST = 12, 18  # bits: 4,096 hashes where a flood begins, one bit more for each doubling


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
        self._secret = await shared_secret(self._store, DRAWS, version)

    def heldout(self, nonce: str) -> bool:
        """Whether this report is kept out of training."""
        digest = hmac.digest(self._secret, nonce.encode(), "sha256")
        return int.from_bytes(digest[:8], "big") % HELDOUT == 0


class Challenges:
    """HMAC-SHA256 of the hour, by a secret that replicas share: nothing is kept, and everyone is given the same."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._secret = secrets.token_bytes(SECRET_BYTES)  # until the store's is known

    async def follow(self) -> None:
        """Use the stored secret; make one if there is none."""
        self._secret = await shared_secret(self._store, CHALLENGES)

    @property
    def current(self) -> str:
        """This hour's."""
        return self._of(0)

    def paid(self, nonce: str, answer: int, bits: int) -> bool:
        """Whether this answers the challenge of this hour or of the one before."""
        return any(is_answer(self._of(ago), nonce, answer, bits) for ago in (0, 1))

    def _of(self, ago: int) -> str:
        hour = int(self._clock() // HOUR) - ago
        return hmac.digest(self._secret, b"%d" % hour, "sha256")[:8].hex()


@dataclass(slots=True)
class _Arrivals:
    """Of one place, as they were `at` some moment: both numbers fade."""

    at: float
    now: float = 0.0  # in the last WINDOW
    before: float = 0.0  # earlier, in the last USUAL


class Floods:
    """How many bits of work the reports of each place must bring, by what was taken there lately and is usual.

    Only what was taken counts, so that keeping work switched on costs what it asks for. Half of what a flood begins
    with is the most that teaches what is usual: a flood becomes usual slowly, and a site may grow. There are as many
    places as kernels times browser families.
    """

    def __init__(self, floor: int = 0, few: float = FEW, clock: Callable[[], float] = time.monotonic) -> None:
        self.floor = floor  # bits that everyone must bring
        self.few = few  # in WINDOW that are never a flood
        self._clock = clock
        self._since = clock()
        self._places: dict[str, _Arrivals] = {}

    def bits(self, place: str) -> int:
        """What a report of this place must bring now; 0: nothing."""
        excess = self._excess(self._faded(place))
        return self.floor if excess < 1 else max(self.floor, min(MOST, LEAST + int(math.log2(excess))))

    def add(self, places: Iterable[str]) -> None:
        """Count reports that were taken, by their places."""
        for place in places:
            arrivals = self._places[place] = self._faded(place)
            arrivals.now += 1

    def under_way(self) -> int:
        """Places where there is a flood now."""
        return sum(self._excess(self._faded(place)) >= 1 for place in self._places)

    def _faded(self, place: str) -> _Arrivals:
        """A place's arrivals as of this moment: what leaves the window is what is usual from then on."""
        now = self._clock()
        old = self._places.get(place) or _Arrivals(now)
        stays = math.exp((old.at - now) / WINDOW)
        usual = min(old.now, self._threshold(old) / 2) * (1 - stays)
        return _Arrivals(now, old.now * stays, old.before * math.exp((old.at - now) / USUAL) + usual)

    def _excess(self, arrivals: _Arrivals) -> float:
        return arrivals.now / self._threshold(arrivals)

    def _threshold(self, arrivals: _Arrivals) -> float:
        """As many in WINDOW as are not a flood yet. A server that has started lately knows as much as it has seen."""
        seen = USUAL * -math.expm1((self._since - arrivals.at) / USUAL)  # seconds, as they weigh in `before`
        return max(self.few, TIMES * arrivals.before * WINDOW / max(seen, WINDOW))
