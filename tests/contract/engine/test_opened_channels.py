"""Data channels that the other side opens: so many in the life of a peer, and those that are closed are forgotten."""

from __future__ import annotations

import asyncio
import gc
import weakref

from livereactor.engine.port import Channel, ChannelAdded, ChannelClosed, ChannelOpened, PeerConfig, PeerState

from .conftest import EVERY_PAIR, Engines
from .harness import TIMEOUT, link

MOST = 4
CONFIG = PeerConfig(data_channels=MOST)


@EVERY_PAIR
async def test_one_more_than_may_be_opened_ends_the_peer_once(engines: Engines) -> None:
    labels = [f"channel {number}" for number in range(MOST + 3)]
    async with link(engines.server, engines.client, channels=labels, server_config=CONFIG) as joined:
        await joined.server.state(PeerState.FAILED)
        reasons = joined.server.reasons(PeerState.FAILED)
        assert len(reasons) == 1
        assert f"more than {MOST} data channels (data_channels)" in reasons[0]
        assert len(joined.server.inbox.all(ChannelAdded)) <= MOST


@EVERY_PAIR
async def test_closed_channels_are_forgotten(engines: Engines) -> None:
    labels = [f"channel {number}" for number in range(MOST)]
    async with link(engines.server, engines.client, channels=labels, server_config=CONFIG) as joined:
        closed: list[weakref.ref[Channel]] = []
        for label in labels[1:]:
            server, client = await joined.server.channel(label), await joined.client.channel(label)
            await client.inbox.get(ChannelOpened)
            client.channel.close()
            await server.inbox.get(ChannelClosed)
            closed.append(weakref.ref(server.channel))
            del server, client
        joined.server.inbox.items.clear()
        async with asyncio.timeout(TIMEOUT):
            while any(each() is not None for each in closed):
                await asyncio.sleep(0.01)  # a thread of the engine may still be in the last callback
                gc.collect()
