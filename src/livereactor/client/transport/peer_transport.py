"""A PeerTransport: one Peer, its two data channels and its Tracks, for one Connection. A reconnect makes a new one.

It does not know the state of the Session and never retries; its events report what happens to it. Loop only, except
that Frames arrive on a thread of the engine. Above 400 lines because it is one transport: its channels and its media
sections live and end with their Peer.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import structlog

from livereactor.base.clock import monotonic_us
from livereactor.base.errors import EngineError, LivereactorError, PeerError, TooLargeError, UsageError
from livereactor.base.limits import KIB
from livereactor.base.tasks import TaskSet
from livereactor.client.errors import ReactorError, error_of
from livereactor.client.http.api import FLAT, Api
from livereactor.client.stats import Latency
from livereactor.client.transport import events
from livereactor.client.transport.requests import Question, Requests
from livereactor.client.transport.signalling import Trickle, answer_to, with_candidates
from livereactor.client.types import TrackCapability
from livereactor.engine import port
from livereactor.media.frames import Frame, Sound
from livereactor.protocol import messages as m
from livereactor.protocol.codecs import CODECS, format_of
from livereactor.protocol.messages import WireFormat
from livereactor.protocol.sdp import parse_description

USES: Final = {"recvonly": port.Use.RECEIVE, "sendonly": port.Use.SEND}
_T = TypeVar("_T")
_Media = TypeVar("_Media", Frame, Sound)


class Sections:
    """The media sections of an offer, in the order of the declared Tracks.

    Args:
        tracks: the declared Tracks.
    """

    def __init__(self, tracks: Sequence[TrackCapability]) -> None:
        self._tracks = tuple(tracks)
        self._names: dict[str, str] = {}
        self.offered = tuple(port.Section(track.kind, USES[track.direction], track.name) for track in self._tracks)

    def mapping(self, offer: str) -> list[tuple[str, TrackCapability]]:
        """Return the Tracks with the mids that an offer gave them; from here on, names are known."""
        try:
            media = [section for section in parse_description(offer).media if section.kind != "application"]
        except PeerError as error:
            raise EngineError(f"the engine made an offer that cannot be read: {error.message}") from error
        found = list(zip((section.mid for section in media), self._tracks, strict=True))
        self._names = {mid: track.name for mid, track in found}
        return found

    def name(self, mid: str) -> str | None:
        """Return the name of the Track on a section, or None."""
        return self._names.get(mid)

    def named(self, by_mid: Mapping[str, _T]) -> dict[str, _T]:
        """Return the values by the Track's name."""
        return {name: each for mid, each in by_mid.items() if (name := self.name(mid)) is not None}


class ObservedTrack:
    """A `ReceivedTrack` that reports each arrival and its time stamp, on the engine's thread.

    Args:
        track: the engine's track.
        heard: called with the `captured_us` of every Frame and block of Sound, before its receiver.
    """

    def __init__(self, track: port.ReceivedTrack, heard: Callable[[int | None], None]) -> None:
        self._track, self._heard = track, heard

    @property
    def mid(self) -> str:
        return self._track.mid

    @property
    def kind(self) -> port.Kind:
        return self._track.kind

    def on_frame(self, callback: Callable[[Frame], None] | None) -> None:
        self._track.on_frame(self._observing(callback))

    def on_sound(self, callback: Callable[[Sound], None] | None) -> None:
        self._track.on_sound(self._observing(callback))

    def _observing(self, callback: Callable[[_Media], None] | None) -> Callable[[_Media], None] | None:
        if callback is None:
            return None

        def came(media: _Media) -> None:
            self._heard(media.captured_us)
            callback(media)

        return came


FALL_BACK: Final = 2.0  # seconds that a server may speak JSON and nothing else, before it is taken to know nothing else


