"""Received media of aiortc: packets become whole frames on the loop, and are decoded on a thread per track.

aiortc's receiver keeps its RTCP (reports, NACK, PLI); its jitter buffer is replaced by ours and its decoder is left
idle, because it decodes whether anybody looks or not, and stops for good at the first RTCP BYE.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import av
import av.error
import cv2
from aiortc import RTCRtpReceiver
from aiortc.rtcrtpreceiver import NackGenerator

from livereactor.base.exit_gate import EXIT_GATE
from livereactor.engine.aiortc.frame_tags import FrameTag, split_tag
from livereactor.engine.port import Kind
from livereactor.media.frames import Frame, PixelBound, Pixels, Sound, VideoCodec

# RTP packets put together again, for the least delay. Pure: `now` is passed in.
# aiortc's own buffer gives a frame out when the next one begins (one interval late) and waits for 512 packets at a
# loss. Here a Frame is out with its marker bit (RFC 7741, section 4.1; RFC 6184, section 5.1). A loss may be repaired
# by a retransmission for a few Frames and a few round trips; then all is dropped up to the next key Frame.

PATIENCE_FRAMES: Final = 4  # Frames that end behind a gap before it may be given up: 130 ms at 30 fps
PATIENCE_SECONDS: Final = 0.2  # and for at least so long: after a stall many Frames come at once, repairs do not
PATIENCE_PACKETS: Final = 3  # of sound, 20 ms each, behind a gap
MAX_PACKETS: Final = 2048  # kept behind a gap: a key Frame of 2 MB
ASK_EVERY: Final = 10  # Frames dropped between two wishes for a key Frame


@dataclass(frozen=True, slots=True)
class InputPacket:
    """One packet: `data` is its payload without the codec's RTP header."""

    timestamp: int
    marker: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Whole:
    """One encoded Frame or block of sound."""

    timestamp: int
    data: bytes


class Sequence:
    """Packets in their order; 16-bit sequence numbers made endless."""

    def __init__(self) -> None:
        self._pieces: dict[int, InputPacket] = {}
        self._next: int | None = None  # number of the packet to give out next
        self.markers = 0  # packets kept that end a Frame

    def put(self, number: int, piece: InputPacket) -> None:
        """Keep a packet; one that was given out or given up already is dropped."""
        if self._next is None:
            self._next = number
        # The nearest number to the expected one that has these 16 bits (RFC 3550, section A.1).
        place = self._next + ((number - self._next + 0x8000) & 0xFFFF) - 0x8000
        if place >= self._next and place not in self._pieces and len(self._pieces) < MAX_PACKETS:
            self._pieces[place] = piece
            self.markers += piece.marker

    def run(self) -> list[InputPacket]:
        """Take the packets that lie in order from the next one on."""
        assert self._next is not None
        found: list[InputPacket] = []
        while (piece := self._pieces.get(self._next + len(found))) is not None:
            found.append(piece)
        return found

    def behind(self) -> list[tuple[int, InputPacket]]:
        """Place and packet of all that is kept, in order."""
        return sorted(self._pieces.items())

    def drop_to(self, place: int) -> None:
        """Go on at `place`."""
        self._next = place
        self._pieces = {kept: piece for kept, piece in self._pieces.items() if kept >= place}
        self.markers = sum(piece.marker for piece in self._pieces.values())

    def drop(self, count: int) -> None:
        """Go on after the next `count` packets."""
        assert self._next is not None
        self.drop_to(self._next + count)

    def is_full(self) -> bool:
        """Whether the buffer holds as many packets as it may, `MAX_PACKETS`."""
        return len(self._pieces) >= MAX_PACKETS


