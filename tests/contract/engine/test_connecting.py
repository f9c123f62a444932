"""Connecting, answers, candidates, ends."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from livereactor.base.errors import EngineError, PeerError
from livereactor.engine.port import (
    Candidate,
    CandidateFound,
    ChannelAdded,
    ChannelClosed,
    Engine,
    IceServer,
    PeerConfig,
    PeerState,
    Section,
    StateChanged,
    Use,
)
from tests.hostile.offers import open_sockets
from tests.tools.trying import in_one_of_three

from .conftest import EVERY_PAIR, Engines
from .harness import Side, link, make_side

SECTIONS = (Section("video", Use.RECEIVE), Section("audio", Use.RECEIVE), Section("video", Use.SEND))
USES = {"0": Use.SEND, "1": Use.SEND, "2": Use.RECEIVE}


def media_sections(sdp: str) -> list[str]:
    return re.split(r"\r\n(?=m=)", sdp.strip())[1:]


def mids(sdp: str) -> list[str]:
    return re.findall(r"^a=mid:(\S+)", sdp, re.MULTILINE)


def directions(sdp: str) -> list[str]:
    return re.findall(r"^a=(sendonly|recvonly|sendrecv|inactive)\s*$", sdp, re.MULTILINE)


async def an_offer(engine: Engine, sections: tuple[Section, ...] = SECTIONS) -> tuple[Side, str]:
    side = await make_side(engine)
    return side, await side.peer.offer(sections, ["data", "control"])


async def answered(engine: Engine, offer: str, uses: dict[str, Use], config: PeerConfig | None = None) -> str:
    server = await make_side(engine, config)
    try:
        return (await server.peer.accept(offer, uses)).answer
    finally:
        await server.peer.aclose()


@EVERY_PAIR
async def test_both_sides_say_that_they_connect_and_are_connected(engines: Engines) -> None:
    async with link(engines.server, engines.client, SECTIONS) as joined:
        await joined.connected()
        for side in (joined.server, joined.client):
            states = [event.state for event in side.inbox.all(StateChanged)]
            assert states == [PeerState.CONNECTING, PeerState.CONNECTED]


async def test_the_answer_keeps_sections_and_mids_in_order(engines: Engines) -> None:
    client, offer = await an_offer(engines.client)
    answer = await answered(engines.server, offer, USES)
    await client.peer.aclose()
    assert mids(answer) == mids(offer)
    assert [s.split()[0] for s in media_sections(answer)] == [s.split()[0] for s in media_sections(offer)]
    assert directions(answer) == ["sendonly", "sendonly", "recvonly"]


async def test_every_section_of_the_answer_has_candidates_and_their_end(engines: Engines) -> None:
    client, offer = await an_offer(engines.client)
    answer = await answered(engines.server, offer, USES)
    await client.peer.aclose()
    for section in media_sections(answer):
        assert "\r\na=candidate:" in section
        assert section.rstrip().count("a=end-of-candidates") == 1
    assert answer.count("\n") == answer.count("\r\n")


async def test_the_answer_takes_messages_of_256_kib(engines: Engines) -> None:
    client, offer = await an_offer(engines.client)
    answer = await answered(engines.server, offer, USES)
    await client.peer.aclose()
    assert re.search(r"^a=max-message-size:262144\s*$", answer, re.MULTILINE)
    assert all("a=rtcp-mux" in section for section in media_sections(answer) if not section.startswith("m=appl"))


async def test_extensions_the_offer_does_not_declare_are_not_in_the_answer(engines: Engines) -> None:
    client, offer = await an_offer(engines.client)
    plain = re.sub(r"a=x-reactor-[^\r\n]*\r\n", "", offer)
    answer = await answered(engines.server, plain, USES)
    await client.peer.aclose()
    assert "x-reactor" not in answer


async def test_extensions_are_mirrored_only_where_they_are_supported(engines: Engines) -> None:
    client, offer = await an_offer(engines.client)
    declared = re.sub(r"a=x-reactor-[^\r\n]*\r\n", "", offer).replace(
        "\r\nm=",
        "\r\na=x-reactor-frame-metadata:1\r\na=x-reactor-dc-chunking:1 max-message-size=67108864\r\nm=",
        1,
    )
    answer = await answered(engines.server, declared, USES)
    refused = await answered(engines.server, declared, USES, PeerConfig(chunking=False, frame_metadata=False))
    await client.peer.aclose()
    assert ("x-reactor-dc-chunking:1" in answer) == engines.server.capabilities.chunking
    assert ("x-reactor-frame-metadata:1" in answer) == engines.server.capabilities.frame_metadata
    assert "x-reactor" not in refused


async def test_a_section_nobody_knows_is_inactive_and_the_rest_works(engines: Engines) -> None:
    uses = {"0": Use.SEND, "2": Use.RECEIVE}
    async with link(engines.server, engines.client, SECTIONS, uses=uses) as joined:
        assert directions(joined.accepted.answer) == ["sendonly", "inactive", "recvonly"]
        await joined.connected()
        assert list(joined.accepted.video) == ["0"]
        assert not joined.accepted.audio


async def test_a_video_section_without_a_codec_of_ours_is_not_sent_on(engines: Engines) -> None:
    client, offer = await an_offer(engines.client, (Section("video", Use.RECEIVE), Section("audio", Use.RECEIVE)))
    offer = re.sub(r"(?m)^(a=rtpmap:\d+) (VP8|H264)/90000", r"\1 XYZ9/90000", offer)
    server = await make_side(engines.server)
    accepted = await server.peer.accept(offer, {"0": Use.SEND, "1": Use.SEND})
    await server.peer.aclose()
    await client.peer.aclose()
    assert not accepted.video
    assert list(accepted.audio) == ["1"]
    assert directions(accepted.answer)[0] == "inactive" or media_sections(accepted.answer)[0].startswith("m=video 0 ")


async def test_a_direction_the_offer_does_not_allow_is_inactive(engines: Engines) -> None:
    client, offer = await an_offer(engines.client)
    answer = await answered(engines.server, offer, {"0": Use.RECEIVE, "1": Use.SEND, "2": Use.SEND})
    await client.peer.aclose()
    assert directions(answer) == ["inactive", "sendonly", "inactive"]


@pytest.mark.parametrize(
    "text", ["", "v=0", "hello\r\nm=video", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nm=video 9 X 1"]
)
async def test_an_offer_that_is_none_is_the_other_sides_mistake(engine: Engine, text: str) -> None:
    server = await make_side(engine)
    with pytest.raises(PeerError):
        await server.peer.accept(text, {"0": Use.SEND})
    await server.peer.aclose()


async def test_a_peer_takes_one_offer_only(engine: Engine) -> None:
    client, offer = await an_offer(engine)
    server = await make_side(engine)
    await server.peer.accept(offer, USES)
    with pytest.raises(EngineError):
        await server.peer.accept(offer, USES)
    await server.peer.aclose()
    await client.peer.aclose()


async def test_candidates_that_cannot_be_used_are_ignored(engines: Engines) -> None:
    async with link(engines.server, engines.client, SECTIONS) as joined:
        for line in (
            "candidate:1 1 tcp 1518280447 192.0.2.9 9 typ host tcptype active",
            "candidate:2 1 udp 2122260223 6d2d1a1c-0000-4000-8000-000000000000.local 50000 typ host",
            "candidate:nonsense",
            "",
        ):
            await joined.server.peer.add_candidate(Candidate(line, "0", 0))
        await joined.connected()


async def test_a_candidate_before_the_offer_does_no_harm(engines: Engines) -> None:
    server = await make_side(engines.server)
    await server.peer.add_candidate(Candidate("candidate:1 1 udp 2122260223 192.0.2.9 50000 typ host", "0", 0))
    client, offer = await an_offer(engines.client)
    accepted = await server.peer.accept(offer, USES)
    assert accepted.answer
    await client.peer.aclose()
    await server.peer.aclose()


@in_one_of_three
async def test_a_dead_stun_server_does_not_delay_the_answer(engine: Engine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("0.0.0.0", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address of this machine is used
            address = probe.getsockname()[0]
        dead = PeerConfig(ice_servers=(IceServer((f"stun:{address}:{silent.getsockname()[1]}",)),))
        times: dict[PeerConfig, list[float]] = {PeerConfig(): [], dead: []}
        for _ in range(7):
            for config, taken in times.items():
                client, offer = await an_offer(engine)
                server = await make_side(engine, config)
                started = time.perf_counter()
                await server.peer.accept(offer, USES)
                taken.append(time.perf_counter() - started)
                await client.peer.aclose()
                await server.peer.aclose()
    without, with_dead = (statistics.median(taken) for taken in times.values())
    assert with_dead - without < 0.030


async def test_an_answer_without_a_free_port_is_an_error_that_says_so(engine: Engine) -> None:
    client, offer = await an_offer(engine)
    with taken_port() as port:
        server = await make_side(engine, PeerConfig(port_range=(port, port)))
        with pytest.raises(EngineError, match=f"no UDP port of {port}:{port} is free; widen port_range"):
            await server.peer.accept(offer, USES)
    await server.peer.aclose()
    await client.peer.aclose()


async def test_a_peer_that_closes_while_it_answers_leaves_no_socket(engine: Engine) -> None:
    before = open_sockets()
    client, offer = await an_offer(engine)
    await client.peer.aclose()
    for turns in range(20):  # of the loop: aiortc binds one address after the other
        server = await make_side(engine)
        answering = asyncio.ensure_future(server.peer.accept(offer, USES))
        for _ in range(turns):
            await asyncio.sleep(0)
        answering.cancel()
        await asyncio.wait([answering])
        await server.peer.aclose()
    async with asyncio.timeout(10):
        while open_sockets() > before:  # noqa: ASYNC110 - of a library's threads
            await asyncio.sleep(0.05)


async def test_an_answer_without_the_relay_it_needs_is_an_error_that_says_so(engine: Engine) -> None:
    client, offer = await an_offer(engine)
    server = await make_side(engine, PeerConfig(relay_only=True))
    with pytest.raises(EngineError, match="no relay answered; check the TURN servers"):
        await server.peer.accept(offer, USES)
    await server.peer.aclose()
    await client.peer.aclose()


async def test_candidates_are_of_tcp_only_where_the_engine_says_so(engine: Engine) -> None:
    client, offer = await an_offer(engine)
    server = await make_side(engine)
    accepted = await server.peer.accept(offer, USES)
    await server.inbox.get(CandidateFound, lambda event: not event.candidate.line)
    later = [event.candidate.line for event in server.inbox.all(CandidateFound)]
    lines = [*re.findall(r"candidate:.*", accepted.answer), *filter(None, later)]
    await server.peer.aclose()
    await client.peer.aclose()
    assert any(" tcp " in line.lower() for line in lines) == engine.capabilities.tcp


@contextmanager
def taken_port() -> Iterator[int]:
    """A UDP port that nobody can bind on any address of this machine."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as every:
        every.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        every.bind(("::", 0))
        yield every.getsockname()[1]


