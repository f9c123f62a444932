"""One WebRTC transport of aiortc and what it carries: answering an offer, making one, binding sections by mid."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters

from livereactor.base.errors import EngineError, PeerError
from livereactor.base.tasks import TaskSet
from livereactor.engine.aiortc import sdp
from livereactor.engine.aiortc.channel import AiortcChannel, MessageLimits, bound_partial_messages, route_messages
from livereactor.engine.aiortc.ice import Paths
from livereactor.engine.aiortc.inputs import AiortcInput
from livereactor.engine.aiortc.outputs import AiortcAudioOutput, AiortcVideoOutput, BitrateBounds
from livereactor.engine.channel_inbound import OpenedChannels
from livereactor.engine.gathering import Relays, announced
from livereactor.engine.port import (
    Candidate,
    CandidateFound,
    ChannelAdded,
    CodecNegotiated,
    Kind,
    Negotiated,
    PeerConfig,
    PeerEvent,
    PeerState,
    PeerStats,
    Section,
    StateChanged,
    TrackAdded,
    Use,
)
from livereactor.media.frames import PixelBound, VideoCodec
from livereactor.protocol.sdp import Description, MediaSection, answered_whole, bundled, parse_description

CLOSE_TIMEOUT: Final = 5.0  # seconds; what does not end by then is left to the collector
_ANSWERED: Final = ("video", "audio", "application")
_DIRECTIONS: Final = {Use.SEND: "sendonly", Use.RECEIVE: "recvonly", Use.INACTIVE: "inactive"}


class _Native(RTCPeerConnection):
    """aiortc's own, whose `close` also ends the tasks in which it connects: the loop would log those that are left."""

    def __init__(self, configuration: RTCConfiguration) -> None:
        super().__init__(configuration)
        self._connecting = TaskSet()

    def _RTCPeerConnection__connect(self) -> asyncio.Task[None]:  # noqa: N802 - the name that `__connect` has there
        connect: Any = super()
        return self._connecting.start(connect._RTCPeerConnection__connect())

    async def close(self) -> None:
        await super().close()
        await self._connecting.aclose()


