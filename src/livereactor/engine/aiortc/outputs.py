"""What we send through aiortc: tracks whose `recv` gives out bytes that are encoded already, and PCM for its Opus.

`send` runs on any thread and hands over to the loop. aiortc packetizes, encrypts and sends there.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import av
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
from livereactor.engine.aiortc.opus_blocks import OpusBlocks
from livereactor.engine.aiortc.receiver_estimate import Bounds, ReceiverEstimate
from livereactor.engine.key_gate import KeyGate
from livereactor.engine.port import KeyFrameWanted, PeerEvent, RateChanged
from livereactor.media.frames import EncodedFrame, Sound, VideoCodec

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
        """How many were handed over and not given out."""
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
        """What was handed over, once there is something."""
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

    def __init__(self, post: Post, bounds: Bounds) -> None:
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
                self._gate.take_wish()
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
            wish = self._gate.take_wish()
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