class Channels:
    """The control channel and the data channel of a PeerTransport.

    Args:
        wire: the format to send; JSON, once the server turns out to know no other.
        heard: called with every message.
        changed: called with None when a channel opens, with its label when it closes.
        speaks_json: called when the format changes: the server did not understand earlier messages.
    """

    def __init__(
        self,
        wire: WireFormat,
        heard: Callable[[m.ServerMessage], None],
        changed: Callable[[str | None], None],
        speaks_json: Callable[[], None],
    ) -> None:
        self.wire = wire
        self.faults = Counter[str]()
        self._heard, self._changed, self._speaks_json = heard, changed, speaks_json
        self._open: dict[str, port.Channel] = {}
        self._is_flat = self._is_closed = False
        self._hears_binary = False
        self._fallback: asyncio.TimerHandle | None = None

    def be_flat(self) -> None:
        """Use JSON and the channel `data` alone, for a server of the flat routes."""
        self._is_flat, self.wire = True, WireFormat.V0

    @property
    def are_open(self) -> bool:
        """True if all needed channels are open."""
        needed = (m.DATA,) if self._is_flat else (m.CONTROL, m.DATA)
        return all(label in self._open for label in needed)

    @property
    def buffered_bytes(self) -> int:
        return sum(channel.buffered_bytes for channel in self._open.values())

    def add(self, channel: port.Channel) -> None:
        """Listen to one of our channels that has opened; a channel that the server opens by itself is ignored."""
        label = channel.label
        if self._is_closed or label in self._open or label not in (m.CONTROL, m.DATA):
            return
        self._open[label] = channel
        channel.listen(lambda event: self._happened(label, channel, event))
        self._changed(None)

    def say(self, message: m.ClientMessage) -> None:
        """Send a message; see `PeerTransport.say`."""
        codec = CODECS[self.wire]
        try:
            frame = codec.encode_client(message)
        except UsageError as error:
            raise ValueError(error.message) from error
        if frame is None or (self._is_flat and frame[0] == m.CONTROL):
            return  # a server of the flat routes starts its tracks by itself
        label, data = frame
        channel = self._open.get(label)
        if channel is None or self._is_closed:
            raise _unsent(f"the channel {label!r} is not open; connect again")
        try:
            channel.send(data, text=codec.TEXT)
        except TooLargeError as error:
            limit = channel.max_message_bytes
            text = f"{_kib(len(data))} exceeds {_kib(limit)}; upload the content and send its FileRef"
            raise error_of("MESSAGE_TOO_LARGE", text, details={"size": len(data), "limit": limit}) from error
        except EngineError as error:
            raise _unsent(error.message) from error

    async def drain(self, timeout: float) -> None:
        """Wait up to `timeout` seconds until all messages have left."""
        unsent = [channel for channel in self._open.values() if channel.is_open and channel.buffered_bytes]
        await asyncio.gather(*(channel.drain(timeout) for channel in unsent), return_exceptions=True)

    def close(self) -> None:
        """Stop listening and sending; the Peer closes the channels themselves."""
        self._is_closed = True
        self._open.clear()
        if self._fallback is not None:
            self._fallback.cancel()

    def _happened(self, label: str, channel: port.Channel, event: port.ChannelEvent) -> None:
        if self._is_closed:
            return
        match event:
            case port.MessageReceived(data, text):
                self._received(label, channel, data, text=text)
            case port.ChannelClosed() if label == m.DATA or not self._is_flat:
                self._changed(label)
            case port.ChannelOpened() | port.ChannelClosed():
                pass

    def _received(self, label: str, channel: port.Channel, data: bytes, *, text: bool) -> None:
        # By each frame: before the server has heard us, it may have taken us for a listener, in JSON.
        wire = format_of(data, text=text)
        self._notice(wire)
        try:
            message = CODECS[wire].decode_server(label, data, limit=channel.max_message_bytes)
        except LivereactorError as error:
            self._fault(f"{label} {wire.value}", error)
            return
        self._heard(message)

    def _notice(self, wire: WireFormat) -> None:
        if wire is WireFormat.V1:
            self._hears_binary = True
        elif self.wire is WireFormat.V1 and not self._hears_binary and self._fallback is None:
            self._fallback = asyncio.get_running_loop().call_later(FALL_BACK, self._fall_back)

    def _fall_back(self) -> None:
        if self._hears_binary or self._is_closed:
            return
        log.info("the server speaks JSON only; so does this connection from now on")
        self.wire = WireFormat.V0
        self._speaks_json()

    def _fault(self, kind: str, error: LivereactorError) -> None:
        self.faults[kind] += 1
        if self.faults[kind] == 1:
            log.warning("a frame cannot be read; more of its kind are only counted", kind=kind, reason=error.message)


def _unsent(why: str) -> ReactorError:
    return error_of("MESSAGE_SEND_FAILED", why, reason="TRANSPORT_ERROR")


def _kib(size: int) -> str:
    return f"{size / KIB:.0f} KiB" if size >= KIB else f"{size} bytes"


TRANSPORT_TIMEOUT: Final = 30.0  # seconds from the answer to open channels, as long as servers wait
PING_INTERVAL: Final = {WireFormat.V0: 5.0, WireFormat.V1: 10.0}  # seconds; servers drop a client that is silent for 20
END_WAIT: Final = 1.0  # seconds before the server learns that no more candidates come
TURNS: Final = 3  # of the loop until a request is on its way
DRAIN: Final = 0.5  # seconds at the end for messages under way

