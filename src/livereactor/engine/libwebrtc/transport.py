"""The peer connection of libwebrtc itself: its callbacks, state, candidates and channels, and letting go of it.

libwebrtc calls on foreign threads; every callback only hands over to the loop, where all of this file runs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import reactor_webrtc as rw

from livereactor.base.errors import EngineError, PeerError, TooLargeError
from livereactor.base.limits import MIB
from livereactor.base.tasks import set_within
from livereactor.engine.channel_inbound import InboundChannel, OpenedChannels, Post
from livereactor.engine.gathering import Relays, is_relay, is_tcp, no_candidate
from livereactor.engine.libwebrtc.held import Held
from livereactor.engine.port import (
    Admit,
    Candidate,
    CandidateFound,
    ChannelAdded,
    MessageReceived,
    PeerConfig,
    PeerEvent,
    PeerState,
    StateChanged,
)
from livereactor.protocol.sdp import PLAIN_MESSAGE_BYTES, Description

# libwebrtc closes a channel with more than 16 MiB waiting in it; half of that is seconds of delay already.
PLAIN_BUFFER_BYTES: Final = 8 * MIB


class LibwebrtcChannel(InboundChannel):
    """Fits the Protocol `Channel` in port.py.

    Args:
        native: libwebrtc's channel.
        post: runs a callable on the loop, from any thread.
        limit: largest message the other side takes, on a chunked channel (True) or a plain one; asked at each send,
            since the offering side learns it with the answer.
        opened: called on the loop when the channel can send.
        closed: called on the loop when it is closed.
        admit: of the Peer's configuration.
    """

    def __init__(
        self,
        native: rw.DataChannel,
        post: Post,
        *,
        limit: Callable[[bool], int],
        opened: Callable[[LibwebrtcChannel], None],
        closed: Callable[[LibwebrtcChannel], None],
        admit: Admit | None,
    ) -> None:
        super().__init__(native.label(), lambda: opened(self), lambda: closed(self), admit)
        self._native, self._limit = native, limit
        self._waiting_at_most = 0  # bytes; a look at what waits is answered by the network's thread, behind all it has
        native.on_open(lambda: post(self.on_open))
        native.on_close(lambda: post(self._on_close))
        native.on_message(lambda data, binary: self.arrive(MessageReceived(data, text=not binary), post))
        if native.state() == rw.DataChannelState.Open:  # it may have opened before the callbacks were set
            post(self.on_open)

    @property
    def is_open(self) -> bool:
        return self._is_open and not self._is_closed

    @property
    def max_message_bytes(self) -> int:
        return self._limit(self._native.is_chunked())

    @property
    def buffered_bytes(self) -> int:
        return self._native.buffered_amount()

    def send(self, data: bytes, *, text: bool) -> None:
        limit = self.max_message_bytes
        if len(data) > limit:
            raise TooLargeError(
                f"a message of {len(data)} bytes is over the limit of {limit} on channel {self.label!r}; use an upload"
            )
        if not self.is_open:
            raise EngineError(f"channel {self.label!r} is not open; wait until it opens, or connect again")
        try:
            if not self._native.is_chunked():
                self._must_have_room(len(data))
            self._native.send(data, binary=not text)
        except rw.DataChannelQueueFull as error:
            raise EngineError(f"channel {self.label!r} is full; the receiver is too slow, drain it first") from error
        except RuntimeError as error:
            raise EngineError(f"channel {self.label!r} cannot send: {error}; connect again") from error

    def _must_have_room(self, size: int) -> None:
        if self._waiting_at_most + size > PLAIN_BUFFER_BYTES:
            self._waiting_at_most = self.buffered_bytes
            if self._waiting_at_most + size > PLAIN_BUFFER_BYTES:
                raise rw.DataChannelQueueFull
        self._waiting_at_most += size

    async def drain(self, timeout: float) -> bool:
        if not self.is_open:
            return False
        return await self._native.drain(timeout)

    def close(self) -> None:
        """Close the channel; ChannelClosed follows."""
        if not self._is_closed:
            self._native.close(drain_timeout=0.5)

    def cut(self) -> None:
        """Let go of everything; no event comes any more."""
        super().cut()
        self._detach()

    def _on_close(self) -> None:
        super()._on_close()
        self._detach()

    def _detach(self) -> None:
        native = self._native  # its callbacks hold this channel, where no collector sees it
        native.on_open(_nothing)
        native.on_close(_nothing)
        native.on_message(_nothing)


def run_on(loop: asyncio.AbstractEventLoop) -> Post:
    """A `Post` for this loop; silent once the loop has closed."""

    def post(callback: Callable[[], None]) -> None:
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed: the process is ending
            return

    return post


FIRST_CANDIDATE: Final = 1.0  # seconds; host candidates come in 2 ms, so after this there are none
FIRST_RELAY: Final = 5.0  # seconds; a relay's candidate takes round trips
CALL_ENDS: Final = 0.25  # seconds for a cancelled call of libwebrtc, which takes some milliseconds, to end
MORE_CANDIDATES: Final = 0.002  # seconds after the first: the other interfaces' come together with it
# Packets sent before the other side has applied the answer are lost, and a key frame with them: 92 ms instead of 44.
READY_AFTER_CONNECTED: Final = 0.010  # seconds; or when a channel opens, whichever is earlier
SETTLED: Final = 2.0  # seconds for calls that are under way when a connection is to be closed; they take milliseconds
_STATES: Final = {f"PeerConnectionState.{state.value.capitalize()}": state for state in PeerState}
_T = TypeVar("_T")


class Transport:
    """One peer connection.

    Args:
        factory, relays, held: the process's.
        config: how to gather and what to negotiate.
        events: the owner's, called on the running loop.
        ready: called on the loop with True when media may be sent, with False when it no longer may.
    """

    def __init__(
        self,
        factory: rw.PeerConnectionFactory,
        relays: Relays,
        held: Held,
        config: PeerConfig,
        events: Callable[[PeerEvent], None],
        ready: Callable[[bool], None],
    ) -> None:
        self._relays, self._held, self._config = relays, held, config
        self._events: Callable[[PeerEvent], None] | None = events
        self._ready: Callable[[bool], None] = ready
        self._loop = asyncio.get_running_loop()
        self.call: Final = run_on(self._loop)  # runs a callable on the loop, from any thread
        self._state = PeerState.NEW
        self._is_ready = False
        self._channels: list[LibwebrtcChannel] = []
        self._opened = OpenedChannels(config.data_channels, self.fail)
        self._tracks: list[rw.Track] = []
        self._described: list[Candidate] | None = []  # candidates for the description; None once it is out
        self._first_candidate = asyncio.Event()  # or that there will be none
        self._first_relay = asyncio.Event()  # likewise
        self._plain_limit = self._chunked_limit = PLAIN_MESSAGE_BYTES
        self._last_reference: list[rw.PeerConnection] = []
        self._closing = threading.Lock()
        self._calls: set[asyncio.Future[Any]] = set()
        self._observer = self._observe()
        self.native = factory.create_peer_connection(_native_config(config), self._observer)

    def post(self, event: PeerEvent) -> None:
        """Deliver an event on the loop, from any thread."""
        self.call(lambda: self._deliver(event))

    def fail(self, reason: str) -> None:
        """End the peer for what the other side did, from any thread."""
        self.post(StateChanged(PeerState.FAILED, reason))

    async def whole(self, call: Awaitable[_T]) -> _T:
        """Return the outcome of a call of libwebrtc. A cancelled one goes on and holds the connection until it ends."""
        future = asyncio.ensure_future(call)
        self._calls.add(future)
        future.add_done_callback(self._forget)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # At the end of `asyncio.run`, the loop closes as soon as this task has ended. An outcome that came after it
            # would print "Event loop is closed" from libwebrtc's thread.
            await asyncio.wait((future,), timeout=CALL_ENDS)
            raise

    async def apply(self, kind: str, text: str, description: Description) -> list[rw.Track]:
        """Apply the other side's description, its text and what was read of it.

        Returns:
            the tracks it may send on, in the order of its sections.
        """
        self._plain_limit = description.plain_limit
        self._chunked_limit = description.chunked_limit or PLAIN_MESSAGE_BYTES
        try:
            await self.whole(self.native.set_remote_description(rw.SessionDescription(kind, text)))
        except RuntimeError as error:
            raise PeerError(f"the {kind} cannot be applied: {error}; send a complete WebRTC description") from error
        tracks, self._tracks = self._tracks, []
        return tracks

    async def describe(self, kind: str) -> str:
        """Make our description and start gathering."""
        try:
            # Its methods go into no variable: the traceback of a task cancelled here would keep the connection.
            made = self.native.create_offer() if kind == "offer" else self.native.create_answer()
            description = await self.whole(made)
            await self.whole(self.native.set_local_description(description))
        except RuntimeError as error:
            if kind == "answer":  # some attributes of an offer, such as a=setup, are not looked at before
                raise PeerError(f"libwebrtc cannot answer the offer: {error}; send what createOffer made") from error
            raise EngineError(f"libwebrtc cannot make an offer: {error}; check its sections") from error
        return description.sdp

    async def gathered(self) -> list[str]:
        """The candidates that are there as soon as the first one is, and a relay's; later ones are events.

        Raises:
            EngineError: there is no address, port or relay to be reached at.
        """
        await set_within(self._first_candidate, FIRST_RELAY if self._config.relay_only else FIRST_CANDIDATE)
        if self._described:
            await asyncio.sleep(MORE_CANDIDATES)
        patience = self._relays.patience(self._config)
        if patience and not await set_within(self._first_relay, patience):
            self._relays.missed(self._config)
        found, self._described = self._described or [], None
        if not found:
            raise no_candidate(self._config)
        return [candidate.line for candidate in found]

    def trickle(self) -> None:
        """Report all candidates as events, those found so far too."""
        found, self._described = self._described or [], None
        for candidate in found:
            self._deliver(CandidateFound(candidate))

    def open_channel(self, label: str) -> None:
        self._add_channel(self.native.create_data_channel(label), announce=True)

    def let_go(self) -> None:
        """Detach all callbacks, so that no event comes any more. Call it once, before `close_now`."""
        self._events = None
        self._ready = _nothing
        observer = self._observer
        observer.on_connection_state_change = observer.on_ice_candidate = observer.on_ice_gathering_change = None
        observer.on_track = observer.on_data_channel = None
        for channel in self._channels:
            channel.cut()
        self._channels, self._tracks = [], []
        self._last_reference.append(self.native)
        del self.native

    async def settled(self) -> None:
        """Wait until no call holds the connection; to be called after `let_go`."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=SETTLED)

    def close_now(self) -> None:
        """Close the connection, or wait until another thread has; blocks for some milliseconds, never on the loop."""
        with self._closing:
            # Dropping the last reference is what closes a connection, and it waits for libwebrtc's threads.
            self._last_reference.clear()
            self._held.sweep()

    # --- callbacks of libwebrtc, on its threads ---

    def _observe(self) -> rw.PeerConnectionObserver:
        observer = rw.PeerConnectionObserver()
        observer.on_connection_state_change = lambda state: self.call(lambda: self._on_state(_STATES[str(state)]))
        observer.on_ice_candidate = lambda candidate: self.call(lambda: self._on_candidate(candidate))
        observer.on_ice_gathering_change = lambda state: self.call(lambda: self._on_gathering(state))
        observer.on_track = lambda kind, track: self._tracks.append(self._held.keep(track))
        observer.on_data_channel = lambda native: self._add_channel(native, announce=False)
        return observer

    def _add_channel(self, native: rw.DataChannel, *, announce: bool) -> None:
        """Take a channel in: the other side's is reported at once, ours when it has opened."""
        if not announce and not self._opened.takes():
            return
        channel = LibwebrtcChannel(
            native,
            self.call,
            limit=lambda chunked: self._chunked_limit if chunked else self._plain_limit,
            opened=lambda channel: self._on_channel_open(channel, announce=announce),
            closed=self._channels.remove,
            admit=self._config.admit,
        )
        self._channels.append(channel)
        if not announce:
            self.post(ChannelAdded(channel))

    # --- on the loop ---

    def _forget(self, call: asyncio.Future[Any]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # the task that waited may be gone

    def _deliver(self, event: PeerEvent) -> None:
        if self._events is not None:
            self._events(event)

    def _on_channel_open(self, channel: LibwebrtcChannel, *, announce: bool) -> None:
        self._become_ready()
        if announce:
            self._deliver(ChannelAdded(channel))

    def _on_state(self, state: PeerState) -> None:
        self._state = state
        if state is PeerState.CONNECTED:
            self._loop.call_later(READY_AFTER_CONNECTED, self._become_ready)
        elif state in (PeerState.FAILED, PeerState.CLOSED) and self._is_ready:
            self._is_ready = False
            self._ready(False)
        self._deliver(StateChanged(state))

    def _become_ready(self) -> None:
        if not self._is_ready and self._state not in (PeerState.FAILED, PeerState.CLOSED):
            self._is_ready = True
            self._ready(True)

    def _on_candidate(self, native: rw.IceCandidate) -> None:
        if is_tcp(native.candidate):  # it gathers them even where its configuration says that TCP is off
            return
        candidate = Candidate(native.candidate, native.sdp_mid, native.sdp_mline_index)
        if self._described is None:
            self._deliver(CandidateFound(candidate))
        else:
            self._described.append(candidate)
        self._first_candidate.set()
        if is_relay(candidate.line):
            self._relays.heard(self._config)
            self._first_relay.set()

    def _on_gathering(self, state: rw.IceGatheringState) -> None:
        if state == rw.IceGatheringState.Complete:
            self._first_candidate.set()
            self._first_relay.set()
            if self._described is None:
                self._deliver(CandidateFound(Candidate("")))


def _native_config(config: PeerConfig) -> rw.RtcConfiguration:
    low, high = config.port_range or (0, 0)
    return rw.RtcConfiguration(
        ice_servers=[rw.IceServer(list(s.urls), s.username, s.password) for s in config.ice_servers],
        ice_transport_type="relay" if config.relay_only else "all",
        min_port=low,
        max_port=high,
        bundle_policy=rw.BundlePolicy.MaxBundle,
        frame_metadata=config.frame_metadata,
        dc_chunking=config.chunking,
    )


def _nothing(*_: object) -> None:
    """Do nothing: a callback once the channel is cut or the transport is let go of."""
