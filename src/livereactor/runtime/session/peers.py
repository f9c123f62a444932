"""Peers of the Connections: negotiates answers to offers, adds candidates, connects tracks to outputs and inputs.

Loop only, except for input callbacks, which run on threads of the engine and only hand over.

One file: an offer, its candidates and its tracks all belong to the same `_Negotiation`.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog

from livereactor.base.errors import LimitError, LivereactorError, NotFoundError, PeerError, UnavailableError
from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import TaskSet
from livereactor.engine.port import (
    Candidate,
    Channel,
    ChannelAdded,
    Engine,
    IceServer,
    KeyFrameWanted,
    Peer,
    PeerConfig,
    PeerEvent,
    PeerState,
    PeerStats,
    RateChanged,
    ReceivedTrack,
    StateChanged,
    TrackAdded,
    Use,
)
from livereactor.media.frames import Frame, Sound, VideoCodec
from livereactor.protocol.chunking import with_declared
from livereactor.protocol.http import Offer, TrackMapping
from livereactor.protocol.schema import TrackSchema
from livereactor.protocol.sdp import Description, parse_offer
from livereactor.runtime.outputs.outputs import Outputs
from livereactor.runtime.session.early_candidates import ANYBODY, EarlyCandidates, Sender
from livereactor.runtime.session.events import MediaArrived, MembershipEvent, TransportLost
from livereactor.runtime.session.member import VIEWER_RANK, TransportUp

log = structlog.get_logger("livereactor.peers")

_SERVED: Final = frozenset(codec.value for codec in VideoCodec)


def check_codecs(offer: Description) -> None:
    """Raise `PeerError` for an offer that wants video and takes none of our codecs in any section."""
    wanted = [each for each in offer.media if each.kind == "video" and each.direction == "recvonly"]
    if wanted and all(_SERVED.isdisjoint(each.codec_names) for each in wanted):
        found = ", ".join(sorted(offer.video_codecs)) or "none"
        raise PeerError(f"the offer's video codecs are {found}; offer one of {', '.join(sorted(_SERVED))}")


def plan(
    offer: Description, mapping: Sequence[TrackMapping], tracks: Sequence[TrackSchema], *, may_publish: bool
) -> tuple[dict[str, Use], dict[str, str]]:
    """Return the use and the track of each section, by mid; unknown names and wrong kinds stay inactive.

    Args:
        may_publish: media of the client may be received; else its sections stay inactive, so that none is decoded.
    """
    declared = {track.name: track for track in tracks}
    uses: dict[str, Use] = {}
    names: dict[str, str] = {}
    for mid, name in _by_order(offer, tracks) if not mapping else [(each.mid, each.name) for each in mapping]:
        section, track = offer.section(mid), declared.get(name)
        if section is None or track is None or section.kind != track.kind or name in names.values():
            continue
        if track.direction == "in" and not may_publish:
            continue
        fits = {"out": ("recvonly", Use.SEND), "in": ("sendonly", Use.RECEIVE)}[track.direction]
        if section.direction in (fits[0], "sendrecv"):
            uses[mid], names[mid] = fits[1], name
    return uses, names


def _by_order(offer: Description, tracks: Sequence[TrackSchema]) -> list[tuple[str, str]]:
    """Pair sections with tracks of the same kind and direction, in order: the offer has no mapping."""
    free = list(tracks)
    pairs: list[tuple[str, str]] = []
    for section in offer.media:
        direction = {"recvonly": "out", "sendonly": "in"}.get(section.direction or "")
        match = next((each for each in free if each.kind == section.kind and each.direction == direction), None)
        if match is not None:
            free.remove(match)
            pairs.append((section.mid, match.name))
    return pairs


STATS_WAIT: Final = 1.0  # seconds; a scrape must not wait for a Peer that is closing
CLOSE_WAIT: Final = 1.0  # seconds

_UFRAG: Final = re.compile(r" ufrag (\S+)")


class PeersHost(Protocol):
    """The session service, as Peers see it."""

    def dispatch(self, event: MembershipEvent) -> None: ...
    def add_channel(self, connection: int, channel: Channel) -> None: ...


@dataclass(slots=True, eq=False)
class _Negotiation:
    """An offer and its Peer; a later offer of the same Connection gets another."""

    connection: int
    answer: asyncio.Future[str]
    ufrag: str
    names: Mapping[str, str]  # track by mid
    sender: Sender
    early: int  # number of candidates that came before the offer
    began: float = field(default_factory=time.monotonic)
    added: int = 0  # candidates handed to the Peer
    peer: Peer | None = None
    ready: bool = False  # candidates may be added
    task: asyncio.Task[None] | None = None
    inputs: list[ReceivedTrack] = field(default_factory=list["ReceivedTrack"])
    probing: bool = False  # the client cannot ask to publish: its first media does
    lost: str = ""  # why its transport is gone
    over: bool = False


class Peers:
    """All Peers of a runtime.

    Args:
        config: how each Peer gathers.
        outputs: gets the viewers, their key frame requests and rates.
        feed: takes an input Frame or Sound of a track; called on threads of the engine.
        answered: called with the seconds that an answer took.
        clock: monotonic seconds.

    Attributes:
        config: how Peers of this Session gather.
        tracks: the model's tracks.
        log: of the Session; for lines that a client can cause at will.
    """

    def __init__(
        self,
        host: PeersHost,
        engine: Engine,
        config: PeerConfig,
        limits: Limits,
        outputs: Outputs,
        *,
        feed: Callable[[str, Frame | Sound], None],
        answered: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self._engine, self._limits = host, engine, limits
        self._usual = self.config = config
        self._outputs, self._feed, self._answered, self._clock = outputs, feed, answered, clock
        self._publishers: dict[str, int] = {}  # connection by input track; read on threads of the engine
        self.tracks: tuple[TrackSchema, ...] = ()
        self.log = SparseLog(log)
        self._live: dict[int, _Negotiation] = {}
        self._failed: dict[int, LivereactorError] = {}  # why offers were not answered
        self._early = EarlyCandidates(limits)
        self._closing = TaskSet()

    # --- signalling ----------------------------------------------------------------------------------------------

    def check(self, offer: Offer, sender: Sender = ANYBODY) -> Description:
        """Read an offer before anything is changed by it.

        Raises:
            UnavailableError: too many Peers are open or still closing; a quarter of the places is kept for the owner.
            PeerError: it is no SDP, has too many sections or none in a bundle, or offers no video codec of ours.
        """
        self._check_room(sender)
        # A client offers one section for each of the model's tracks, and one for its data channels.
        most = max(self._limits.media_sections, len(self.tracks) + 1)
        try:
            description = parse_offer(offer.sdp_offer, sections=most)
            check_codecs(description)
        except PeerError as error:
            self.log.info("offer refused", reason=error.message)
            raise
        return description

    def negotiate(
        self,
        connection: int,
        offer: Offer,
        description: Description,
        config: PeerConfig | None = None,
        *,
        sender: Sender = ANYBODY,
    ) -> None:
        """Answer in the background; the Peer that was there has been dropped already.

        Args:
            config: of this Connection's Peer; None = as all gather.
            sender: whose offer it is; its early candidates are for this offer.
        """
        uses, names = plan(description, offer.track_mapping, self.tracks, may_publish=sender.rank > VIEWER_RANK)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_retrieve)
        self._drop_stale()
        early = self._early.count(connection, sender.caller)
        record = _Negotiation(connection, answer, description.ice_ufrag, names, sender, early)
        self._live[connection] = record
        self._failed.pop(connection, None)
        record.task = asyncio.create_task(
            self._answer(record, offer.sdp_offer, uses, config or self.config), name=f"offer {connection}"
        )

    def gather_with(self, servers: Sequence[IceServer]) -> None:
        """Use these STUN and TURN servers for the running Session, not the usual ones."""
        self.config = replace(self._usual, ice_servers=tuple(servers))

    def knows(self, connection: int) -> bool:
        """Return whether this Connection has an offer that was accepted, or could not be answered."""
        return connection in self._live or connection in self._failed

    async def answer(self, connection: int) -> str | None:
        """Wait for the answer for a while; None where there is none yet. Repeatable.

        Raises:
            NotFoundError: no offer was made on this Connection.
            LivereactorError: the negotiation failed.
        """
        if (failure := self._failed.get(connection)) is not None:
            raise failure
        record = self._live.get(connection)
        if record is None:
            raise NotFoundError(f"connection {connection} has no offer; post one first")
        done, _ = await asyncio.wait([record.answer], timeout=self._limits.answer_hold)
        return record.answer.result() if done else None

    async def candidates(self, connection: int, candidates: Sequence[Candidate], sender: Sender = ANYBODY) -> None:
        """Hand candidates to the Peer whose offer they belong to, or keep them for the next offer.

        Raises:
            LimitError: more than any client has.
        """
        self._drop_stale()
        for candidate in candidates:
            if not candidate.line:
                continue
            record = self._live.get(connection)
            if record is not None and record.ready and _belongs(candidate, record.ufrag):
                await self._add(record, candidate)
            else:
                self._early.keep(connection, candidate, sender, self._clock())

    def must_have_room(self, connection: int, sender: Sender) -> None:
        """Raise `LimitError` where no candidate of this sender could be kept for its next offer."""
        if connection not in self._live:
            self._drop_stale()
            self._early.must_have_room(connection, sender)

    def probe(self, connection: int) -> None:
        """Count media of this Connection as its request to publish a free input."""
        if (record := self._live.get(connection)) is not None:
            record.probing = True

    def open_input(self, track: str, connection: int) -> None:
        """Deliver this Connection's media of an input track to the model."""
        self._publishers[track] = connection

    def close_input(self, track: str) -> None:
        """Deliver no more media of an input track."""
        self._publishers.pop(track, None)

    def drop(self, connection: int) -> None:
        """Close a Connection's Peer in the background and forget it; candidates for a next offer stay."""
        record = self._live.pop(connection, None)
        if record is None:
            return
        record.over = True
        if not record.answer.done():
            record.answer.set_exception(NotFoundError(f"connection {connection} was closed; make a new offer"))
        self._outputs.remove_viewer(connection)
        for track in record.inputs:
            track.on_frame(None) if track.kind == "video" else track.on_sound(None)
        self._closing.start(_close(record), name=f"close {connection}")

    async def stats(self) -> list[PeerStats]:
        """Return a sample of every Peer that answers within a second."""
        samples = [asyncio.ensure_future(each.peer.stats()) for each in self._live.values() if each.peer and each.ready]
        if not samples:
            return []
        done, late = await asyncio.wait(samples, timeout=STATS_WAIT)
        for sample in late:
            sample.cancel()
        return [sample.result() for sample in done if not sample.cancelled() and sample.exception() is None]

    async def aclose(self) -> None:
        """Close every Peer."""
        for connection in list(self._live):
            self.drop(connection)
        self.forget_session()
        await self._closing.wait(CLOSE_WAIT)

    def forget_session(self) -> None:
        """Drop what was kept for the Session: it has ended."""
        self._early.clear()
        self._failed.clear()
        self._publishers.clear()
        self.config = self._usual

    # --- inner ---------------------------------------------------------------------------------------------------

    def _check_room(self, sender: Sender) -> None:
        """Refuse one Peer more than the Session may have; the one that an offer replaces closes in the background."""
        most = self._limits.session_sockets
        limit = most if sender.rank >= ANYBODY.rank else most - most // 4
        if (used := len(self._live) + len(self._closing)) >= limit:
            text = f"{used} of {limit} media transports of this session are open or closing (session_sockets)"
            raise UnavailableError(
                f"{text}; try again in {CLOSE_WAIT:g} s", code="RATE_LIMITED", retry_after=CLOSE_WAIT
            )

    async def _answer(self, record: _Negotiation, sdp: str, uses: Mapping[str, Use], config: PeerConfig) -> None:
        try:
            record.peer = peer = await self._engine.peer(config, lambda event: self._on_event(record, event))
            accepted = await peer.accept(sdp, uses)
        except LivereactorError as error:
            self._fail(record, error)
            return
        except Exception as error:  # a bug of the engine must not leave the client waiting
            self.log.exception("negotiation failed", connection=record.connection)
            self._fail(record, LivereactorError(f"the engine failed ({type(error).__name__}); try again"))
            return
        if record.over:
            return
        for mid, sink in {**accepted.video, **accepted.audio}.items():
            self._outputs.add_viewer(record.names[mid], record.connection, sink)
        record.ready = True
        if not record.answer.done():
            record.answer.set_result(with_declared(accepted.answer, config.receive_bytes))
        if record.lost:
            self._dispatch(record, TransportLost(record.connection, record.lost))
            return
        self._answered(time.monotonic() - record.began)
        try:
            await self._feed_early(record)
        except LimitError as error:  # nobody waits for this task; its client has the answer already
            self.log.info("candidates refused", connection=record.connection, reason=error.message)

    def _fail(self, record: _Negotiation, error: LivereactorError) -> None:
        """Keep the error for the client that fetches the answer, and drop the Connection."""
        if record.over:
            return
        self.log.warning("offer not answered", connection=record.connection, code=error.code, reason=error.message)
        # A client reads whose fault it is from the status: 400 = the offer's, 500 = the engine's or the network's.
        kind = PeerError if isinstance(error, PeerError) else LivereactorError
        failure = kind(f"the offer could not be answered: {error.message}", code=error.code)
        if not record.answer.done():
            record.answer.set_exception(failure)
        if len(self._failed) >= self._limits.waiting_connections:
            self._failed.pop(next(iter(self._failed)))
        self._failed[record.connection] = failure
        self._dispatch(record, TransportLost(record.connection, "its offer could not be answered"))

    async def _feed_early(self, record: _Negotiation) -> None:
        """Add the candidates that came early. Those of another offer are stale if they came before this one; those that
        came since may belong to the next."""
        early = self._early.take(record.connection, record.sender.caller)
        for candidate in early[record.early :]:
            if not _belongs(candidate, record.ufrag):
                with suppress(LimitError):  # no room for the next offer's; this one's are added all the same
                    self._early.keep(record.connection, candidate, record.sender, self._clock())
        for candidate in early:
            if _belongs(candidate, record.ufrag):
                await self._add(record, candidate)

    async def _add(self, record: _Negotiation, candidate: Candidate) -> None:
        limit = self._limits.candidates_per_connection
        if record.added >= limit:
            text = "candidates of this connection were accepted (candidates_per_connection)"
            raise LimitError(f"{limit} of {limit} {text}; send more only after a new offer")
        record.added += 1
        try:
            if record.peer is not None and not record.over:
                await record.peer.add_candidate(candidate)
        except LivereactorError as error:  # this one cannot be read; others may
            log.debug("candidate refused", connection=record.connection, reason=error.message)

    def _drop_stale(self) -> None:
        """Drop candidates that have waited as long as an offer may live, so that others can be kept."""
        answering = {each.connection for each in self._live.values() if not each.ready}  # these get theirs
        self._early.drop_older_than(self._clock() - self._limits.offer_to_live, answering)

    def _on_event(self, record: _Negotiation, event: PeerEvent) -> None:
        if record.over:
            return
        match event:
            case StateChanged(state=PeerState.CONNECTED):
                self._dispatch(record, TransportUp(record.connection))
            case StateChanged(state=PeerState.FAILED | PeerState.CLOSED, reason=reason):
                record.lost = reason or f"the transport {event.state.value}"
                if record.ready:  # before that, the engine is about to say why it cannot answer
                    self._dispatch(record, TransportLost(record.connection, record.lost))
            case ChannelAdded(channel=channel):
                self._host.add_channel(record.connection, channel)
            case TrackAdded(mid=mid, track=track):
                self._add_input(record, mid, track)
            case KeyFrameWanted(mid=mid) if mid in record.names:
                self._outputs.key_wanted(record.names[mid], record.connection)
            case RateChanged(mid=mid, bps=bps) if mid in record.names:
                self._outputs.rate_changed(record.names[mid], record.connection, bps)
            case _:
                return

    def _dispatch(self, record: _Negotiation, event: MembershipEvent) -> None:
        try:
            self._host.dispatch(event)
        except LivereactorError as error:  # the machine refuses events after the end of the Session
            log.debug("event refused", connection=record.connection, reason=error.message)

    def _add_input(self, record: _Negotiation, mid: str, track: ReceivedTrack) -> None:
        if mid not in record.names:
            return
        record.inputs.append(track)
        hand_over = self._gate(record, record.names[mid])
        if track.kind == "video":
            track.on_frame(hand_over)
        else:
            track.on_sound(hand_over)

    def _gate(self, record: _Negotiation, name: str) -> Callable[[Frame | Sound], None]:
        """Return a callback that passes media of the track's publisher to the model, and drops other media."""
        loop, publishers, connection = asyncio.get_running_loop(), self._publishers, record.connection
        claiming = threading.Event()  # one request at a time: a camera sends thirty frames a second

        def claim() -> None:
            if not record.over:
                self._dispatch(record, MediaArrived(connection, name))
            claiming.clear()

        def hand_over(item: Frame | Sound) -> None:
            publisher = publishers.get(name)
            if publisher == connection:
                self._feed(name, replace(item, client=connection))
            elif record.probing and publisher is None and not claiming.is_set():
                claiming.set()
                loop.call_soon_threadsafe(claim)

        return hand_over


def _belongs(candidate: Candidate, ufrag: str) -> bool:
    found = _UFRAG.search(candidate.line)
    return found is None or found[1] == ufrag


def _retrieve(answer: asyncio.Future[str]) -> None:
    """Retrieve the exception: a client that never fetches its answer must not cause a warning."""
    if not answer.cancelled():
        answer.exception()


async def _close(record: _Negotiation) -> None:
    if record.task is not None and not record.task.done():
        record.task.cancel()
        await asyncio.wait([record.task], timeout=CLOSE_WAIT)
    if record.peer is not None:
        await record.peer.aclose()