class VideoAssembly:
    """Frames of one video section.

    Args:
        is_key: whether a whole Frame can be decoded without any other.
    """

    def __init__(self, is_key: Callable[[bytes], bool]) -> None:
        self._is_key = is_key
        self._sequence = Sequence()
        self._dropped: int | None = 0  # Frames dropped while waiting for a key Frame; None = not waiting
        self._gap_at: float | None = None  # since when Frames wait behind a gap
        self._wish = False

    def add(self, number: int, piece: InputPacket, now: float) -> list[Whole]:
        """Take a packet; returns the Frames that are complete and can be decoded now."""
        self._sequence.put(number, piece)
        frames = self._complete() if self._sequence.markers else []
        if self._is_hopeless(now):
            behind = self._sequence.behind()
            ends = [place for place, piece in behind if piece.marker]
            self._sequence.drop_to(ends[0] + 1 if ends else behind[-1][0] + 1)
            self.want_key()
            frames += self._complete()
        return frames

    def _is_hopeless(self, now: float) -> bool:
        if not self._sequence.markers:
            self._gap_at = None
        elif self._gap_at is None:
            self._gap_at = now
        waited = self._gap_at is not None and now - self._gap_at >= PATIENCE_SECONDS
        return (waited and self._sequence.markers >= PATIENCE_FRAMES) or self._sequence.is_full()

    def restart(self) -> None:
        """A decoder begins: it needs a key Frame, which may be the next that comes anyway."""
        self._dropped, self._wish = 0, False

    def want_key(self) -> None:
        """The decoder cannot go on."""
        self._dropped, self._wish = 0, True

    def take_key_request(self) -> bool:
        """Whether the sender is to be asked for a key Frame now."""
        wish, self._wish = self._wish, False
        return wish

    def _complete(self) -> list[Whole]:
        frames: list[Whole] = []
        pieces: list[InputPacket] = []
        for piece in self._sequence.run():
            pieces.append(piece)
            if piece.marker:
                self._sequence.drop(len(pieces))
                frames += self._usable(pieces)
                pieces = []
        return frames

    def _usable(self, pieces: list[InputPacket]) -> list[Whole]:
        whole = Whole(pieces[-1].timestamp, b"".join(piece.data for piece in pieces))
        if not whole.data:  # padding
            return []
        if self._dropped is not None and not self._is_key(whole.data):
            self._wish = self._wish or self._dropped % ASK_EVERY == 0
            self._dropped += 1
            return []
        self._dropped, self._wish = None, False
        return [whole]


class SoundAssembly:
    """Blocks of one audio section: one packet each."""

    def __init__(self) -> None:
        self._sequence = Sequence()

    def add(self, number: int, piece: InputPacket) -> list[Whole]:
        """Take a packet; returns the blocks that are in order now."""
        self._sequence.put(number, piece)
        behind = self._sequence.behind()
        run = self._sequence.run()
        if not run and len(behind) >= PATIENCE_PACKETS:
            self._sequence.drop_to(behind[0][0])
            run = self._sequence.run()
        self._sequence.drop(len(run))
        return [Whole(piece.timestamp, piece.data) for piece in run if piece.data]


def is_vp8_key(data: bytes) -> bool:
    """A key Frame has its start code behind the frame tag (RFC 6386, section 9.1)."""
    return len(data) >= 10 and not data[0] & 1 and data[3:6] == b"\x9d\x01\x2a"


def vp8_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a VP8 key Frame has in its header, without their scaling; None for another Frame."""
    if not is_vp8_key(data):
        return None
    return (data[6] | data[7] << 8) & 0x3FFF, (data[8] | data[9] << 8) & 0x3FFF


def is_h264_key(data: bytes) -> bool:
    """An IDR slice is in it (ITU-T H.264, table 7-1); Annex B."""
    at = data.find(b"\x00\x00\x01")
    while at >= 0 and at + 3 < len(data):
        if data[at + 3] & 0x1F == 5:
            return True
        at = data.find(b"\x00\x00\x01", at + 3)
    return False


MAX_WAITING: Final = 8  # Frames waiting for the decoder; one that lags starts again at a key frame
MAX_NACKS: Final = 5  # for one packet: about as long as its Frame is waited for
_DECODERS: Final = {VideoCodec.VP8: "libvpx", VideoCodec.H264: "h264"}
_KEYS: Final = {VideoCodec.VP8: is_vp8_key, VideoCodec.H264: is_h264_key}


class RepeatedNacks(NackGenerator):
    """aiortc's list of lost packets, asked for again with every Frame that ends: it asks once, and a retransmission
    that is lost too would cost a key frame."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[int, int] = {}

    def add(self, packet: Any) -> bool:
        """Note a packet; says whether to ask for what is missing."""
        new = super().add(packet)
        if not (new or (packet.marker and self.missing)):
            return False
        self._asked = {number: self._asked.get(number, 0) + 1 for number in self.missing}
        self.missing = {number for number in self.missing if self._asked[number] <= MAX_NACKS}
        return bool(self.missing)


