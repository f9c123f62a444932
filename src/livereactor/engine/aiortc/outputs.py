"""Outgoing media of aiortc: tracks whose `recv` returns bytes that are encoded already, and PCM for Opus.

`send` runs on any thread and hands over to the loop. aiortc packetizes, encrypts and sends there.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, cast

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCRtpSender
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    HeaderExtensions,
    HeaderExtensionsMap,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpSrPacket,
    pack_header_extensions,
    unpack_header_extensions,
    unpack_remb_fci,
)

from livereactor.base.clock import monotonic_us
from livereactor.engine.aiortc.frame_tags import FrameTag, append_tag
from livereactor.engine.key_gate import KeyGate
from livereactor.engine.port import KeyFrameWanted, PeerEvent, RateChanged
from livereactor.media.frames import EncodedFrame, Samples, Sound, VideoCodec

# What a receiver's own estimate of the path (REMB) says about it. Pure: `now` is passed in.
# Without transport-cc the receiver estimates, and it can only see what it gets: a quiet picture makes it report half
# as much again as that picture needs, which is no limit of the path. Believing it would let the encoder shrink step
# by step.

WINDOW: Final = 1.0  # seconds over which what is sent is averaged
CONGESTED: Final = 1.1  # an estimate below this much of what is sent: the receiver backs off to 0.85, else grows to 1.5
NO_LIMIT_BELOW: Final = 300_000  # bits a second; with less on the way a key Frame alone upsets the average


@dataclass(slots=True)
class BitrateBounds:
    """Bits a second between which estimates are reported; `start_bps` is assumed while nothing is wrong."""

    min_bps: int
    start_bps: int
    max_bps: int


class ReceiverEstimate:
    """The rate one receiver allows."""

    def __init__(self, bounds: BitrateBounds) -> None:
        self._bounds = bounds
        self._bps, self._at = 0.0, 0.0

    def sent(self, size_bytes: int, now: float) -> None:
        """Count bytes that were sent."""
        self._bps = self._sent_bps(now) + size_bytes * 8 / WINDOW
        self._at = now

    def told(self, bps: int, now: float) -> int:
        """Take the receiver's estimate, in bits a second, and return the rate to report."""
        sent = self._sent_bps(now)
        congested = sent > NO_LIMIT_BELOW and bps < CONGESTED * sent
        believed = bps if congested else max(bps, self._bounds.start_bps)
        return max(self._bounds.min_bps, min(believed, self._bounds.max_bps))

    def _sent_bps(self, now: float) -> float:
        return self._bps * math.exp(-(now - self._at) / WINDOW)


# PCM to Opus in packets of 10 ms (RFC 6716), and their RTP time. One per listener; no IO, not for two threads at
# once.
# aiortc's own encoder waits for 20 ms, in a pool of threads, and counts samples where time should be counted: after a
# pause its listener would play late for good.

RATE: Final = 48_000
BLOCK: Final = 480  # samples of 10 ms
MAX_DRIFT: Final = 4800  # samples: sound this far from where the last ended has been paused


