"""Video of more pixels than `video_pixels`: the peer fails, once, and none of it is delivered."""

from __future__ import annotations

import pytest

from livereactor.engine.port import KeyFrameWanted, PeerConfig, PeerState, Section, StateChanged, Use
from livereactor.media.frames import Frame

from .conftest import EVERY_PAIR, Engines
from .harness import link
from .pictures import HEIGHT, WIDTH, Vp8


@EVERY_PAIR
@pytest.mark.parametrize("over", [0, 1], ids=["at the limit", "over it"])
async def test_a_peer_that_sends_too_large_video_fails_once(engines: Engines, over: int) -> None:
    config = PeerConfig(video_pixels=WIDTH * HEIGHT - over)
    async with link(engines.server, engines.client, (Section("video", Use.SEND),), server_config=config) as joined:
        await joined.client.inbox.get(KeyFrameWanted)
        frames, encoder, camera = await joined.server.frames("0"), Vp8(), joined.client_accepted.video["0"]
        for number in range(1, 4):
            assert camera.send(encoder.encode(number, key=True))
        if not over:
            await frames.get(Frame)
            return
        inbox = joined.server.inbox
        failed = await inbox.get(StateChanged, lambda event: event.state is PeerState.FAILED)
        assert "video_pixels" in failed.reason
        assert f"{WIDTH}x{HEIGHT}" in failed.reason
        assert len(inbox.all(StateChanged, lambda event: event.state is PeerState.FAILED)) == 1
        assert not frames.all(Frame)
