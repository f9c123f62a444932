"""One WebRTC transport of libwebrtc and what it carries: answering an offer, making one, binding sections by mid.

Received media is here too: BGRA and PCM bytes become frames and sound, on libwebrtc's own threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias, cast

import cv2
import numpy as np
import reactor_webrtc as rw

from livereactor.base.errors import EngineError, PeerError
from livereactor.engine.gathering import Relays, announced
from livereactor.engine.libwebrtc import sdp
from livereactor.engine.libwebrtc.encoder_tracks import EncoderTracks
from livereactor.engine.libwebrtc.held import Held
from livereactor.engine.libwebrtc.outputs import LibwebrtcAudioOutput, LibwebrtcVideoOutput, PacerWatch, Repeater
from livereactor.engine.libwebrtc.stats import read_stats
from livereactor.engine.libwebrtc.transport import Transport
from livereactor.engine.port import (
    Candidate,
    CodecNegotiated,
    Kind,
    Negotiated,
    PeerConfig,
    PeerEvent,
    PeerStats,
    Section,
    TrackAdded,
    Use,
)
from livereactor.media.frames import Frame, PixelBound, Pixels, Sound, VideoCodec
from livereactor.protocol.sdp import MediaSection, parse_description

_Output: TypeAlias = LibwebrtcVideoOutput | LibwebrtcAudioOutput

_KINDS: Final = {"video": rw.MediaKind.Video, "audio": rw.MediaKind.Audio}
_DIRECTIONS: Final = {
    Use.SEND: rw.TransceiverDirection.SendOnly,
    Use.RECEIVE: rw.TransceiverDirection.RecvOnly,
    Use.INACTIVE: rw.TransceiverDirection.Inactive,
}
_DECODED: Final = [rw.VideoCodec.Vp8, rw.VideoCodec.Vp9, rw.VideoCodec.Av1]


class LibwebrtcPeer:
    """Fits the Protocol `Peer` in port.py. Made by `LibwebrtcEngine.peer`.

    Args:
        factory, relays, encoder_tracks, repeater, held: the engine's.
        config: how to gather and what to negotiate.
        events: the owner's, called on the running loop.
        closed: called when this Peer has let go of everything, on any thread.
    """

    def __init__(
        self,
        factory: rw.PeerConnectionFactory,
        relays: Relays,
        encoder_tracks: EncoderTracks,
        repeater: Repeater,
        held: Held,
        config: PeerConfig,
        events: Callable[[PeerEvent], None],
        closed: Callable[[LibwebrtcPeer], None],
    ) -> None:
        self._factory, self._relays, self._encoder_tracks, self._repeater = factory, relays, encoder_tracks, repeater
        self._held, self._config = held, config
        self._events, self._closed = events, closed
        self._is_closed = False
        self._is_ready = self._is_bound = False
        self._transport: Transport | None = None
        self._ended: Transport | None = None  # what is closed, or being closed
        self._closing: asyncio.Future[None] | None = None
        self._outputs: list[_Output] = []
        self._inputs: list[LibwebrtcInput] = []
        self._pixels = PixelBound(config.video_pixels, self._fail)
        self._offered: list[tuple[Section, rw.Transceiver, _Output | None]] = []
        self._watch = PacerWatch(self._ask_stats, self._video_outputs)

    # --- server side ---

    async def accept(self, offer: str, uses: Mapping[str, Use]) -> Negotiated:
        whole = parse_description(offer, "the offer")
        description = sdp.answerable_sections(whole)
        sections = [section for section in description.media if section.kind in _KINDS]
        plan = {section.mid: self._possible(section, uses.get(section.mid, Use.INACTIVE)) for section in sections}
        self._refuse_twice()
        outputs = {s.mid: self._make_output(s.kind) for s in sections if plan[s.mid] is Use.SEND}
        transport = self._connect()
        answerable = sdp.answerable(description, self._kept_codecs(sections, plan))
        tracks = await transport.apply("offer", answerable, description)
        found = await transport.whole(transport.native.transceivers())
        transceivers = {transceiver.mid(): self._held.keep(transceiver) for transceiver in found}
        settings: list[Awaitable[None]] = []
        for section in sections:
            transceiver, output = transceivers[section.mid], outputs.get(section.mid)
            if output is not None:
                settings.append(transceiver.set_track(output.track))
                self._bind_output(section, output)
            settings.append(transceiver.set_direction(_DIRECTIONS[plan[section.mid]]))
        # Each call hands over to libwebrtc's threads and back: what need not wait for one another goes together.
        estimate = self._set_estimate(transport, all(sdp.has_transport_cc(s) for s in sections if s.kind == "video"))
        await transport.whole(asyncio.gather(estimate, *settings))
        self._bind_tracks(tracks, [s for s in sections if s.sends], {m for m in plan if plan[m] is Use.RECEIVE})
        answer = await transport.describe("answer")
        videos = [mid for mid, output in outputs.items() if isinstance(output, LibwebrtcVideoOutput)]
        bounds = asyncio.gather(*(transceivers[mid].set_send_bitrate(max_bps=self._config.max_bps) for mid in videos))
        try:
            candidates, _ = await asyncio.gather(transport.gathered(), transport.whole(bounds))
        except RuntimeError as error:  # such as a sender without encodings, where two sections name one codec's number
            raise PeerError(f"the offer cannot be answered: {error}; send what createOffer made") from error
        self._report()
        text = sdp.with_candidates(answer, candidates, whole)
        return _accepted(announced(text, self._config.public_addresses), outputs)

    def _kept_codecs(self, sections: Sequence[MediaSection], plan: Mapping[str, Use]) -> dict[str, Sequence[str]]:
        """Return the codecs that each video section may choose: our one to send, those that we decode to receive."""
        kept: dict[str, Sequence[str]] = {}
        for section in sections:
            codec = sdp.chosen_codec(section, self._config.video_codecs)
            if plan[section.mid] is Use.SEND and section.kind == "video" and codec is not None:
                kept[section.mid] = (codec.value,)
            elif plan[section.mid] is Use.RECEIVE and section.kind == "video":
                kept[section.mid] = sdp.DECODABLE
        return kept

    def _possible(self, section: MediaSection, wanted: Use) -> Use:
        """Return the wanted use of a section where it is possible, else `INACTIVE`."""
        match wanted:
            case Use.SEND:
                codec = sdp.chosen_codec(section, self._config.video_codecs)
                possible = section.receives and (section.kind == "audio" or codec is not None)
            case Use.RECEIVE:
                decodable = any(codec in sdp.DECODABLE for codec in section.codec_names)
                possible = section.sends and (section.kind == "audio" or decodable)
            case Use.INACTIVE:
                possible = False
        return wanted if possible else Use.INACTIVE

    # --- client side ---

    async def offer(self, sections: Sequence[Section], channels: Sequence[str]) -> str:
        self._refuse_twice()
        outputs = [self._make_output(section.kind) if section.use is Use.SEND else None for section in sections]
        transport = self._connect()
        settings: list[Awaitable[None]] = []
        for section, output in zip(sections, outputs, strict=True):
            transceiver = transport.native.add_transceiver(_KINDS[section.kind], _DIRECTIONS[section.use])
            self._held.keep(transceiver)
            if output is not None:
                settings.append(transceiver.set_track(output.track))
            if section.kind == "video" and (
                section.use is Use.RECEIVE or self._config.video_codecs[0] is VideoCodec.VP8
            ):
                settings.append(transceiver.set_codec_preferences(_DECODED))  # no H.264: we cannot decode it
            self._offered.append((section, transceiver, output))
        await transport.whole(asyncio.gather(*settings))
        for label in channels:
            transport.open_channel(label)
        description = await transport.describe("offer")
        transport.trickle()
        return description

    async def take_answer(self, answer: str) -> Negotiated:
        transport = self._transport
        if transport is None:
            raise EngineError("an answer without an offer; call offer() first")
        description = parse_description(answer, "the answer")
        tracks = await transport.apply("answer", answer, description)
        sections = {section.mid: section for section in description.media}
        outputs: dict[str, _Output] = {}
        settings: list[Awaitable[None]] = []
        for _, transceiver, output in self._offered:
            section = sections.get(transceiver.mid() or "")
            if section is None or output is None or not section.receives:
                continue
            self._bind_output(section, output)
            outputs[section.mid] = output
            if isinstance(output, LibwebrtcVideoOutput):
                settings.append(transceiver.set_send_bitrate(max_bps=self._config.max_bps))
        await transport.whole(asyncio.gather(self._set_estimate(transport, transport_cc=True), *settings))
        wanted = {transceiver.mid() or "" for section, transceiver, _ in self._offered if section.use is Use.RECEIVE}
        self._bind_tracks(tracks, [section for section in sections.values() if section.sends], wanted)
        self._report()
        return _accepted("", outputs)

    # --- both ---

    async def add_candidate(self, candidate: Candidate) -> None:
        if self._transport is None or not candidate.line:
            return
        native = rw.IceCandidate(candidate.line.removeprefix("a="), candidate.mid, candidate.line_index)
        try:
            await self._transport.whole(self._transport.native.add_ice_candidate(native))
        except RuntimeError:  # not one it can use: another transport, a name it cannot resolve, an unknown section
            return

    async def stats(self) -> PeerStats:
        asked = self._ask_stats()
        return PeerStats() if asked is None else read_stats(await asked)

    def _ask_stats(self) -> Awaitable[rw.StatsReport] | None:
        return None if self._transport is None else self._transport.whole(self._transport.native.get_stats())

    async def set_bitrate(self, *, min_bps: int | None = None, max_bps: int | None = None) -> None:
        if self._transport is not None:
            limits = {"min_bps": min_bps, "max_bps": max_bps or self._config.max_bps}
            await self._transport.whole(self._transport.native.set_bitrate(**limits))

    async def aclose(self) -> None:
        if not self._is_closed:
            self._end()
            # The waiting task may be cancelled; the collector closes a connection on any thread, at any time.
            self._closing = asyncio.ensure_future(self._close())
        if self._closing is not None:
            await asyncio.shield(self._closing)

    def close_now(self) -> None:
        """Close without a loop: blocks for some milliseconds, or until another thread has closed it."""
        if not self._is_closed:
            self._end()
        if self._ended is not None:
            self._ended.close_now()
        self._closed(self)

    async def _close(self) -> None:
        try:
            if self._ended is not None:
                await self._ended.settled()
        finally:
            try:
                closing = asyncio.get_running_loop().run_in_executor(None, self.close_now)
            except RuntimeError:  # the interpreter ends: executors take no work any more
                self.close_now()
            else:
                await asyncio.shield(closing)

    def _end(self) -> None:
        self._is_closed = True
        self._offered = []
        for source in self._inputs:
            source.close()
        for output in self._outputs:
            output.close()
        self._inputs, self._outputs = [], []
        self._ended, self._transport = self._transport, None
        if self._ended is not None:
            self._ended.let_go()
        self._watch.end()

    # --- making and binding ---

    def _refuse_twice(self) -> None:
        if self._is_closed or self._transport is not None:
            raise EngineError("this peer is closed or already has a description; create another one")

    def _connect(self) -> Transport:
        self._transport = Transport(
            self._factory, self._relays, self._held, self._config, self._events, self._set_ready
        )
        return self._transport

    def _make_output(self, kind: str) -> _Output:
        """An output and its track: before the peer connection, which offers no H.264 without a custom track."""
        if kind == "video":
            output = LibwebrtcVideoOutput(self._encoder_tracks, self._repeater, self._post, self._suspect)
        else:
            track = self._factory.create_audio_track_with_local_source("audio")
            output = LibwebrtcAudioOutput(self._held.keep(track))
        self._outputs.append(output)
        return output

    def _bind_output(self, section: MediaSection, output: _Output) -> None:
        output.mid = section.mid
        if isinstance(output, LibwebrtcVideoOutput):
            output.codec = sdp.chosen_codec(section, self._config.video_codecs)

    def _bind_tracks(self, tracks: Sequence[rw.Track], senders: Sequence[MediaSection], wanted: set[str]) -> None:
        """Tie remote tracks to mids: libwebrtc reports them without one, in the order of their sections."""
        for track, section in zip(tracks, senders, strict=False):
            kind: Kind = "video" if section.kind == "video" else "audio"
            if section.mid in wanted:
                self._inputs.append(LibwebrtcInput(section.mid, kind, track, self._pixels))

    def _report(self) -> None:
        """Say what was negotiated: on the loop, so after the description is in the caller's hands."""
        self._is_bound = True
        for source in self._inputs:
            self._post(TrackAdded(source.mid, source))
        for output in self._outputs:
            if isinstance(output, LibwebrtcVideoOutput) and output.codec is not None:
                self._post(CodecNegotiated(output.mid, output.codec))
        self._set_ready(self._is_ready)

    async def _set_estimate(self, transport: Transport, transport_cc: bool) -> None:
        """Set where the estimate starts, after the other side's description, which sets it to 2 Mbit/s (measured)."""
        config = self._config
        # Without transport-cc libwebrtc's estimate starts at 300 kbit/s and climbs for half a minute.
        floor = config.min_bps if config.min_bps is not None or transport_cc else config.start_bps
        start = transport.native.set_bitrate(min_bps=floor, start_bps=config.start_bps, max_bps=config.max_bps)
        await transport.whole(start)

    def _suspect(self) -> None:
        """Some output may have handed over more than the network takes; from any thread."""
        if self._transport is not None:
            self._transport.call(self._watch.begin)

    def _video_outputs(self) -> Mapping[str, LibwebrtcVideoOutput]:
        return {output.mid: output for output in self._outputs if isinstance(output, LibwebrtcVideoOutput)}

    def _fail(self, reason: str) -> None:
        """End this Peer for what the other side did; from any thread."""
        if self._transport is not None:
            self._transport.fail(reason)

    def _post(self, event: PeerEvent) -> None:
        if self._transport is not None:
            self._transport.post(event)

    def _set_ready(self, ready: bool) -> None:
        """Media may be sent, or no longer; it starts once the sections are bound, too."""
        self._is_ready = ready
        for output in self._outputs:
            if ready and self._is_bound and output.mid:
                output.start()
            else:
                output.stop()