async def test_the_server_creates_no_channel(engines: Engines) -> None:
    async with link(engines.server, engines.client, SECTIONS) as joined:
        await joined.connected()
        for side in (joined.server, joined.client):
            await side.channel("data")
            await side.channel("control")
        added = [event.channel.label for event in joined.client.inbox.all(ChannelAdded)]
        assert sorted(added) == ["control", "data"]


async def test_closing_twice_is_fine_and_no_event_comes_after_it(engines: Engines) -> None:
    async with link(engines.server, engines.client, SECTIONS) as joined:
        await joined.connected()
        await joined.server.channel("data")
        await joined.server.peer.aclose()
        count = len(joined.server.inbox.items)
        await joined.server.peer.aclose()
        await joined.client.peer.aclose()
        assert len(joined.server.inbox.items) == count


async def test_a_peer_can_be_closed_in_any_state(engine: Engine) -> None:
    fresh = await make_side(engine)
    await fresh.peer.aclose()
    with pytest.raises(EngineError):
        await fresh.peer.offer([], ["data"])
    client, offer = await an_offer(engine)
    server = await make_side(engine)
    accepting = asyncio.ensure_future(server.peer.accept(offer, USES))
    await asyncio.sleep(0)
    accepting.cancel()
    await asyncio.gather(accepting, return_exceptions=True)
    await server.peer.aclose()
    await client.peer.aclose()


