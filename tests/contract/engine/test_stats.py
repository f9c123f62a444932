"""What a Peer measures of itself: the path, the sections; nothing is said that was not measured."""

from __future__ import annotations

import asyncio

from livereactor.engine.memory.engine import MemoryEngine
from livereactor.engine.port import CandidatePair, Engine, KeyFrameWanted, Peer, PeerStats, Section, Use
from livereactor.media.frames import Frame
from tests.tools.trying import in_one_of_three

from .conftest import Engines
from .harness import link, make_side
from .pictures import Vp8

WATCH = (Section("video", Use.RECEIVE),)


async def after_a_picture(server: Engine, client: Engine) -> tuple[PeerStats, PeerStats]:
    """Of the server and of the client, once the client has seen a picture."""
    async with link(server, client, WATCH) as joined:
        await joined.connected()
        frames = await joined.client.frames("0")
        await joined.server.inbox.get(KeyFrameWanted)
        joined.accepted.video["0"].send(Vp8().encode(1, key=True))
        await frames.get(Frame)
        return await settled(joined.server.peer), await settled(joined.client.peer)


async def settled(peer: Peer) -> PeerStats:
    """A sample with a path in use: the answer to the last check may come after the first picture."""
    async with asyncio.timeout(10):
        while not in_use(stats := await peer.stats()):
            pass
    return stats


def in_use(stats: PeerStats) -> list[CandidatePair]:
    return [pair for pair in stats.pairs if pair.nominated and pair.succeeded]


async def test_the_path_in_use_is_told_with_what_it_carried(engines: Engines) -> None:
    for stats in await after_a_picture(engines.server, engines.client):
        used = max(in_use(stats), key=lambda pair: pair.bytes_received)  # after a change of path there may be two
        assert used.local_type in ("host", "prflx")
        assert used.relay_protocol is None
        assert used.bytes_sent > 0
        assert used.bytes_received > 0
        assert len({pair.id for pair in stats.pairs}) == len(stats.pairs)


async def test_what_arrived_on_a_section_is_counted_there(engines: Engines) -> None:
    _, client = await after_a_picture(engines.server, engines.client)
    assert list(client.inbound) == ["0"]
    received = client.inbound["0"]["bytes_received"]
    assert isinstance(received, int)
    assert received > 100
    assert client.outbound == {}


async def test_a_peer_that_has_not_connected_has_measured_nothing(engine: Engine) -> None:
    side = await make_side(engine)
    try:
        await side.peer.offer(WATCH, ["data"])
        stats = await side.peer.stats()
    finally:
        await side.peer.aclose()
    assert (stats.rtt_ms, stats.local_candidate, stats.available_bps, stats.inbound) == (None, None, None, {})
    assert [pair for pair in stats.pairs if pair.nominated] == []


async def test_the_engine_for_tests_tells_the_same() -> None:
    engine = MemoryEngine()
    _, client = await after_a_picture(engine, engine)
    assert [(pair.local_type, pair.remote_type) for pair in client.pairs] == [("host", "host")]
    assert client.inbound["0"]["bytes_received"] == client.pairs[0].bytes_received > 0


@in_one_of_three
async def test_a_frame_without_a_tag_has_the_senders_stamp_too(engines: Engines) -> None:
    async with link(engines.server, engines.client, WATCH) as joined:
        await joined.connected()
        frames = await joined.client.frames("0")
        await joined.server.inbox.get(KeyFrameWanted)
        sent = Vp8().encode(1, key=True)
        joined.accepted.video["0"].send(sent)
        frame = await frames.get(Frame)
    assert frame.captured_us is not None
    assert abs(frame.captured_us - sent.captured_us) < 100_000
    assert frame.user_data == b""
