"""The hub alone, with clients whose sends wait until they read."""

from __future__ import annotations

import asyncio

from fleetune_server.publish.hub import CHUNK, HEARTBEAT, Hub, Subscriber


class Client:
    """Takes one message, and more only if it reads."""

    def __init__(self, hub: Hub, version: int = 1, *, reads: bool = False, draw: int | None = None) -> None:
        self.hub = hub
        self.received: list[int] = []
        self.evicted = False
        self.ready = asyncio.Event()
        self.ready.set()
        self.reads = reads
        self.seat = Subscriber(self.take, self.end)
        hub.hear(self.seat, version, draw)

    async def take(self, version: int) -> None:
        await self.ready.wait()
        self.received.append(version)
        if not self.reads:
            self.ready.clear()

    def end(self) -> None:
        self.evicted = True

    def drain(self) -> None:
        self.reads = True
        self.ready.set()


async def told(*clients: Client, version: int) -> None:
    """Wait until these have been sent that version."""
    async with asyncio.timeout(5):
        while any(client.received[-1:] != [version] for client in clients):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_one_slow_client_holds_up_nobody_and_gets_only_the_newest() -> None:
    version = 1
    hub = Hub(lambda _draw: version, settle=0, stalled=60)
    slow, fast = Client(hub), Client(hub, reads=True)
    for version in range(2, 7):
        await hub.announce(version)
        await told(fast, version=version)
    assert fast.received == [2, 3, 4, 5, 6]
    assert slow.received == [2]
    slow.drain()
    await told(slow, version=6)
    assert slow.received == [2, 3, 6], "the one that was under way, then the newest"
    await hub.close()


async def test_a_client_that_never_reads_is_dropped() -> None:
    version = 2
    hub = Hub(lambda _draw: version, settle=0, stalled=0.1)
    slow = Client(hub)
    await told(slow, version=2)
    version = 3
    await hub.announce(3)
    await asyncio.sleep(0.3)
    assert (len(hub), hub.dropped, slow.evicted) == (0, 1, True)
    await hub.close()


async def test_heartbeats_do_not_pile_up_and_never_replace_a_version() -> None:
    version = 2
    hub = Hub(lambda _draw: version, settle=0, beat=0.05)
    slow, fast = Client(hub), Client(hub, reads=True)
    async with asyncio.timeout(5):
        while fast.received.count(HEARTBEAT) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        version = 3
        await hub.announce(3)
        while fast.received.count(HEARTBEAT) < 6:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert slow.received == [2]
        slow.drain()
        while 3 not in slow.received:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert slow.received[: slow.received.index(3)] == [2, HEARTBEAT], "the one under way, then the version"
    await hub.close()


async def test_a_send_that_fails_drops_only_that_client() -> None:
    class Gone(Client):
        async def take(self, version: int) -> None:
            raise ConnectionResetError

    hub = Hub(lambda _draw: 2, settle=0)
    gone, good = Gone(hub), Client(hub)
    await told(good, version=2)
    assert (len(hub), good.received, gone.evicted) == (1, [2], True)
    await hub.close()


async def test_other_work_goes_on_during_a_broadcast() -> None:
    version = 1
    hub = Hub(lambda _draw: version, settle=0)
    order: list[str] = []

    class Noted(Client):
        async def take(self, version: int) -> None:
            order.append("send")

    for _ in range(1000):
        Noted(hub)
    version = 2
    await hub.announce(2)
    async with asyncio.timeout(5):
        while order.count("send") < 1000:
            order.append("other")
            await asyncio.sleep(0)
    assert order.count("other") >= 8, "a turn every hundred sends"
    await hub.close()


async def test_who_left_during_a_broadcast_is_told_nothing() -> None:
    version = 1
    hub = Hub(lambda _draw: version, settle=0)
    clients = [Client(hub, reads=True) for _ in range(CHUNK + 1)]
    version = 2
    await hub.announce(2)
    async with asyncio.timeout(5):
        while not clients[0].received:  # noqa: ASYNC110 - the hub has no event for tests
            await asyncio.sleep(0)
    hub.leave(clients[-1].seat)
    await told(*clients[:-1], version=2)
    assert clients[-1].received == []
    await hub.close()


async def test_who_leaves_while_a_send_waits_is_not_counted_as_dropped() -> None:
    version = 2
    hub = Hub(lambda _draw: version, settle=0, stalled=0.1)
    slow = Client(hub)
    await told(slow, version=2)
    version = 3
    await hub.announce(3)
    await asyncio.sleep(0.02)
    hub.leave(slow.seat)
    await asyncio.sleep(0.2)
    assert (len(hub), hub.dropped, slow.evicted) == (0, 0, False)
    await hub.close()


async def test_closing_does_not_wait_for_clients_that_never_read() -> None:
    version = 2
    hub = Hub(lambda _draw: version, settle=0)
    slow = Client(hub)
    await told(slow, version=2)
    version = 3
    await hub.announce(3)
    await asyncio.sleep(0.02)
    async with asyncio.timeout(3):
        await hub.close()
    assert len(hub) == 0


async def test_a_session_draw_decides_who_is_told_of_a_candidate() -> None:
    hub = Hub(lambda draw: 2 if draw is not None and draw < 100 else 1, settle=0)
    chosen, other, silent = (Client(hub, reads=True, draw=draw) for draw in (99, 100, None))
    await hub.announce(2)
    await told(chosen, version=2)
    await asyncio.sleep(0.05)
    assert (chosen.received, other.received, silent.received) == ([2], [], [])
    await hub.close()