def _accepted(answer: str, outputs: Mapping[str, _Output]) -> Negotiated:
    video = {mid: output for mid, output in outputs.items() if isinstance(output, LibwebrtcVideoOutput)}
    audio = {mid: output for mid, output in outputs.items() if isinstance(output, LibwebrtcAudioOutput)}
    return Negotiated(answer, video, audio)


class LibwebrtcInput:
    """Fits the Protocol `ReceivedTrack` in port.py."""

    def __init__(self, mid: str, kind: Kind, track: rw.Track, pixels: PixelBound) -> None:
        self.mid, self._pixels = mid, pixels
        self.kind: Kind = kind
        self._track: rw.Track | None = track  # None once it is closed
        self._frames: Callable[[Frame], None] | None = None
        self._sounds: Callable[[Sound], None] | None = None
        self._count = 0
        self._is_registered = False

    def on_frame(self, callback: Callable[[Frame], None] | None) -> None:
        self._frames = callback
        if callback is not None and self.kind == "video" and self._track is not None and not self._is_registered:
            self._is_registered = True  # a callback of libwebrtc cannot be taken back: it stays and may be idle
            self._track.on_video_frame(self._on_video)

    def on_sound(self, callback: Callable[[Sound], None] | None) -> None:
        self._sounds = callback
        if callback is not None and self.kind == "audio" and self._track is not None and not self._is_registered:
            self._is_registered = True
            self._track.on_audio_frame(self._on_audio)

    def close(self) -> None:
        self._frames = self._sounds = None
        track, self._track = self._track, None
        if track is None or not self._is_registered:
            return
        if self.kind == "video":
            track.on_video_frame(_nothing)
        else:
            track.on_audio_frame(_nothing)

    def _on_video(self, bgra: bytes, width: int, height: int, metadata: rw.FrameMetadata | None) -> None:
        callback = self._frames
        if callback is None or not self._pixels.takes(width, height):  # decoded already, by libwebrtc
            return
        self._count += 1
        picture = np.frombuffer(bgra, np.uint8).reshape(height, width, 4)
        pixels = cast("Pixels", cv2.cvtColor(picture, cv2.COLOR_BGRA2RGB))  # 0.2 ms at 360p, and without the GIL
        if metadata is None:
            callback(Frame(pixels, number=self._count))
        else:
            callback(Frame(pixels, metadata.user_data, metadata.capture_time_us or None, self._count))

    def _on_audio(self, pcm: bytes, sample_rate: int, channels: int, frames: int) -> None:
        callback = self._sounds
        if callback is not None:
            samples = np.frombuffer(pcm, "<i2").reshape(frames, channels).astype(np.int16)
            callback(Sound(samples, sample_rate))


def _nothing(*_: object) -> None:
    """Do nothing: libwebrtc's callback once the input is closed."""