@EVERY_PAIR
async def test_when_the_other_side_goes_the_channels_say_so_at_once(engines: Engines) -> None:
    async with link(engines.server, engines.client) as joined:
        await joined.connected()
        data = await joined.server.channel("data")
        await joined.client.peer.aclose()
        await data.inbox.get(ChannelClosed, timeout=3.0)
        assert not data.channel.is_open
        gone = (PeerState.DISCONNECTED, PeerState.FAILED, PeerState.CLOSED)
        await joined.server.inbox.get(StateChanged, lambda event: event.state in gone, timeout=30.0)


async def test_fifty_connections_leave_no_thread_and_no_descriptor(engine: Engine) -> None:
    async def connect_once() -> None:
        async with link(engine, engine, SECTIONS) as joined:
            await joined.connected()

    for _ in range(3):
        await connect_once()
    before = await settled(lambda: True)
    for _ in range(50):
        await connect_once()
    after = await settled(lambda: used()[0] <= before[0] + 2 and used()[1] <= before[1] + 2)
    assert after[0] <= before[0] + 2, f"threads: {before[0]} before, {after[0]} after"
    assert after[1] <= before[1] + 2, f"descriptors: {before[1]} before, {after[1]} after"
    assert threading.active_count() < 20


def used() -> tuple[int, int]:
    """Threads and descriptors of this process."""
    return len(list(Path("/proc/self/task").iterdir())), len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def settled(condition: Callable[[], bool]) -> tuple[int, int]:
    """What is used once `condition` holds, or after some seconds: sockets close behind the last packets."""
    gc.collect()
    try:
        async with asyncio.timeout(15.0):
            while not condition():  # noqa: ASYNC110 - the operating system has no event for this
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    return used()
