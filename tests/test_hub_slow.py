"""The hub alone, with clients whose buffers are full: their sends wait on a gate."""

from __future__ import annotations

import asyncio

from fleetune_server.deliver.hub import Hub, Subscriber


class Slow:
    """A client that takes messages only while its gate is open."""

    def __init__(self, version: int = 1) -> None:
        self.gate = asyncio.Event()
        self.received: list[int] = []
        self.ended = False
        self.subscriber = Subscriber(self.send, self.close, self.end, version)

    async def send(self, version: int) -> None:
        await self.gate.wait()
        self.received.append(version)

    async def close(self, code: int) -> None:
        await self.gate.wait()

    def end(self) -> None:
        self.ended = True


async def test_one_slow_client_holds_up_nobody_and_gets_only_the_newest() -> None:
    version = 1
    hub = Hub(lambda _draw: version, settle=0, stalled=60)
    slow, fast = Slow(), Slow()
    fast.gate.set()
    for client in (slow, fast):
        hub.join(client.subscriber)
    for version in range(2, 7):
        await hub.announce(version)
        await hub.settled()
    assert fast.received == [2, 3, 4, 5, 6]
    assert slow.received == []
    slow.gate.set()
    await asyncio.sleep(0.05)
    assert slow.received == [2, 6], "the one under way, then the newest"
    await hub.close()


async def test_a_client_that_never_reads_is_dropped() -> None:
    hub = Hub(lambda _draw: 2, settle=0, stalled=0.1)
    slow = Slow()
    hub.join(slow.subscriber)
    await asyncio.sleep(0.3)
    assert (len(hub), hub.dropped, slow.ended, slow.subscriber.gone) == (0, 1, True, True)
    await hub.close()


async def test_a_send_that_fails_drops_only_that_client() -> None:
    hub = Hub(lambda _draw: 2, settle=0)
    good = Slow()
    good.gate.set()
    broken = Slow()

    async def fail(version: int) -> None:
        raise ConnectionResetError

    broken.subscriber.send = fail
    hub.join(broken.subscriber)
    hub.join(good.subscriber)
    assert (len(hub), good.received, broken.ended) == (1, [2], True)
    await hub.close()


async def test_other_work_goes_on_during_a_broadcast() -> None:
    version = 1
    hub = Hub(lambda _draw: version, settle=0)
    order: list[str] = []

    async def send(_version: int) -> None:
        order.append("send")

    async def close(_code: int) -> None:
        return

    for _ in range(1000):
        hub.join(Subscriber(send, close, lambda: None, 1))
    version = 2
    await hub.announce(2)

    async def other() -> None:
        while len(order) < 1000:
            order.append("other")
            await asyncio.sleep(0)

    await other()
    assert order.count("other") >= 8, "a turn every hundred sends"
    await hub.close()


async def test_closing_does_not_wait_for_clients_that_never_read() -> None:
    hub = Hub(lambda _draw: 1)
    hub.join(Slow().subscriber)
    async with asyncio.timeout(3):
        await hub.close()
    assert len(hub) == 0


async def test_a_session_draw_decides_who_is_told_of_a_candidate() -> None:
    hub = Hub(lambda draw: 2 if draw is not None and draw < 100 else 1, settle=0)
    chosen, other, silent = (Slow() for _ in range(3))
    for client, draw in ((chosen, 99), (other, 100), (silent, None)):
        client.gate.set()
        client.subscriber.draw = draw
        hub.join(client.subscriber)
    await hub.announce(2)
    await hub.settled()
    assert (chosen.received, other.received, silent.received) == ([2], [], [])
    await hub.close()