class OpusBlocks:
    """An encoder and the samples that did not fill a packet yet."""

    def __init__(self) -> None:
        self._encoder: Any = None
        self._resampler: av.AudioResampler | None = None
        self._channels = 0
        self._rest: Samples = np.empty((0, 1), np.int16)
        self._time = 0  # samples; of the first one in `_rest`

    def encode(self, sound: Sound, captured_us: int) -> list[Any]:
        """The packets (`av.Packet`, timed in samples) that `sound` completes.

        Args:
            sound: any rate, one or two channels.
            captured_us: monotonic microseconds of its first sample.
        """
        if self._encoder is None or sound.samples.shape[1] != self._channels:
            self._open(sound.samples.shape[1])
        samples = self._at_48k(sound)
        now = captured_us * 48 // 1000
        if abs(now - self._time - len(self._rest)) > MAX_DRIFT:
            self._time, self._rest = now, samples
        else:
            self._rest = np.concatenate([self._rest, samples])
        packets: list[Any] = []
        while len(self._rest) >= BLOCK:
            packets += self._encode(self._rest[:BLOCK])
            self._rest = self._rest[BLOCK:]
            self._time += BLOCK
        return packets

    def _open(self, channels: int) -> None:
        encoder = cast("Any", av.CodecContext.create("libopus", "w"))
        encoder.sample_rate, encoder.format = RATE, "s16"
        encoder.layout = "mono" if channels == 1 else "stereo"
        encoder.bit_rate = 64_000 if channels == 1 else 96_000
        encoder.time_base = Fraction(1, RATE)
        encoder.options = {"application": "lowdelay", "frame_duration": "10"}
        self._encoder, self._channels, self._resampler = encoder, channels, None
        self._rest = np.empty((0, channels), np.int16)

    def _at_48k(self, sound: Sound) -> Samples:
        if sound.rate == RATE:
            return sound.samples
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="s16", layout=self._encoder.layout, rate=RATE)
        resampled = [block.to_ndarray() for block in self._resampler.resample(self._block(sound.samples, sound.rate))]
        return (
            cast("Samples", np.concatenate(resampled, axis=1).reshape(-1, self._channels))
            if resampled
            else self._rest[:0]
        )

    def _encode(self, samples: Samples) -> list[Any]:
        packets: list[Any] = self._encoder.encode(self._block(samples, RATE))
        for packet in packets:
            packet.pts, packet.time_base = self._time, Fraction(1, RATE)
        return packets

    def _block(self, samples: Samples, rate: int) -> av.AudioFrame:
        block = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout=self._encoder.layout.name
        )
        block.sample_rate = rate
        return block


MAX_WAITING: Final = 4  # Frames handed over and not sent: a loop that lags loses Frames, it does not queue them
MAX_BLOCKS: Final = 50  # of sound, half a second; the oldest goes
_TICKS: Final = Fraction(1, 90_000)

Post = Callable[[PeerEvent], None]


class HandedTrack(MediaStreamTrack):
    """A track that gives out what was handed over, in order, without any pace of its own. Handed over on any thread."""

    def __init__(self, kind: str, limit: int) -> None:
        super().__init__()
        self.kind = kind
        self._own_loop = asyncio.get_running_loop()
        self._handed: deque[Any] = deque(maxlen=limit)  # past it, the oldest goes
        self._ready = asyncio.Event()

    @property
    def waiting(self) -> int:
        """The number of frames that were handed over and not given out."""
        return len(self._handed)

    def hand(self, item: Any, *, alone: bool = False) -> bool:
        """Give this out next, after what waits already or, if `alone`, instead of it; False when nobody will ask."""
        if alone:
            self._handed.clear()
        self._handed.append(item)
        try:
            self._own_loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:  # the loop is closed: the process is ending
            return False
        return True

    async def recv(self) -> Any:
        """Wait for the next thing that was handed over, and return it."""
        while True:
            try:
                return self._handed.popleft()
            except IndexError:
                self._ready.clear()
            if not self._handed:  # something may have come between the two lines above
                await self._ready.wait()


class PlayoutDelay(HeaderExtensionsMap):
    """aiortc's header extensions and a playout delay of 0..0: the receiver shows a picture as soon as it has it
    (33 ms -> 14 ms from command to the page in Chromium)."""

    def __init__(self, extension_id: int) -> None:
        super().__init__()
        self._id = extension_id

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        profile, value = super().set(values)
        others = unpack_header_extensions(profile, value)
        return pack_header_extensions([*others, (self._id, b"\x00\x00\x00")])


