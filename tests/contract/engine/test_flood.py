"""A client that sends faster than the loop hears: bounded, and said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from livereactor.base.errors import EngineError
from livereactor.base.limits import MIB
from livereactor.engine.channel_inbound import WAITING_BYTES, WAITING_MESSAGES, InboundChannel
from livereactor.engine.libwebrtc.engine import LibwebrtcEngine
from livereactor.engine.port import ChannelClosed, ChannelEvent, ChannelOpened, MessageReceived, PeerConfig

from .harness import link

SIZE = 250_000
ENOUGH = WAITING_BYTES + 16 * MIB


class Ended(InboundChannel):
    """A channel with nothing behind it."""

    def __init__(self) -> None:
        super().__init__("data", lambda: None, lambda: None)
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_message_after_the_last_that_may_wait_closes_the_channel() -> None:
    for size, allowed in ((0, WAITING_MESSAGES), (MIB, WAITING_BYTES // MIB)):
        channel, data = Ended(), bytes(size)
        for _ in range(allowed):
            channel.arrive(MessageReceived(data, text=False), lambda callback: callback())
        assert not channel.closed
        for _ in range(3):
            channel.arrive(MessageReceived(data, text=False), lambda callback: callback())
        assert channel.closed == 1


def test_what_has_been_heard_does_not_count() -> None:
    channel = Ended()
    heard: list[ChannelEvent] = []
    channel.listen(heard.append)
    for _ in range(WAITING_MESSAGES + 1):
        channel.arrive(MessageReceived(b"x", text=False), lambda callback: callback())
    assert len(heard) == WAITING_MESSAGES + 1
    assert not channel.closed


async def test_a_flood_over_a_loop_that_hangs_is_bounded_and_closes_the_channel() -> None:
    engine = LibwebrtcEngine()
    await engine.start()
    try:
        plain = PeerConfig(chunking=False)
        async with link(engine, engine, server_config=plain, client_config=plain) as joined:
            server, client = await joined.server.channel("data"), await joined.client.channel("data")
            await server.inbox.get(ChannelOpened)
            await client.inbox.get(ChannelOpened)
            flooding = threading.Thread(target=flood, args=(client.channel.send,))
            flooding.start()
            flooding.join()  # the loop hangs meanwhile, on purpose
            await server.inbox.get(ChannelClosed)
            size = sum(len(each.data) for each in server.inbox.all(MessageReceived))
            assert WAITING_BYTES <= size < WAITING_BYTES + SIZE
    finally:
        await engine.aclose()


def flood(send: Callable[..., None]) -> None:
    """Send `ENOUGH` bytes as fast as they leave, within a while."""
    sent, pause, until = 0, threading.Event(), time.monotonic() + 60.0
    while sent < ENOUGH and time.monotonic() < until:
        try:
            send(bytes(SIZE), text=False)
            sent += SIZE
        except EngineError:  # full: what was sent has to leave first
            pause.wait(0.002)