log = structlog.get_logger(__name__)


class PeerTransport:
    """A transport that negotiates in the background from the start; use it once `ready` has returned, and `aclose` it.

    Args:
        on_event: called on the loop.

    Attributes:
        connection: its number, once it is known.
        answer: the server's SDP answer, empty until it arrives.
        inputs: the tracks that the server sends, by name.
        outputs: the tracks that we may send, by name, once the answer has arrived.
        heard_at: monotonic seconds of the last message or Frame.
        latency: the age of the Frames that arrive.
    """

    def __init__(
        self,
        api: Api,
        engine: port.Engine,
        session_id: str,
        options: events.PeerTransportOptions,
        on_event: Callable[[events.PeerTransportEvent], None],
    ) -> None:
        self._api, self._engine, self._session_id, self._options = api, engine, session_id, options
        self._on_event = on_event
        self.connection = options.connection
        self.inputs: dict[str, port.ReceivedTrack] = {}
        self.outputs: Mapping[str, port.VideoOutput | port.AudioOutput] = {}
        self.heard_at = time.monotonic()
        self.latency = Latency()
        self._resumed = dict.fromkeys(options.resume, True)
        self._sections = Sections(options.tracks)
        # Once the server turns out to speak JSON only, it has not understood the messages that must last.
        self._channels = Channels(options.wire, self._heard, self._channel_changed, self._start_outputs)
        self._requests = Requests()
        self._trickle = Trickle()
        self._peer: port.Peer | None = None
        self._state, self.answer, self._has_relay = port.PeerState.NEW, "", False
        self._live: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_ready = self._is_over = False
        self._broken = ""  # why it broke before `ready` could return
        self._tasks = TaskSet()
        self._applying: asyncio.Task[None] | None = None  # the answer
        self._opening = self._spawn(self._open(), "open")

    async def ready(self) -> None:
        """Wait until the transport is connected and the channels are open.

        Raises:
            ReactorError: `TRANSPORT_ERROR`, `REQUEST_TIMEOUT`, `DECODE_FAILED`, what the server answered, or `ABORTED`
                if it is closed meanwhile.
        """
        try:
            await asyncio.shield(self._opening)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._opening.cancelled() or (task is not None and task.cancelling()):
                raise
            raise error_of("ABORTED", "the connection was closed before it was up") from None

    async def answered(self) -> None:
        """Wait until `outputs` is complete: one that replaces another is ready some milliseconds earlier."""
        if self._applying is not None:
            await asyncio.wait((self._applying,))

    @property
    def wire(self) -> WireFormat:
        """The format of sent messages."""
        return self._channels.wire

    @property
    def faults(self) -> Mapping[str, int]:
        """The number of frames that could not be read, by channel and format."""
        return self._channels.faults

    @property
    def buffered_bytes(self) -> int:
        """The bytes of messages that have not left yet."""
        return self._channels.buffered_bytes

    def say(self, message: m.ClientMessage) -> None:
        """Send a message without waiting for a reply; skip one that the server's format does not have.

        Raises:
            ValueError: the message is not JSON.
            ReactorError: `MESSAGE_TOO_LARGE` (nothing was sent), `MESSAGE_SEND_FAILED`.
        """
        match message:
            case m.ResumeTrack(name):
                self._resumed[name] = True
            case m.PauseTrack(name):
                self._resumed[name] = False
            case _:
                pass
        self._channels.say(message)

    def receive(self, wanted: Collection[str]) -> None:
        """Ask the server to send these outputs and no others; what it was asked already is not sent again."""
        for name in {**self._resumed, **dict.fromkeys(wanted)}:
            if (name in wanted) != self._resumed.get(name, False):
                self.say(m.ResumeTrack(name) if name in wanted else m.PauseTrack(name))

    async def request(self, question: Question, timeout: float) -> m.ServerMessage | None:
        """Send a message and wait for its reply.

        Returns:
            `ModelMessage` or `Ack` for a Command, `ClipReady` or `ClipFailed`, `PublishGranted` or `PublishRefused`,
            `SchemaDocument`, `StepResult`; None for a Command in JSON, which has no replies.

        Raises:
            ReactorError: what the server answered (`CommandRejected` and its like), `REQUEST_TIMEOUT`, `DISCONNECTED`,
                `NOT_SUPPORTED` if its format does not have the request, and what `say` raises.
        """
        if self._is_over:
            raise error_of("DISCONNECTED", "the connection is closed; connect again")
        if self.wire is WireFormat.V0 and isinstance(question, m.Command):
            self.say(question)
            return None
        if self.wire is WireFormat.V0 and isinstance(question, m.RequestStep):
            raise error_of("NOT_SUPPORTED", "this server speaks JSON only, which has no steps")
        if self.connection == FLAT and isinstance(question, m.PublishTrack):
            return m.PublishGranted(question.name, None)  # the flat routes have no handshake: sending is publishing
        return await self._requests.ask(question, timeout, self.say)

    async def stats(self) -> port.PeerStats:
        """Return the engine's counters."""
        return port.PeerStats() if self._peer is None else await self._peer.stats()

    async def set_bitrate(self, *, min_bps: int | None = None, max_bps: int | None = None) -> None:
        """Bound the rate of congestion control, bits a second."""
        if self._peer is not None:
            await self._peer.set_bitrate(min_bps=min_bps, max_bps=max_bps)

    async def aclose(self) -> None:
        """Release everything; calls that wait for a reply get `DISCONNECTED`. May be called twice."""
        if self._is_ready and not self._is_over:
            await self._channels.drain(DRAIN)
        self._end()
        await self._tasks.aclose()
        peer, self._peer = self._peer, None
        if peer is not None:
            await peer.aclose()

    # --- opening -------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        try:
            applying = self._applying = self._spawn(self._apply(await self._negotiate()), "apply")
            # Media sections take longer to set up than channels to open: 6 of 45 ms. On a first connection the program
            # must get its Tracks before `ready`; a replacement has them already.
            if not self._options.again:
                await applying
            async with asyncio.timeout(TRANSPORT_TIMEOUT):
                await asyncio.wait((applying, self._live), return_when=asyncio.FIRST_COMPLETED)
                if applying.done():
                    await applying
                await self._live
        except TimeoutError as error:
            raise error_of("TRANSPORT_ERROR", self._no_path()) from error
        except ReactorError:
            raise
        except (PeerError, ValueError) as error:  # raised by engines that read the server's answer
            raise error_of("DECODE_FAILED", f"unexpected answer to the offer: {error}") from error
        except (LivereactorError, RuntimeError) as error:  # raised by the engine, or by its library
            raise error_of("TRANSPORT_ERROR", f"the WebRTC engine failed: {error}") from error
        if self._broken:
            raise error_of("TRANSPORT_ERROR", self._broken)
        self._is_ready = True
        self._spawn(self._ping(), "ping")

    async def _negotiate(self) -> port.Peer:
        options, api, session_id = self._options, self._api, self._session_id
        registering = self._spawn(self._registered(), "register")
        servers = await api.ice_servers(session_id, again=options.again)
        for _ in range(TURNS):  # making an offer blocks the loop: first let the other request leave
            await asyncio.sleep(0)
        self._has_relay = any(url.startswith("turn") for server in servers for url in server.urls)
        self._peer = await self._engine.peer(replace(options.config, ice_servers=servers), self._happened)
        # Control first: a server that takes the last channel for the data channel gets the right one.
        offer = await self._peer.offer(self._sections.offered, (m.CONTROL, m.DATA))
        connection = await registering
        found = self._trickle.drain()
        self._use_number(connection)
        if all(candidate.line for candidate in found):  # while the offer is sent, as its answer may wait for a path
            self._spawn(self._trickle.run(self._send_candidates), "trickle")
        given = await self._send(with_candidates(offer, found))
        self.answer = given or await answer_to(api, session_id, self._number, options.max_attempts, stale=options.stale)
        return self._peer

    async def _apply(self, peer: port.Peer) -> None:
        try:
            accepted = await peer.take_answer(self.answer)
        except (LivereactorError, RuntimeError, ValueError) as error:
            if self._is_ready:
                self._fail(f"the server's answer cannot be used: {error}")
            raise
        self.outputs = self._sections.named({**accepted.video, **accepted.audio})
        self._check_live()

    async def _registered(self) -> int:
        if self._options.connection is not None:
            return self._options.connection
        return await self._api.create_connection(self._session_id)

    async def _send(self, offer: str) -> str | None:
        """Send the offer; return the answer if the server gives it at once."""
        mapping, again = self._sections.mapping(offer), self._options.again
        try:
            return await self._api.send_offer(self._session_id, self._number, offer, mapping, again=again)
        except ReactorError as error:
            # The server may have forgotten the number while its Session lives on, or have it under another token:
            # then a new number is as good.
            if not again or error.status not in (404, 409):
                raise
            self._use_number(await self._api.create_connection(self._session_id))
            return await self._api.send_offer(self._session_id, self._number, offer, mapping, again=False)

    def _use_number(self, connection: int) -> None:
        self.connection = connection
        if connection == FLAT:
            self._channels.be_flat()

    @property
    def _number(self) -> int:
        assert self.connection is not None  # it is known from here on
        return self.connection

    async def _send_candidates(self, candidates: Sequence[port.Candidate], is_final: bool) -> None:
        if not candidates:  # the end of candidates matters only while a path is still searched
            await asyncio.wait([self._live], timeout=END_WAIT)
            if self._live.done():
                return
        await self._api.send_candidates(self._session_id, self._number, candidates, is_final=is_final)

    def _check_live(self) -> None:
        """Go live once the answer has arrived, the transport is connected and the needed channels are open."""
        is_up = self.answer and self._state is port.PeerState.CONNECTED and self._channels.are_open
        if not is_up or self._live.done():
            return
        self.heard_at = time.monotonic()
        self._start_outputs()
        self._live.set_result(None)

    def _start_outputs(self) -> None:
        try:
            for name, is_wanted in self._resumed.items():
                if is_wanted:
                    self._channels.say(m.ResumeTrack(name))
            self._channels.say(m.Ping())
        except ReactorError as error:  # the channel closed just now, and its event follows
            log.info("the first messages could not be sent", reason=error.message)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_INTERVAL[self.wire])
            try:
                self._channels.say(m.Ping())
            except ReactorError as error:
                log.info("a ping could not be sent", reason=error.message)

    def _no_path(self) -> str:
        remote = len({line for line in self.answer.split("\r\n") if line.startswith("a=candidate:")})
        relay = "a relay offered" if self._has_relay else "no relay offered"
        return f"no network path: {self._trickle.count} local, {remote} remote candidates, {relay}; check firewalls"

    # --- what happens --------------------------------------------------------------------------------------------

    def _happened(self, event: port.PeerEvent) -> None:
        if self._is_over:
            return
        match event:
            case port.CandidateFound(candidate):
                self._trickle.add(candidate)
            case port.StateChanged(state, reason):
                self._state = state
                # `disconnected` means no packets for a moment, which may pass: the machine decides how long to wait.
                if state in (port.PeerState.FAILED, port.PeerState.CLOSED):
                    self._fail(reason or f"the transport {'failed' if state is port.PeerState.FAILED else 'closed'}")
            case port.ChannelAdded(channel):
                self._channels.add(channel)
            case port.TrackAdded(mid, track) if (name := self._sections.name(mid)) is not None:
                self.inputs[name] = heard = ObservedTrack(track, self._note_arrival)
                self._on_event(events.TrackArrived(name, heard))
            case port.KeyFrameWanted(mid) if (name := self._sections.name(mid)) is not None:
                self._on_event(events.KeyFrameWanted(name))
            case port.RateChanged(mid, bps) if (name := self._sections.name(mid)) is not None:
                self._on_event(events.RateChanged(name, bps))
            case _:
                pass
        self._check_live()

    def _channel_changed(self, closed: str | None) -> None:
        """React to a channel that opened, or to the one of this label that closed."""
        if closed is None:
            self._check_live()
        else:
            self._fail(f"the server closed the channel {closed!r}")

    def _note_arrival(self, captured_us: int | None = None) -> None:
        """Note that something arrived; called on any thread."""
        self.heard_at = time.monotonic()
        if captured_us is not None:
            self.latency.delivered(captured_us, monotonic_us())

    def _heard(self, message: m.ServerMessage) -> None:
        self._note_arrival()
        if isinstance(message, m.Pong):
            self._on_event(events.PingAnswered())
            return
        is_reply = self._requests.resolve(message)
        if not is_reply or isinstance(message, m.ModelMessage):
            self._on_event(events.MessageArrived(message))

    def _fail(self, reason: str) -> None:
        if self._is_over:
            return
        if not self._is_ready:
            self._broken = self._no_path() if self._state is port.PeerState.FAILED else reason
            if not self._live.done():
                self._live.set_result(None)
            return
        self._end()
        self._on_event(events.PeerTransportLost(reason))

    def _end(self) -> None:
        """Stop listening and sending."""
        self._is_over = True
        self._channels.close()
        self._requests.abandon()
        self._live.cancel()

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = self._tasks.start(work, name=f"transport-{name}")
        # Marks the error as seen if `ready` was not awaited.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task
