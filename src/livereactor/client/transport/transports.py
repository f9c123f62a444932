"""The transports of one client: the one in use, the one coming up, and the sampling of their figures. Loop only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from livereactor.client.background import BackgroundTasks
from livereactor.client.dispatcher import Dispatcher
from livereactor.client.errors import ReactorError, error_of
from livereactor.client.events import Emitter
from livereactor.client.http.api import Api
from livereactor.client.http.urls import is_this_machine
from livereactor.client.lifecycle import messages as w
from livereactor.client.session import SessionView
from livereactor.client.stats import StatsSampler
from livereactor.client.tracks.port import Bitrate
from livereactor.client.tracks.tracks import Tracks
from livereactor.client.transport import events
from livereactor.client.transport.peer_transport import PeerTransport
from livereactor.client.transport.process_engine import process_engine
from livereactor.client.transport.signalling import format_for
from livereactor.client.types import ConnectionTimings
from livereactor.engine.port import PeerConfig, ReceivedTrack
from livereactor.protocol import messages as m

REPLY: Final = 10.0  # seconds for the model's schema

log = structlog.get_logger(__name__)


class ActiveTransport:
    """A PeerTransport and its statistics.

    Attributes:
        received: the names of the Tracks that have arrived.
        answers: True if the other side answers pings, so that its silence means a problem.
        early: events that came while it was coming up next to the one in use.
    """

    def __init__(self, peer_transport: PeerTransport, sampler: StatsSampler) -> None:
        self.peer_transport, self.sampler = peer_transport, sampler
        self.received: list[str] = []
        self.answers = False
        self.early: list[events.PeerTransportEvent] = []
        self.sampling: asyncio.Task[None] | None = None


class Transports:
    """The transports of one client; `post` passes events of the one in use to the connection's machine.

    Attributes:
        current: the transport in use, or None.
        number: the number of the Connection, kept over reconnects.
    """

    def __init__(
        self,
        api: Api,
        emitter: Emitter,
        session: SessionView,
        tracks: Tracks,
        dispatcher: Dispatcher,
        background: BackgroundTasks,
        *,
        timings: Callable[[], ConnectionTimings | None],
        report_stats: bool,
        post: Callable[[w.MachineEvent], None],
    ) -> None:
        self._api, self._emitter, self._session, self._tracks = api, emitter, session, tracks
        self._dispatcher, self._background, self._timings, self._post = dispatcher, background, timings, post
        self._report_stats = report_stats
        self.current: ActiveTransport | None = None
        self.number: int | None = None
        self._answer = ""  # the last answer on this Connection
        self.bitrate = Bitrate()
        self._coming: ActiveTransport | None = None
        self._replacing = asyncio.Lock()  # held while the one in use is silent, as messages on it would be lost

    @property
    def heard_at(self) -> float:
        """The time of the last arrival, monotonic seconds; the present time if silence means nothing."""
        current = self.current
        return time.monotonic() if current is None or not current.answers else current.peer_transport.heard_at

    @property
    def received(self) -> Sequence[str]:
        """The names of the Tracks that have arrived on the transport in use."""
        return () if self.current is None else self.current.received

    async def open(self, *, again: bool, max_attempts: int) -> None:
        """Open a transport, for `use`.

        Args:
            again: on the Connection that was in use.

        Raises:
            ReactorError: the transport did not come up; nothing of it is left.
        """
        engine, session = await process_engine(), self._session
        # A Session is connected to once it is prepared: all of this is known then.
        assert session.session_id is not None
        assert session.info is not None
        assert session.capabilities is not None
        options = events.PeerTransportOptions(
            session.capabilities.tracks,
            wire=format_for(session.info.server_version),
            # A number that the program gave is used, and so is ours after a loss; else a new one is as good.
            connection=self.number if again or not self._answer else None,
            again=again and self.number is not None,
            stale=self._answer,
            resume=self._tracks.wanted,
            max_attempts=max_attempts,
            config=self._config(),
        )
        held = None if self.current is None else self._replacing
        if held is None:
            self._replacing = asyncio.Lock()  # bound to the loop that the client is used on now
        else:
            await held.acquire()
        peer_transport = PeerTransport(
            self._api, engine, session.session_id, options, lambda event: self._happened(coming, event)
        )
        coming = self._coming = ActiveTransport(peer_transport, self._sampler(peer_transport))
        try:
            await peer_transport.ready()
            if held is not None:  # no call waits for it, and its Tracks must replace the present ones unnoticed
                await peer_transport.answered()
        except BaseException:
            self._background.add(peer_transport.aclose())
            if held is not None:
                held.release()
            raise

    def use(self) -> None:
        """Use the transport that has come up; it replaces the one in use, if there is one, unnoticed by the program."""
        transport, old = self._coming, self.current
        assert transport is not None  # it has come up
        self.current, self._coming, self.number = transport, None, transport.peer_transport.connection
        self._answer = transport.peer_transport.answer
        if old is not None:
            self._tracks.detach(quiet=True)
            self._leave(old)
            self._replacing.release()
            for name, track in transport.peer_transport.inputs.items():
                self._arrived(transport, name, track)
        self._tracks.attach(transport.peer_transport)
        try:  # the program may have asked for pauses and resumes while the transport came up
            transport.peer_transport.receive(self._tracks.wanted)
        except ReactorError as error:  # the channel closed just now, and its own event follows
            log.debug("the list of wanted outputs could not be sent", reason=error.message)
        for event in transport.early:
            self._happened(transport, event)
        self._background.add(self._tracks.restore())
        transport.sampling = asyncio.get_running_loop().create_task(transport.sampler.run(), name="livereactor stats")
        if self._session.schema is None:
            self._background.add(self._ask_for_schema(transport))

    def forget(self) -> None:
        """Forget the Connection, so that the next transport opens a new one."""
        self.number, self._answer = None, ""

    def close(self) -> None:
        """Close the transport in use."""
        transport, self.current = self.current, None
        self._tracks.detach()
        if transport is not None:
            self._leave(transport)

    def probe(self) -> None:
        """Send a message that the other side answers."""
        try:
            if self.current is not None:
                self.current.peer_transport.say(m.Ping())
        except ReactorError as error:  # the channel closed just now, and its own event follows
            log.debug("a probe could not be sent", reason=error.message)

    async def replaced(self) -> None:
        """Wait while another transport replaces a silent one; calls go on in their order."""
        async with self._replacing:
            pass

    async def set_bitrate(self, wanted: Bitrate) -> None:
        """Bound the rate of sending, on this transport and those to come."""
        self.bitrate = wanted
        if self.current is not None:
            await self.current.peer_transport.set_bitrate(min_bps=wanted.min_bps, max_bps=wanted.max_bps)

    # --- inside --------------------------------------------------------------------------------------------------

    def _config(self) -> PeerConfig:
        usual, wanted = PeerConfig(), self.bitrate
        return PeerConfig(
            start_bps=wanted.start_bps or usual.start_bps,
            max_bps=wanted.max_bps or usual.max_bps,
            min_bps=wanted.min_bps,
        )

    def _sampler(self, peer_transport: PeerTransport) -> StatsSampler:
        return StatsSampler(
            peer_transport,
            same_machine=is_this_machine(self._api.url),
            timings=self._timings,
            paused=lambda: self._tracks.paused,
            updated=lambda stats: self._emitter.emit("stats_update", stats),
            reports=self._report_stats,
        )

    def _leave(self, transport: ActiveTransport) -> None:
        if transport.sampling is not None:
            transport.sampling.cancel()
        self._background.add(transport.peer_transport.aclose())

    def _arrived(self, transport: ActiveTransport, name: str, track: ReceivedTrack) -> None:
        transport.received.append(name)
        self._tracks.arrived(name, track)

    async def _ask_for_schema(self, transport: ActiveTransport) -> None:
        try:
            reply = await transport.peer_transport.request(m.RequestSchema(), REPLY)
        except ReactorError as error:
            log.info("the model's schema could not be fetched", code=error.code, reason=error.message)
            return
        if reply is not None and transport is self.current:
            self._dispatcher.dispatch(reply)

    def _happened(self, transport: ActiveTransport, event: events.PeerTransportEvent) -> None:
        if isinstance(event, events.PingAnswered):
            transport.answers = True
            return
        if transport is self._coming and self.current is not None:
            if not isinstance(event, events.TrackArrived):  # its Tracks are handed over at once, by `use`
                transport.early.append(event)
            return
        if transport not in (self.current, self._coming):
            return  # an abandoned one
        match event:
            case events.TrackArrived(name, track):
                self._arrived(transport, name, track)
                self._emitter.emit("track_received", name, self._tracks.track(name))
            case events.MessageArrived(message):
                self._dispatcher.dispatch(message)
            case events.PeerTransportLost(reason):
                self._post(w.TransportLost(reason))
            case events.KeyFrameWanted(name):
                self._tracks.key_frame_wanted(name)
            case events.RateChanged(name, bps):
                self._tracks.rate_changed(name, bps)


def refuse_mode(session: SessionView, wanted: str | None) -> None:
    """Refuse a Session of the other generation mode: stepped ones are used by other calls than streamed ones.

    Raises:
        GenerationModeMismatchError: the Session has the other mode.
    """
    got = session.generation or "streamed"
    if got != (wanted or "streamed"):
        words = f"the session is {got}, and this client was made for a {wanted or 'streamed'} one"
        raise error_of("GENERATION_MODE_MISMATCH", words)
