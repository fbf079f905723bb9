"""The hub alone, with clients whose buffers are full after one message."""

from __future__ import annotations

import asyncio
import time

from fleetune_server.deliver.hub import CHUNK, Hub


class Slow:
    """A client that takes one message, and more only if it reads."""

    def __init__(self, hub: Hub, version: int = 1, *, reads: bool = False) -> None:
        self.hub = hub
        self.reads = reads
        self.received: list[int] = []
        self.aborted = False
        self.closed = 0
        self.version = version
        self.draw: int | None = None
        self.heard = 0.0
        self.full_since: float | None = None

    def join(self, draw: int | None = None) -> None:
        self.hub.hear(self, self.version, draw)

    def send(self, version: int) -> None:
        assert self.full_since is None, "nothing is sent behind a full buffer"
        self.received.append(version)
        if not self.reads:
            self.full_since = time.monotonic()

    def drain(self) -> None:
        self.reads, self.full_since = True, None
        self.hub.drained(self)

    def close(self, code: int) -> None:
        self.closed = code

    def abort(self) -> None:
        self.aborted = True


async def test_one_slow_client_holds_up_nobody_and_gets_only_the_newest() -> None:
    version = 1
    hub = Hub(lambda _draw: version, settle=0, stalled=60)
    slow, fast = Slow(hub), Slow(hub, reads=True)
    for client in (slow, fast):
        client.join()
    for version in range(2, 7):
        await hub.announce(version)
        await hub.settled()
    assert fast.received == [2, 3, 4, 5, 6]
    assert slow.received == [2]
    slow.drain()
    assert slow.received == [2, 6], "the one under way, then the newest"
    await hub.close()


async def test_a_client_that_never_reads_is_dropped() -> None:
    hub = Hub(lambda _draw: 2, settle=0, stalled=0.1)
    slow = Slow(hub)
    slow.join()
    await asyncio.sleep(0.3)
    assert (len(hub), hub.dropped, slow.aborted) == (0, 1, True)
    await hub.close()


async def test_a_full_client_is_sent_no_heartbeats() -> None:
    hub = Hub(lambda _draw: 2, settle=0, beat=0.05)
    slow, fast = Slow(hub), Slow(hub, reads=True)
    for client in (slow, fast):
        client.join()
    await asyncio.sleep(0.3)
    assert slow.received == [2]
    assert fast.received[:3] == [2, 0, 0]
    await hub.close()


async def test_a_send_that_fails_drops_only_that_client() -> None:
    class Broken(Slow):
        def send(self, version: int) -> None:
            raise ConnectionResetError

    hub = Hub(lambda _draw: 2, settle=0)
    good, broken = Slow(hub), Broken(hub)
    broken.join()
    good.join()
    assert (len(hub), good.received, broken.aborted) == (1, [2], True)
    await hub.close()


async def test_other_work_goes_on_during_a_broadcast() -> None:
    version = 1
    hub = Hub(lambda _draw: version, settle=0)
    order: list[str] = []

    class Noted(Slow):
        def send(self, version: int) -> None:
            order.append("send")

    for _ in range(1000):
        Noted(hub).join()
    version = 2
    await hub.announce(2)

    async def other() -> None:
        while len(order) < 1000:
            order.append("other")
            await asyncio.sleep(0)

    await other()
    assert order.count("other") >= 8, "a turn every hundred sends"
    await hub.close()


async def test_who_left_during_a_broadcast_is_told_nothing() -> None:
    version = 1
    hub = Hub(lambda _draw: version, settle=0)
    clients = [Slow(hub, reads=True) for _ in range(CHUNK + 1)]
    for client in clients:
        client.join()
    version = 2
    await hub.announce(2)
    while not clients[0].received:  # noqa: ASYNC110  (the hub has no event for tests)
        await asyncio.sleep(0)
    hub.leave(clients[-1])
    await hub.settled()
    assert (clients[-2].received, clients[-1].received) == ([2], [])
    await hub.close()


async def test_closing_does_not_wait_for_clients_that_never_read() -> None:
    hub = Hub(lambda _draw: 1)
    slow = Slow(hub)
    slow.join()
    async with asyncio.timeout(3):
        await hub.close()
    assert (len(hub), slow.closed) == (0, 1012)


async def test_a_session_draw_decides_who_is_told_of_a_candidate() -> None:
    hub = Hub(lambda draw: 2 if draw is not None and draw < 100 else 1, settle=0)
    chosen, other, silent = (Slow(hub, reads=True) for _ in range(3))
    for client, draw in ((chosen, 99), (other, 100), (silent, None)):
        client.join(draw)
    await hub.announce(2)
    await hub.settled()
    assert (chosen.received, other.received, silent.received) == ([2], [], [])
    await hub.close()
