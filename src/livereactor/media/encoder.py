"""One stream of encoded Frames: makes, re-makes and feeds a codec, and counts what it gave.

Not thread-safe: an encoder belongs to the thread of one output track.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final, cast

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from livereactor.media.colour import Planes, to_planes
from livereactor.media.frames import EncodedFrame, Pixels, VideoCodec
from livereactor.media.h264 import open_h264
from livereactor.media.rate import TICKS, advance

# libvpx through PyAV, set for the least delay (RFC 6386; libvpx's realtime mode).

# Two threads save 2.3 of 6 ms at 720p at equal CPU, but they wait for each other spinning: where other work takes one
# of them off its core a Frame took 70 ms (two busy cores). So only where cores are plenty, and never below 720p, where
# the second thread costs more than it gives.
TWO_THREADS_FROM: Final = 1280 * 720
PLENTY_OF_CORES: Final = 4


def open_vp8(width: int, height: int, fps: float, bps: int) -> VideoCodecContext:
    """A libvpx encoder without look-ahead: one Frame in, one packet out. `width` and `height` even."""
    context = av.CodecContext.create("libvpx", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, TICKS), Fraction(fps).limit_denominator(1001)
    context.bit_rate = bps
    spare = (os.cpu_count() or 1) >= PLENTY_OF_CORES and width * height >= TWO_THREADS_FROM
    context.thread_count = 2 if spare else 1
    context.options = {
        "deadline": "realtime",
        "cpu-used": "-10",  # -16 saves 12 % of CPU and loses 4 dB in the Frames after a key frame at 720p
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "noise-sensitivity": "0",
        # Blocks within 46 dB of what they are predicted from are not coded at all. libwebrtc has 100 for screens; 400
        # saves a fifth of the CPU and a third of the bytes on soft pictures, which lose 1 to 3 of their 52 dB; hard
        # ones, at 44 dB or less, stay as they are.
        "static-thresh": "400",
        "minrate": str(bps),
        "maxrate": str(bps),
        "bufsize": str(bps),
        # Half of this is what the first key frame may take: 0.125 s of the rate is sharp (36 dB on noise at 720p, 46 dB
        # on soft pictures) and does not sit in a pacer for long.
        "rc_init_occupancy": str(bps // 4),
        # Below this quantiser a soft picture only costs bits that nobody sees.
        "qmin": "10",
        "qmax": "56",
        "undershoot-pct": "100",
        "overshoot-pct": "15",
        "g": "100000",  # key frames are made when somebody needs one
    }
    context.open()
    return context


Opener = Callable[[int, int, float, int], VideoCodecContext]

OPENERS: Final[Mapping[VideoCodec, Opener]] = {VideoCodec.VP8: open_vp8, VideoCodec.H264: open_h264}


class VideoEncoder:
    """Encodes one rung of one track in one codec.

    The numbers of its Frames count on from 1 without gaps whatever happens inside: a new size, a new fps or a rate the
    codec cannot follow re-makes the codec, and the next Frame is a key frame.
    """

    def __init__(self, codec: VideoCodec, *, fps: float, bps: int) -> None:
        self.codec: Final = codec
        self._fps, self._bps = fps, bps
        self._made_bps = bps
        self._context: VideoCodecContext | None = None
        self._size = (0, 0)
        self._planes: Planes | None = None
        self._number = 0
        self._ticks = 0
        self._last_us = 0

    @property
    def bps(self) -> int:
        """Bits a second it aims at."""
        return self._bps

    def encode(self, pixels: Pixels, *, key: bool, captured_us: int, user_data: bytes = b"") -> EncodedFrame:
        """Convert and encode one picture; VP8 about 2 ms at 640x360 and 6 at 1280x720, H.264 1 and 4.

        Args:
            pixels: uint8, shape (height, width, 3), RGB, both sides at least 2; odd sides are cropped by one pixel.
            key: make it decodable by itself. The first Frame, and the first after a change inside, always is.
            captured_us: monotonic microseconds, later than the last call's.
            user_data: goes into the EncodedFrame unchanged.
        """
        self._planes = to_planes(pixels, self._planes)
        return self.encode_planes(self._planes, key=key, captured_us=captured_us, user_data=user_data)

    def encode_planes(self, planes: Planes, *, key: bool, captured_us: int, user_data: bytes = b"") -> EncodedFrame:
        """Encode a picture that is converted already; its buffer is free again on return. Otherwise like `encode`."""
        context = self._ready_for(planes.width, planes.height)
        frame = frame_of(planes)
        self._ticks += advance(captured_us - self._last_us, self._fps)
        self._last_us = captured_us
        frame.pts, frame.time_base = self._ticks, context.time_base
        if key:
            frame.pict_type = PictureType.I
        data, is_key = _drain(context, frame)
        self._number += 1
        return EncodedFrame(
            codec=self.codec,
            data=data,
            key=is_key,
            number=self._number,
            width=planes.width,
            height=planes.height,
            captured_us=captured_us,
            user_data=user_data,
        )

    def set_bitrate(self, bps: int) -> None:
        """Aim at `bps` from the next Frame on; where that needs a new codec, that Frame is a key frame."""
        if bps == self._bps:
            return
        self._bps = bps
        if self._context is not None and self._follows(bps):
            self._context.bit_rate = bps
        else:
            self._context = None

    def set_fps(self, fps: float) -> None:
        """Frames a second to expect; a change makes the next Frame a key frame."""
        if fps != self._fps:
            self._fps = fps
            self._context = None

    def close(self) -> None:
        """Free the codec; may be called twice. Encoding again would make a new one."""
        self._context = None

    def _follows(self, bps: int) -> bool:
        # libvpx, as FFmpeg wraps it, ignores a new bit_rate. x264 takes it up to what it was opened with; far
        # below, its buffer would still let single Frames burst, so it is made anew.
        return self.codec is VideoCodec.H264 and self._made_bps / 2 <= bps <= self._made_bps

    def _ready_for(self, width: int, height: int) -> VideoCodecContext:
        if self._context is None or self._size != (width, height):
            self._context = OPENERS[self.codec](width, height, self._fps, self._bps)
            self._size, self._made_bps = (width, height), self._bps
        return self._context


def make_encoder(codec: VideoCodec, *, width: int, height: int, fps: float, bps: int | None = None) -> VideoEncoder:
    """An encoder for a track of this size and fps; `bps` None = `start_bps`. A picture of another size re-makes it."""
    return VideoEncoder(codec, fps=fps, bps=start_bps(width, height, fps) if bps is None else bps)


def frame_of(planes: Planes) -> av.VideoFrame:
    """The Planes as PyAV's frame, without a copy where it can: its view of a buffer rounds heights down to fours."""
    if planes.height % 4 == 0:
        return av.VideoFrame.from_numpy_buffer(planes.buffer, format="yuv420p")
    return av.VideoFrame.from_ndarray(planes.buffer, format="yuv420p")


MIN_BPS: Final = 300_000
MAX_BPS: Final = 10_000_000
BPS_PER_ROOT: Final = 950.0


def start_bps(width: int, height: int, fps: float) -> int:
    """The rate a stream starts with and never exceeds: sharp within its first second.

    It grows with the square root of the pixels a second, since detail does not double with the pixels: 2.5 Mbit/s at
    640x360, 5.0 at 1280x720, 7.5 at 1920x1080 (all at 30 fps; 39 to 41 dB on a panning noisy texture).
    """
    return round(min(max(BPS_PER_ROOT * (width * height * fps) ** 0.5, MIN_BPS), MAX_BPS))


def _drain(context: VideoCodecContext, frame: av.VideoFrame) -> tuple[bytes, bool]:
    """The bytes of one Frame and whether they are a key frame; without look-ahead that is one packet."""
    packets = cast("list[Packet[VideoStream]]", context.encode(frame))  # pyright: ignore[reportUnknownMemberType]
    return b"".join(bytes(packet) for packet in packets), any(packet.is_keyframe for packet in packets)
