"""Peers behind Connections: offers become answers, candidates find their Peer, tracks find outputs and inputs.

Loop only, but for input callbacks, which run on threads of the engine and only hand over.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog

from livereactor.base.errors import LimitError, LivereactorError, NotFoundError, PeerError
from livereactor.base.limits import Limits
from livereactor.engine.port import (
    Candidate,
    Channel,
    ChannelAdded,
    Engine,
    InputTrack,
    KeyFrameWanted,
    Peer,
    PeerConfig,
    PeerEvent,
    PeerState,
    RateChanged,
    StateChanged,
    TrackAdded,
    Use,
)
from livereactor.media.frames import Frame, Sound, VideoCodec
from livereactor.protocol.http import Offer, TrackMapping
from livereactor.protocol.schema import TrackSchema
from livereactor.protocol.sdp import Description, MediaText, parse_offer
from livereactor.runtime.member import TransportUp
from livereactor.runtime.room_events import MediaArrived, RoomEvent, TransportLost
from livereactor.runtime.seam import OutputsControl

log = structlog.get_logger("livereactor.peers")

_UFRAG: Final = re.compile(r" ufrag (\S+)")
_SERVED: Final = frozenset(codec.value for codec in VideoCodec)


class PeersHost(Protocol):
    """The Runtime as the Peers see it."""

    def room(self, event: RoomEvent) -> None: ...
    def channel(self, connection: int, channel: Channel) -> None: ...
    def feed(self, track: str, item: Frame | Sound) -> None:
        """Any thread."""
        ...

    def may_feed(self, connection: int, track: str) -> bool:
        """This Connection publishes the track. Any thread."""
        ...

    def is_free(self, track: str) -> bool:
        """Nobody publishes the track. Any thread."""
        ...


@dataclass(slots=True, eq=False)
class _Negotiation:
    """One offer on its way to a Peer that lives; a later offer of the same Connection has one of its own."""

    connection: int
    answer: asyncio.Future[str]
    ufrag: str
    names: Mapping[str, str]  # track by mid
    peer: Peer | None = None
    ready: bool = False  # candidates may be added
    task: asyncio.Task[None] | None = None
    inputs: list[InputTrack] = field(default_factory=list["InputTrack"])
    probing: bool = False  # it cannot ask for a slot: its first media does (protocol 5.9)
    over: bool = False


class Peers:
    """All Peers of a runtime.

    Args:
        config: how each Peer gathers; `ice_servers` of an offer replace its own.
        tracks: the model's tracks.
    """

    def __init__(
        self, host: PeersHost, engine: Engine, config: PeerConfig, limits: Limits, tracks: Sequence[TrackSchema]
    ) -> None:
        self._host, self._engine, self._config, self._limits = host, engine, config, limits
        self._tracks = tuple(tracks)
        self.outputs: OutputsControl | None = None
        self._live: dict[int, _Negotiation] = {}
        self._early: dict[int, list[Candidate]] = {}  # of offers that have not come yet
        self._closing: set[asyncio.Task[None]] = set()

    # --- signalling ----------------------------------------------------------------------------------------------

    def check(self, offer: Offer) -> Description:
        """Read an offer before anything is changed by it.

        Raises:
            PeerError: it is no SDP, or offers no video codec of ours.
        """
        description = parse_offer(offer.sdp_offer)
        wanted = [each for each in description.media if each.kind == "video" and each.direction == "recvonly"]
        if wanted and not any(_codecs(each) & _SERVED for each in wanted):
            found = ", ".join(sorted(description.video_codecs)) or "none"
            raise PeerError(f"the offer's video codecs are {found}; offer one of {', '.join(sorted(_SERVED))}")
        return description

    def negotiate(self, connection: int, offer: Offer, description: Description) -> None:
        """Answer in the background; the Peer that was there has been dropped by the Room."""
        uses, names = _plan(description, offer.track_mapping, self._tracks)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_retrieve)
        record = _Negotiation(connection, answer, description.ice_ufrag, names)
        self._live[connection] = record
        config = self._config
        if offer.port_range is not None:
            config = replace(config, port_range=(offer.port_range[0], offer.port_range[1]))
        record.task = asyncio.create_task(
            self._answer(record, offer.sdp_offer, uses, config), name=f"offer {connection}"
        )

    async def answer(self, connection: int) -> str | None:
        """The answer, held for a while; None while it is not there. Repeatable.

        Raises:
            NotFoundError: no offer was made on this Connection.
            LivereactorError: the negotiation failed.
        """
        record = self._live.get(connection)
        if record is None:
            raise NotFoundError(f"no offer was made on connection {connection}; post one first")
        done, _ = await asyncio.wait([record.answer], timeout=self._limits.answer_hold)
        return record.answer.result() if done else None

    async def candidates(self, connection: int, candidates: Sequence[Candidate]) -> None:
        """Hand candidates to the Peer whose offer they belong to, or keep them for an offer still to come."""
        record = self._live.get(connection)
        for candidate in candidates:
            if not candidate.line:
                continue
            if record is not None and record.ready and record.peer and _belongs(candidate, record.ufrag):
                await record.peer.add_candidate(candidate)
            else:
                self._keep(connection, candidate)

    def probe(self, connection: int) -> None:
        """Take media of this Connection for its claim of a free input."""
        if (record := self._live.get(connection)) is not None:
            record.probing = True

    def drop(self, connection: int) -> None:
        """Close a Connection's Peer in the background and forget it; candidates for a next offer stay."""
        record = self._live.pop(connection, None)
        if record is None:
            return
        record.over = True
        if not record.answer.done():
            record.answer.set_exception(NotFoundError(f"connection {connection} was closed; make a new offer"))
        if self.outputs is not None:
            self.outputs.remove_viewer(connection)
        for track in record.inputs:
            track.on_frame(None) if track.kind == "video" else track.on_sound(None)
        closing = asyncio.create_task(_close(record), name=f"close {connection}")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def stats(self) -> Mapping[int, object]:
        """A sample of every Peer, by Connection."""
        return {number: await each.peer.stats() for number, each in list(self._live.items()) if each.peer}

    async def aclose(self) -> None:
        """Close every Peer."""
        for connection in list(self._live):
            self.drop(connection)
        self._early.clear()
        if self._closing:
            await asyncio.wait(self._closing, timeout=2.0)

    def forget_candidates(self) -> None:
        """The Session ended: no offer comes for what was kept."""
        self._early.clear()

    # --- inner ---------------------------------------------------------------------------------------------------

    async def _answer(self, record: _Negotiation, sdp: str, uses: Mapping[str, Use], config: PeerConfig) -> None:
        try:
            record.peer = peer = await self._engine.peer(config, lambda event: self._on_event(record, event))
            accepted = await peer.accept(sdp, uses)
        except LivereactorError as error:
            self._failed(record, error)
            return
        except asyncio.CancelledError:
            raise
        except Exception as error:  # an engine's own bug must not leave the client waiting
            log.exception("negotiation failed", connection=record.connection)
            self._failed(
                record, LivereactorError(f"the offer could not be answered ({type(error).__name__}); try again")
            )
            return
        if record.over:
            return
        if self.outputs is not None:
            for mid, sink in {**accepted.video, **accepted.audio}.items():
                self.outputs.add_viewer(record.names[mid], record.connection, sink)
        record.ready = True
        if not record.answer.done():
            record.answer.set_result(accepted.answer)
        await self._feed_early(record)

    def _failed(self, record: _Negotiation, error: LivereactorError) -> None:
        if record.over:
            return
        log.warning("offer not answered", connection=record.connection, code=error.code, reason=error.message)
        if not record.answer.done():
            record.answer.set_exception(error)

    async def _feed_early(self, record: _Negotiation) -> None:
        for candidate in self._early.pop(record.connection, []):
            if record.peer is not None and _belongs(candidate, record.ufrag):
                await record.peer.add_candidate(candidate)

    def _keep(self, connection: int, candidate: Candidate) -> None:
        if connection not in self._early and len(self._early) >= self._limits.waiting_connections:
            limit = self._limits.waiting_connections
            raise LimitError(f"{limit} of {limit} connections wait for their offers; send an offer first")
        kept = self._early.setdefault(connection, [])
        if len(kept) >= self._limits.candidates_per_connection:
            limit = self._limits.candidates_per_connection
            raise LimitError(f"{limit} of {limit} candidates are kept for this connection; send its offer")
        kept.append(candidate)

    def _on_event(self, record: _Negotiation, event: PeerEvent) -> None:
        if record.over:
            return
        try:
            self._handle(record, event)
        except LivereactorError as error:  # the Room refuses what comes after the end
            log.debug("event refused", connection=record.connection, reason=error.message)

    def _handle(self, record: _Negotiation, event: PeerEvent) -> None:
        match event:
            case StateChanged(state=PeerState.CONNECTED):
                self._host.room(TransportUp(record.connection))
            case StateChanged(state=PeerState.FAILED | PeerState.CLOSED, reason=reason):
                self._host.room(TransportLost(record.connection, reason or f"the transport {event.state.value}"))
            case ChannelAdded(channel=channel):
                self._host.channel(record.connection, channel)
            case TrackAdded(mid=mid, track=track):
                self._add_input(record, mid, track)
            case KeyFrameWanted(mid=mid) if self.outputs is not None and mid in record.names:
                self.outputs.key_wanted(record.names[mid], record.connection)
            case RateChanged(mid=mid, bps=bps) if self.outputs is not None and mid in record.names:
                self.outputs.rate_changed(record.names[mid], record.connection, bps)
            case _:
                return

    def _add_input(self, record: _Negotiation, mid: str, track: InputTrack) -> None:
        if mid not in record.names:
            return
        record.inputs.append(track)
        hand_over = self._gate(record, record.names[mid])
        if track.kind == "video":
            track.on_frame(hand_over)
        else:
            track.on_sound(hand_over)

    def _gate(self, record: _Negotiation, name: str) -> Callable[[Frame | Sound], None]:
        """Media of whoever does not publish the track never reaches the model (protocol 5.9)."""
        loop, host, connection = asyncio.get_running_loop(), self._host, record.connection

        def claim() -> None:
            if not record.over:
                host.room(MediaArrived(connection, name))

        def hand_over(item: Frame | Sound) -> None:
            if host.may_feed(connection, name):
                host.feed(name, replace(item, client=connection))
            elif record.probing and host.is_free(name):
                loop.call_soon_threadsafe(claim)

        return hand_over