class AiortcInput:
    """Fits the Protocol `ReceivedTrack` in port.py.

    Args:
        mid, kind: of the section.
        pixels: of the peer.
        codec: of a video section.
    """

    def __init__(self, mid: str, kind: Kind, pixels: PixelBound, codec: VideoCodec = VideoCodec.VP8) -> None:
        self.mid, self._pixels, self._codec = mid, pixels, codec
        self.kind: Kind = kind
        self._frames: Callable[[Frame], None] | None = None
        self._sounds: Callable[[Sound], None] | None = None
        self._video, self._sound = VideoAssembly(_KEYS[codec]), SoundAssembly()
        self._waiting: queue.Queue[Whole | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._broken = threading.Event()  # the decoder cannot go on; the loop asks for a key frame
        self._count = 0
        self.bytes_received = 0

    def on_frame(self, callback: Callable[[Frame], None] | None) -> None:
        """Deliver decoded Frames on this track's thread; decoding starts here, at the next key frame."""
        self._frames = callback
        self._start(callback is not None and self.kind == "video")

    def on_sound(self, callback: Callable[[Sound], None] | None) -> None:
        """Deliver decoded Sound on this track's thread."""
        self._sounds = callback
        self._start(callback is not None and self.kind == "audio")

    def attach(self, receiver: RTCRtpReceiver) -> None:
        """Take the packets of this receiver."""
        native: Any = receiver
        native._RTCRtpReceiver__jitter_buffer = self
        if self.kind == "video":
            native._RTCRtpReceiver__nack_generator = RepeatedNacks()

    def close(self) -> None:
        """Stop; nothing is delivered any more."""
        self._frames = self._sounds = None
        if self._thread is not None:
            self._put(None)
            self._thread = None

    # --- from aiortc's receiver, on the loop ---

    def add(self, packet: Any) -> tuple[bool, None]:
        """Take a packet, in place of aiortc's jitter buffer; says whether a picture loss is to be reported."""
        self.bytes_received += len(packet.payload)
        if self._thread is None:
            return False, None
        piece = InputPacket(packet.timestamp, bool(packet.marker), packet._data)
        if self.kind == "audio":
            wholes = self._sound.add(packet.sequence_number, piece)
        else:
            if self._broken.is_set():
                self._broken.clear()
                self._video.want_key()
            wholes = self._video.add(packet.sequence_number, piece, time.monotonic())
        for whole in wholes:
            self._put(whole)
        return self.kind == "video" and self._video.take_key_request(), None

    def _put(self, whole: Whole | None) -> None:
        try:
            self._waiting.put_nowait(whole)
        except queue.Full:
            with self._waiting.mutex:
                self._waiting.queue.clear()
            self._waiting.put_nowait(whole)
            self._video.want_key()

    # --- the thread ---

    def _start(self, wanted: bool) -> None:
        if wanted and self._thread is None:
            self._video.restart()
            self._thread = threading.Thread(target=self._run, name=f"livereactor-{self.kind}-{self.mid}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        name = "libopus" if self.kind == "audio" else _DECODERS[self._codec]
        decoder = cast("Any", av.CodecContext.create(name, "r"))
        if self.kind == "audio":
            decoder.format, decoder.layout, decoder.sample_rate = "s16", "stereo", 48_000
        decode = self._decode_sound if self.kind == "audio" else self._decode_video
        while (whole := self._waiting.get()) is not None:
            try:
                with EXIT_GATE:
                    decode(decoder, whole)
            except av.error.FFmpegError:
                self._broken.set()

    def _decode_video(self, decoder: Any, whole: Whole) -> None:
        """Decode a Frame and deliver it. VP8 is measured before it is decoded; H.264 after, before it becomes RGB."""
        data, tag = split_tag(whole.data)
        if self._codec is VideoCodec.VP8 and (size := vp8_size(data)) is not None and not self._pixels.takes(*size):
            return
        for picture in decoder.decode(av.Packet(data)):
            callback = self._frames
            if callback is None or not self._pixels.takes(picture.width, picture.height):
                return
            self._count += 1
            tag = tag or FrameTag()
            callback(Frame(_rgb(picture), tag.user_data, tag.captured_us or None, self._count))

    def _decode_sound(self, decoder: Any, whole: Whole) -> None:
        for block in decoder.decode(av.Packet(whole.data)):
            callback = self._sounds
            if callback is not None:
                samples = block.to_ndarray().reshape(-1, len(block.layout.channels))
                callback(Sound(samples, block.sample_rate))


def _rgb(picture: av.VideoFrame) -> Pixels:
    """uint8, shape (height, width, 3); a fresh array."""
    if picture.format.name == "yuv420p" and not (picture.width % 2 or picture.height % 2):
        # 0.2 ms at 360p against 1.2 ms of FFmpeg's, and without the GIL.
        return cast("Pixels", cv2.cvtColor(cast("Pixels", picture.to_ndarray()), cv2.COLOR_YUV2RGB_I420))
    return cast("Pixels", picture.to_ndarray(format="rgb24"))
