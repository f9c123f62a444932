"""Candidates that come before any offer, and offers that replace each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from livereactor.base.errors import LimitError, UnavailableError
from livereactor.base.limits import Limits
from livereactor.engine.memory.engine import MemoryEngine, MemoryPeer, write_offer
from livereactor.engine.port import Candidate, PeerConfig, PeerEvent, Section, Use
from livereactor.protocol.http import Offer, TrackMapping
from livereactor.protocol.schema import TrackSchema
from livereactor.protocol.sdp import parse_description
from livereactor.runtime.outputs.outputs import Outputs
from livereactor.runtime.session.early_candidates import ANYBODY, Sender
from livereactor.runtime.session.peers import Peers
from livereactor.settings import resolve
from livereactor.wiring.options import limits as limits_of

NOBODY: Any = None  # neither Session, engine nor outputs are asked before an offer


async def test_early_candidates_give_their_place_back_when_no_offer_comes() -> None:
    now = 100.0
    limits = Limits(waiting_connections=1, candidates_per_connection=2, offer_to_live=30.0)
    peers = Peers(NOBODY, NOBODY, PeerConfig(), limits, NOBODY, feed=NOBODY, answered=NOBODY, clock=lambda: now)
    candidate = Candidate("candidate:1 1 udp 1 192.0.2.1 1 typ host", "0", 0)
    await peers.candidates(2000, [candidate, candidate])
    now = 129.0
    for connection in (2000, 2001):
        with pytest.raises(LimitError):
            await peers.candidates(connection, [candidate])
    now = 130.0
    await peers.candidates(2001, [candidate])
    with pytest.raises(LimitError):
        await peers.candidates(2000, [candidate])


VIEWER: Final = Sender("a link", 0)


class SlowEngine(MemoryEngine):
    """An engine whose Peers hold what they have until they may close."""

    def __init__(self) -> None:
        super().__init__()
        self.may_close = asyncio.Event()

    async def peer(self, config: PeerConfig, events: Callable[[PeerEvent], None]) -> MemoryPeer:
        made = await super().peer(config, events)
        close = made.aclose

        async def slowly() -> None:
            await self.may_close.wait()
            await close()

        setattr(made, "aclose", slowly)  # noqa: B010 - of this one only
        return made


def _peers(engine: MemoryEngine, limits: Limits) -> Peers:
    def answered(_: float) -> None: ...

    return Peers(NOBODY, engine, PeerConfig(), limits, Outputs([]), feed=NOBODY, answered=answered)


def _offer(peers: Peers, connection: int, sender: Sender = ANYBODY) -> None:
    """Make an offer in the place of the Connection's last one, as the session service does."""
    offer = Offer(sdp_offer=write_offer("ufrag", [], ["data"]))
    description = peers.check(offer, sender)
    peers.drop(connection)
    peers.negotiate(connection, offer, description, sender=sender)


def _offers(peers: Peers, count: int, sender: Sender) -> int:
    """Make offers that replace each other in one turn of the loop; return how many were taken."""
    for taken in range(count):
        try:
            _offer(peers, 2000, sender)
        except UnavailableError:
            return taken
    return count


async def test_offers_that_replace_each_other_are_bounded_and_a_quarter_is_kept_for_the_owner() -> None:
    engine = SlowEngine()
    peers = _peers(engine, Limits(session_sockets=8))
    assert _offers(peers, 100, VIEWER) == 6
    assert _offers(peers, 100, VIEWER) == 0
    with pytest.raises(
        UnavailableError, match=r"6 of 6 media transports .* \(session_sockets\); try again in 1 s"
    ) as told:
        _offer(peers, 2000, VIEWER)
    assert (told.value.code, told.value.retry_after) == ("RATE_LIMITED", 1.0)
    assert _offers(peers, 100, ANYBODY) == 2
    engine.may_close.set()
    await peers.aclose()


async def test_a_peer_counts_until_it_has_closed() -> None:
    engine = SlowEngine()
    peers = _peers(engine, Limits(session_sockets=4))
    for number in range(10):
        try:
            _offer(peers, 2000)
            assert await peers.answer(2000) is not None
        except UnavailableError:
            assert number >= 4
    assert len(engine.peers) == 4
    engine.may_close.set()
    async with asyncio.timeout(10):
        while not _offers(peers, 1, ANYBODY):  # noqa: ASYNC110 - closed in the background
            await asyncio.sleep(0)
    await peers.aclose()


@pytest.mark.parametrize("connections", [1, 4, 64])
async def test_clients_that_all_reconnect_at_once_never_meet_the_bound(connections: int, tmp_path: Path) -> None:
    settings = resolve(tmp_path, command_line={"runtime.max_connections": connections}, environ={}).settings
    peers = _peers(SlowEngine(), limits_of(settings))
    for _ in range(2):
        for connection in range(connections):
            _offer(peers, 2000 + connection, VIEWER)
    await peers.aclose()


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize(("rank", "expected"), [(0, "inactive"), (1, "recvonly"), (2, "recvonly")])
async def test_video_of_who_may_only_watch_is_never_received(rank: int, expected: str, *, mapped: bool) -> None:
    peers = _peers(MemoryEngine(), Limits())
    peers.tracks = (TrackSchema("camera", "video", "in"),)
    mapping = [TrackMapping(mid="0", name="camera", kind="video", direction="sendonly")] if mapped else []
    offer = Offer(sdp_offer=write_offer("ufrag", [Section("video", Use.SEND)], ["data"]), track_mapping=mapping)
    sender = Sender("a link", rank)
    peers.negotiate(2000, offer, peers.check(offer, sender), sender=sender)
    answer = await peers.answer(2000)
    assert answer is not None
    section = parse_description(answer).section("0")
    assert section is not None
    assert section.direction == expected
    await peers.aclose()


class SlowToAdd(MemoryEngine):
    """An engine whose Peers take their first candidate when they may."""

    def __init__(self) -> None:
        super().__init__()
        self.adds, self.may_add = asyncio.Event(), asyncio.Event()

    async def peer(self, config: PeerConfig, events: Callable[[PeerEvent], None]) -> MemoryPeer:
        made = await super().peer(config, events)

        async def slowly(_: Candidate) -> None:
            self.adds.set()
            await self.may_add.wait()

        setattr(made, "add_candidate", slowly)  # noqa: B010 - of this one only
        return made


async def test_candidates_past_the_bound_do_not_break_the_task_that_answers() -> None:
    engine = SlowToAdd()
    peers = _peers(engine, Limits(candidates_per_connection=4))
    candidate = Candidate("candidate:1 1 udp 1 192.0.2.1 1 typ host", "0", 0)
    with pytest.raises(LimitError, match=r"4 of 4 .* \(candidates_per_connection\); send its offer, then try again"):
        await peers.candidates(2000, [candidate] * 5)
    _offer(peers, 2000)
    (task,) = [each for each in asyncio.all_tasks() if each.get_name() == "offer 2000"]
    await engine.adds.wait()
    more = asyncio.create_task(peers.candidates(2000, [candidate]))  # while the early ones are handed over
    await asyncio.sleep(0)
    engine.may_add.set()
    await asyncio.wait([task, more])
    assert (task.exception(), more.exception()) == (None, None)
    with pytest.raises(LimitError, match=r"4 of 4 .* \(candidates_per_connection\); .* after a new offer"):
        await peers.candidates(2000, [candidate])
    await peers.aclose()