def _plan(
    offer: Description, mapping: Sequence[TrackMapping], tracks: Sequence[TrackSchema]
) -> tuple[dict[str, Use], dict[str, str]]:
    """What to do with each section, and which track it is, by mid; unknown names and wrong kinds stay inactive."""
    declared = {track.name: track for track in tracks}
    uses: dict[str, Use] = {}
    names: dict[str, str] = {}
    for mid, name in _by_order(offer, tracks) if not mapping else [(each.mid, each.name) for each in mapping]:
        section, track = offer.section(mid), declared.get(name)
        if section is None or track is None or section.kind != track.kind or name in names.values():
            continue
        fits = {"out": ("recvonly", Use.SEND), "in": ("sendonly", Use.RECEIVE)}[track.direction]
        if section.direction in (fits[0], "sendrecv"):
            uses[mid], names[mid] = fits[1], name
    return uses, names


def _by_order(offer: Description, tracks: Sequence[TrackSchema]) -> list[tuple[str, str]]:
    """Without a mapping: sections and tracks of one kind and direction, in order (protocol 4.3)."""
    free = list(tracks)
    pairs: list[tuple[str, str]] = []
    for section in offer.media:
        direction = {"recvonly": "out", "sendonly": "in"}.get(section.direction or "")
        match = next((each for each in free if each.kind == section.kind and each.direction == direction), None)
        if match is not None:
            free.remove(match)
            pairs.append((section.mid, match.name))
    return pairs


def _codecs(section: MediaText) -> set[str]:
    return {codec.name.upper() for codec in section.codecs if codec.name}


def _belongs(candidate: Candidate, ufrag: str) -> bool:
    found = _UFRAG.search(candidate.line)
    return found is None or found[1] == ufrag


def _retrieve(answer: asyncio.Future[str]) -> None:
    """A client that never fetches its answer leaves no warning behind."""
    if not answer.cancelled():
        answer.exception()


async def _close(record: _Negotiation) -> None:
    if record.task is not None and not record.task.done():
        record.task.cancel()
        await asyncio.wait([record.task], timeout=2.0)
    if record.peer is not None:
        await record.peer.aclose()