class AiortcVideoOutput:
    """Fits the Protocol `VideoOutput` in port.py."""

    def __init__(self, post: Post, bounds: BitrateBounds) -> None:
        self._post = post
        self._lock = threading.Lock()
        self._gate = KeyGate()
        self._estimate = ReceiverEstimate(bounds)
        self._ready = False
        self.tagged = False  # tags were negotiated
        self.bps: int | None = None  # as the receiver estimates it
        self.loss_ratio: float | None = None
        self.mid = ""
        self.codec: VideoCodec | None = None
        self.track = HandedTrack("video", MAX_WAITING)

    # --- from the peer, on the loop ---

    def bind(self, mid: str, codec: VideoCodec, sender: RTCRtpSender, delay_id: int | None) -> None:
        """Send on this section from now on; `delay_id`: of the playout delay's extension, where it was negotiated."""
        self.mid, self.codec = mid, codec
        native: Any = sender
        sender.replaceTrack(self.track)
        if delay_id is not None:
            native._RTCRtpSender__rtp_header_extensions_map = PlayoutDelay(delay_id)
        handle = native._handle_rtcp_packet

        async def heard(packet: Any) -> None:
            self._feedback(packet, native._ssrc)
            await handle(packet)

        native._handle_rtcp_packet = heard

    def start(self) -> None:
        """The viewer can receive from now on; it needs a key frame."""
        if not self._ready:
            self._ready = True
            with self._lock:
                self._gate.restart()
                self._gate.want_key()
                self._gate.take_key_request()
            self._want_key()

    def stop(self) -> None:
        """The viewer cannot receive now."""
        self._ready = False

    # --- from any thread ---

    def send(self, frame: EncodedFrame) -> bool:
        """Hand one Frame over; False when it was dropped."""
        if not self._ready or frame.codec is not self.codec:
            return False
        with self._lock:
            admitted = self._gate.admit(frame, room=self.track.waiting < MAX_WAITING)
            wish = self._gate.take_key_request()
            handed = admitted and self.track.hand(self._packet(frame), alone=frame.key)
            if handed:
                self._estimate.sent(len(frame.data), time.monotonic())
        if wish:
            self._post(KeyFrameWanted(self.mid))
        return handed

    def _packet(self, frame: EncodedFrame) -> Any:
        data = frame.data
        if self.tagged:
            data = append_tag(data, FrameTag(frame.number, frame.captured_us, frame.user_data))
        packet: Any = av.Packet(data)
        packet.pts, packet.time_base = frame.captured_us * 9 // 100, _TICKS
        return packet

    # --- from the other side, on the loop ---

    def _feedback(self, packet: Any, ssrc: int) -> None:
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
            self._want_key()
        elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            self._rate(packet.fci)
        elif isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == ssrc:
                    self.loss_ratio = report.fraction_lost / 256

    def _want_key(self) -> None:
        if self._ready:
            self._post(KeyFrameWanted(self.mid))

    def _rate(self, fci: bytes) -> None:
        try:
            told, _ = unpack_remb_fci(fci)
        except ValueError:
            return
        with self._lock:
            bps = self._estimate.told(told, time.monotonic())
        if bps != self.bps:
            self.bps = bps
            self._post(RateChanged(self.mid, bps))


class AiortcAudioOutput:
    """Fits the Protocol `AudioOutput` in port.py; encodes on the thread that calls `send`, 0.1 ms a block."""

    def __init__(self) -> None:
        self._ready = False
        self.mid = ""
        self._opus = OpusBlocks()
        self.track = HandedTrack("audio", MAX_BLOCKS)

    def bind(self, mid: str, sender: RTCRtpSender) -> None:
        """Send on this section from now on."""
        self.mid = mid
        sender.replaceTrack(self.track)

    def start(self) -> None:
        """The listener can receive from now on."""
        self._ready = True

    def stop(self) -> None:
        """The listener cannot receive now."""
        self._ready = False

    def send(self, sound: Sound) -> bool:
        """Hand one block over; False when it was dropped."""
        if not self._ready:
            return False
        captured_us = monotonic_us() if sound.captured_us is None else sound.captured_us
        handed = [self.track.hand(packet) for packet in self._opus.encode(sound, captured_us)]
        return all(handed)