class AiortcPeer:
    """Fits the Protocol `Peer` in port.py. Made by `AiortcEngine.peer`.

    Args:
        relays: the engine's.
        config: how to gather and what to negotiate.
        events: the owner's, called on the running loop.
        closed: called once when this Peer has let go of everything.
    """

    def __init__(
        self,
        relays: Relays,
        config: PeerConfig,
        events: Callable[[PeerEvent], None],
        closed: Callable[[AiortcPeer], None],
    ) -> None:
        self._config, self._events, self._closed = config, events, closed
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._state = PeerState.NEW
        self._native: RTCPeerConnection | None = None
        self._paths = Paths(relays, config, lambda found: self._post(CandidateFound(found)), self._changed)
        self._bounds = BitrateBounds(config.min_bps or 0, config.start_bps, config.max_bps)
        self._offered: list[tuple[Section, RTCRtpTransceiver]] = []
        self._video: dict[str, AiortcVideoOutput] = {}
        self._audio: dict[str, AiortcAudioOutput] = {}
        self._inputs: dict[str, AiortcInput] = {}
        self._pixels = PixelBound(config.video_pixels, self._fail)
        self._channels: list[AiortcChannel] = []
        self._by_stream: dict[int, AiortcChannel] = {}
        self._messages = MessageLimits()
        self._tagged = False

    # --- server side ---

    async def accept(self, offer: str, uses: Mapping[str, Use]) -> Negotiated:
        """Answer an offer."""
        whole = parse_description(offer, "the offer")
        # aiortc answers a section of any other kind, such as text (RFC 4103), as if it were a data channel.
        theirs = bundled(whole, {part.mid for part in whole.media if part.kind not in _ANSWERED})
        native = self._make()
        await self._apply(native, theirs, "offer")
        self._negotiate(theirs)
        transceivers = {transceiver.mid: transceiver for transceiver in native.getTransceivers()}
        for section in theirs.media:
            if section.kind in ("video", "audio"):
                transceiver = transceivers[section.mid]
                use = self._possible(section, uses.get(section.mid, Use.INACTIVE))
                transceiver.direction = _DIRECTIONS[use]
                if use is Use.SEND:
                    self._bind_output(section, transceiver)
                elif use is Use.RECEIVE:
                    self._bind_input(section, transceiver)
        self._watch(native, answers=True)
        await native.setLocalDescription()
        self._paths.require_candidate()
        answer = sdp.finished(native.localDescription.sdp, theirs, self._config.video_codecs, self._declared(theirs))
        answer = str(answered_whole(parse_description(answer, "the answer"), whole))
        answer = announced(answer, self._config.public_addresses)
        self._report(theirs)
        return Negotiated(answer, dict(self._video), dict(self._audio))

    def _possible(self, section: MediaSection, wanted: Use) -> Use:
        """Return the wanted use of a section where it is possible, else `INACTIVE`."""
        allowed = {Use.SEND: section.receives, Use.RECEIVE: section.sends, Use.INACTIVE: False}
        common = sdp.chosen_payload(section, self._config.video_codecs) is not None
        return wanted if common and allowed[wanted] else Use.INACTIVE

    # --- client side ---

    async def offer(self, sections: Sequence[Section], channels: Sequence[str]) -> str:
        """Make an offer; `Use.SEND` offers to send."""
        native = self._make()
        for section in sections:
            transceiver = native.addTransceiver(section.kind, _DIRECTIONS[section.use])
            if section.kind == "video":
                transceiver.setCodecPreferences(_preferences(self._config.video_codecs))
            self._offered.append((section, transceiver))
        for label in channels:
            self._add_channel(native.createDataChannel(label))
        self._watch(native, answers=False)
        await native.setLocalDescription()
        return sdp.finished(native.localDescription.sdp, None, self._config.video_codecs, self._declared(None))

    async def take_answer(self, answer: str) -> Negotiated:
        """Apply the answer to our offer."""
        native = self._native
        if native is None or native.signalingState != "have-local-offer":
            raise EngineError("this peer is not waiting for an answer; call offer() first")
        theirs = parse_description(answer, "the answer")
        if [section.mid for section in theirs.media] != [
            section.mid for section in parse_description(native.localDescription.sdp).media
        ]:
            raise PeerError("the sections of the answer differ from those of the offer; answer every section, in order")
        self._negotiate(theirs)
        by_mid = {section.mid: section for section in theirs.media}
        for wanted, transceiver in self._offered:
            section = by_mid[transceiver.mid or ""]
            if wanted.use is Use.SEND and section.receives:
                self._bind_output(section, transceiver)
            elif wanted.use is Use.RECEIVE and section.sends:
                self._bind_input(section, transceiver)
        await self._apply(native, theirs, "answer")
        self._report(theirs)
        return Negotiated(answer, dict(self._video), dict(self._audio))

    # --- both ---

    async def add_candidate(self, candidate: Candidate) -> None:
        """Add a trickled candidate; one that cannot be used is ignored. All sections share one transport."""
        if candidate.line and not self._is_closed:
            self._paths.add(candidate.line)

    async def stats(self) -> PeerStats:
        """A sample; the rate and the losses are those the receivers report."""
        transports = list({id(t): t for t in self._transports()}.values())
        sent = sum(getattr(transport, "_RTCDtlsTransport__tx_bytes", 0) for transport in transports)
        received = sum(getattr(transport, "_RTCDtlsTransport__rx_bytes", 0) for transport in transports)
        rates = [output.bps for output in self._video.values() if output.bps is not None]
        losses = [output.loss_ratio for output in self._video.values() if output.loss_ratio is not None]
        return PeerStats(
            rtt_ms=self._paths.rtt_ms,
            local_candidate=self._paths.local_type(),
            bytes_sent=sent,
            bytes_received=received,
            available_bps=float(sum(rates)) if rates else None,
            loss_ratio=max(losses) if losses else None,
            inbound={mid: {"bytes_received": track.bytes_received} for mid, track in self._inputs.items()},
            pairs=self._paths.pairs(sent, received),
        )

    async def set_bitrate(self, *, min_bps: int | None = None, max_bps: int | None = None) -> None:
        """Bounds of the estimate that is reported."""
        self._bounds.min_bps = self._bounds.min_bps if min_bps is None else min_bps
        self._bounds.max_bps = self._bounds.max_bps if max_bps is None else max_bps

    async def aclose(self) -> None:
        """Close; no event comes any more."""
        if self._is_closed:
            return
        self._is_closed = True
        self._set_ready(False)
        for track in self._inputs.values():
            track.close()
        for channel in self._channels:
            channel.cut()
        await self._paths.aclose()
        if self._native is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._native.close()
        self._closed(self)

    # --- making ---

    def _make(self) -> RTCPeerConnection:
        if self._is_closed or self._native is not None:
            raise EngineError("this peer is closed or already has a description; create another one")
        # No servers here: aiortc would wait for them before it answers; Paths asks them meanwhile.
        native = _Native(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        native.on("connectionstatechange", self._on_state)
        native.on("datachannel", self._on_channel)
        self._native = native
        return native

    async def _apply(self, native: RTCPeerConnection, theirs: Description, kind: str) -> None:
        text = sdp.for_aiortc(theirs, self._config.video_codecs)
        try:
            await native.setRemoteDescription(RTCSessionDescription(text, kind))
        except Exception as error:  # aiortc's parser fails in a dozen ways on what is no SDP, asserts among them
            raise PeerError(
                f"the {kind} cannot be used: {error or type(error).__name__}; send what browsers make"
            ) from error

    def _transports(self) -> list[Any]:
        native = self._native
        if native is None:
            return []
        found: list[Any] = [transceiver.receiver.transport for transceiver in native.getTransceivers()]
        return found if native.sctp is None else [*found, native.sctp.transport]

    def _watch(self, native: RTCPeerConnection, *, answers: bool) -> None:
        """Replace aiortc's ICE by ours and route packets by mid, messages by stream. Call it before gathering."""
        transports = {id(transport): transport for transport in self._transports()}.values()
        self._paths.adopt((transport.transport._connection for transport in transports), answers=answers)
        for transport in transports:
            route_by_mid(transport)
        if native.sctp is not None:
            route_messages(native.sctp, self._by_stream, OpenedChannels(self._config.data_channels, self._fail))
            bound_partial_messages(native.sctp, self._fail)

    # --- negotiating and binding ---

    def _declared(self, theirs: Description | None) -> list[str]:
        """Private lines of ours: in an offer what we can do, in an answer what both can."""
        tags = self._config.frame_metadata and (theirs is None or sdp.declares(theirs, sdp.FRAME_METADATA))
        chunks = self._config.chunking and (theirs is None or theirs.chunked_limit is not None)
        return [*([sdp.FRAME_METADATA] if tags else []), *([sdp.CHUNKING] if chunks else [])]

    def _negotiate(self, theirs: Description) -> None:
        chunked = theirs.chunked_limit if self._config.chunking else None
        self._messages = MessageLimits(theirs.plain_limit, chunked)
        self._tagged = self._config.frame_metadata and sdp.declares(theirs, sdp.FRAME_METADATA)
        for channel in self._channels:
            channel.negotiated(self._messages)

    def _bind_output(self, section: MediaSection, transceiver: RTCRtpTransceiver) -> None:
        mid = section.mid
        if section.kind == "audio":
            self._audio[mid] = sound = AiortcAudioOutput()
            sound.bind(mid, transceiver.sender)
            return
        delay_id = section.extension(sdp.PLAYOUT_DELAY)
        if delay_id is not None:
            native: Any = transceiver
            native._headerExtensions.append(RTCRtpHeaderExtensionParameters(id=delay_id, uri=sdp.PLAYOUT_DELAY))
        self._video[mid] = output = AiortcVideoOutput(self._post, self._bounds)
        output.tagged = self._tagged
        output.bind(mid, self._codec(section), transceiver.sender, delay_id)

    def _bind_input(self, section: MediaSection, transceiver: RTCRtpTransceiver) -> None:
        kind: Kind = "video" if section.kind == "video" else "audio"
        codec = self._codec(section) if kind == "video" else VideoCodec.VP8
        self._inputs[section.mid] = track = AiortcInput(section.mid, kind, self._pixels, codec)
        track.attach(transceiver.receiver)

    def _codec(self, section: MediaSection) -> VideoCodec:
        chosen = sdp.chosen_payload(section, self._config.video_codecs)
        return VideoCodec(next(codec.name.upper() for codec in section.codecs if codec.payload == chosen))

    def _report(self, theirs: Description) -> None:
        """Say what was negotiated, and take the candidates the description came with."""
        for mid, track in self._inputs.items():
            self._post(TrackAdded(mid, track))
        for mid, output in self._video.items():
            if output.codec is not None:
                self._post(CodecNegotiated(mid, output.codec))
        for line in sdp.candidates(theirs):
            self._paths.add(line)

    # --- from aiortc ---

    def _on_channel(self, native: RTCDataChannel) -> None:
        self._add_channel(native).on_open()

    def _add_channel(self, native: RTCDataChannel) -> AiortcChannel:
        channel = AiortcChannel(
            native,
            self._messages,
            self._config,
            opened=lambda opened: self._opened(native, opened),
            closed=lambda closed: self._forget(native, closed),
        )
        self._channels.append(channel)
        return channel

    def _opened(self, native: RTCDataChannel, channel: AiortcChannel) -> None:
        if native.id is not None:
            self._by_stream[native.id] = channel
        self._post(ChannelAdded(channel))

    def _forget(self, native: RTCDataChannel, channel: AiortcChannel) -> None:
        self._channels.remove(channel)
        if native.id is not None and self._by_stream.get(native.id) is channel:
            del self._by_stream[native.id]

    def _on_state(self) -> None:
        if self._native is not None:
            state = PeerState(self._native.connectionState)
            reason = {PeerState.CLOSED: "the other side closed the connection", PeerState.FAILED: "the path was lost"}
            self._changed(state, reason.get(state, ""))

    def _changed(self, state: PeerState, reason: str) -> None:
        if state is not self._state and not self._is_closed:
            self._state = state
            # A path that was silent for a while may come back: what is sent until then costs nothing but itself.
            self._set_ready(state in (PeerState.CONNECTED, PeerState.DISCONNECTED))
            self._post(StateChanged(state, reason))

    def _fail(self, reason: str) -> None:
        """End this Peer for what the other side did; from any thread."""
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self._changed, PeerState.FAILED, reason)

    def _set_ready(self, ready: bool) -> None:
        for output in (*self._video.values(), *self._audio.values()):
            if ready:
                output.start()
            else:
                output.stop()

    def _post(self, event: PeerEvent) -> None:
        """Deliver an event on a later turn of the loop; may be called from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._tell, event)
        except RuntimeError:  # the loop is closed: the process is ending
            return

    def _tell(self, event: PeerEvent) -> None:
        if not self._is_closed:
            self._events(event)


def _preferences(codecs: Sequence[VideoCodec]) -> list[Any]:
    """aiortc's capabilities for these codecs, in their order, and retransmission."""
    known = RTCRtpSender.getCapabilities("video").codecs
    chosen = [each for codec in codecs for each in known if each.mimeType.upper() == f"VIDEO/{codec.value}"]
    return [*chosen, *(each for each in known if each.mimeType == "video/rtx")]


# Which section an RTP packet is for, by its mid.
# aiortc asks the SSRC and, where that is unknown, the payload type; two cameras of one client share their payload
# types and announce no SSRC, so their packets would be thrown away. The mid extension is what BUNDLE has for this
# (RFC 9143).


def route_by_mid(transport: Any) -> None:
    """Make this DTLS transport of aiortc look at the mid first, and remember the SSRC it came with."""
    router = transport._rtp_router
    route = router.route_rtp

    def routed(packet: Any) -> Any:
        receiver = router.ssrc_table.get(packet.ssrc)
        if receiver is None and packet.extensions.mid is not None:
            receiver = router.mid_table.get(packet.extensions.mid)
            if receiver is not None:
                router.ssrc_table[packet.ssrc] = receiver
        return route(packet)

    router.route_rtp = routed
