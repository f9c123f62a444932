"""A program: tracks in circles are collected on libwebrtc's network thread while connections are made; says "done"."""

from __future__ import annotations

import asyncio
import gc

from livereactor.engine.channel_inbound import Post
from livereactor.engine.libwebrtc.engine import LibwebrtcEngine
from livereactor.engine.libwebrtc.transport import LibwebrtcChannel
from livereactor.engine.port import (
    Channel,
    ChannelAdded,
    MessageReceived,
    Peer,
    PeerConfig,
    PeerEvent,
    Section,
    Use,
)

PAIRS = 30

_rubbish = list[list[object]]()
_arrive = LibwebrtcChannel.arrive  # it runs on the network thread


def arrive_and_collect(self: LibwebrtcChannel, message: MessageReceived, post: Post) -> None:
    if _rubbish:
        _rubbish.clear()
        gc.collect()
    _arrive(self, message, post)


async def _pair(engine: LibwebrtcEngine) -> tuple[Peer, Peer, Channel]:
    channel = asyncio.get_running_loop().create_future()

    def happened(event: PeerEvent) -> None:
        if isinstance(event, ChannelAdded) and not channel.done():
            channel.set_result(event.channel)

    client, server = await engine.peer(PeerConfig(), happened), await engine.peer(PeerConfig(), lambda _: None)
    offer = await client.offer([Section("video", Use.RECEIVE)], ["data"])
    await client.take_answer((await server.accept(offer, {"0": Use.SEND})).answer)
    return client, server, await channel


async def _throw_away(engine: LibwebrtcEngine, channel: Channel) -> None:
    """A track in a circle, and a message on whose thread it may be collected, for ever."""
    while True:
        circle: list[object] = [engine.process.make_track(lambda _: None)]
        circle.append(circle)
        _rubbish.append(circle)
        del circle
        channel.send(b"x", text=False)
        await asyncio.sleep(0.002)


async def main() -> None:
    LibwebrtcChannel.arrive = arrive_and_collect
    engine = LibwebrtcEngine()
    await engine.start()
    _, _, channel = await _pair(engine)
    throwing = asyncio.create_task(_throw_away(engine, channel))
    for _ in range(PAIRS):
        client, server, _ = await _pair(engine)
        await client.aclose()
        await server.aclose()
    throwing.cancel()
    await engine.aclose()
    gc.collect()
    engine.process.held.sweep()
    print("done", len(engine.process.held) <= 2 * len(engine.process.encoder_tracks))


if __name__ == "__main__":
    asyncio.run(main())
