"""Messages of SCTP that do not arrive whole: kept within bounds, whoever sends them."""

from __future__ import annotations

import pytest

from livereactor.base.limits import MIB
from livereactor.engine.aiortc.channel import PARTIAL_BYTES, AiortcChannel, MessageLimits
from livereactor.engine.port import ChannelOpened, MessageReceived, PeerConfig, PeerState

from .conftest import Engines
from .harness import link

AIORTC = pytest.mark.parametrize("engines", [("aiortc", "aiortc")], indirect=True, ids=["aiortc"])


@AIORTC
@pytest.mark.parametrize("size", [8 * MIB, MIB // 4])
async def test_a_message_that_is_larger_than_any_window_ends_the_peer(engines: Engines, size: int) -> None:
    plain = PeerConfig(chunking=False)
    async with link(engines.server, engines.client, server_config=plain, client_config=plain) as joined:
        server, client = await joined.server.channel("data"), await joined.client.channel("data")
        await client.inbox.get(ChannelOpened)
        sender = client.channel
        assert isinstance(sender, AiortcChannel)
        sender.negotiated(MessageLimits(plain_bytes=size))  # as if the server had said that it takes them
        sender.send(b"x" * size, text=False)
        if size > PARTIAL_BYTES:
            await joined.server.state(PeerState.FAILED)
            assert "unfinished message" in joined.server.reasons(PeerState.FAILED)[0]
            assert server.inbox.all(MessageReceived) == []
        else:
            await server.messages(1)
