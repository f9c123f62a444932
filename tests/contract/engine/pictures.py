"""Pictures that carry a number, and the smallest VP8 encoder that will do: what these tests send through engines."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from livereactor.base.clock import monotonic_us
from livereactor.media.frames import EncodedFrame, Pixels, VideoCodec

WIDTH, HEIGHT = 320, 180
BITS = 16
_BLOCK = WIDTH // BITS


def picture(number: int, *, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """A grey picture with `number` as sixteen black or white bars over its whole height."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    block = width // BITS
    for bit in range(BITS):
        pixels[:, bit * block : (bit + 1) * block] = 235 if number >> bit & 1 else 20
    return pixels


def number_in(pixels: Pixels) -> int:
    block = pixels.shape[1] // BITS
    middle = pixels[pixels.shape[0] // 2]
    return sum(1 << bit for bit in range(BITS) if middle[bit * block + block // 2].mean() > 128)


class Vp8:
    """Encodes pictures; `number` counts Frames, as EncodedFrame wants."""

    def __init__(self, *, width: int = WIDTH, height: int = HEIGHT, bps: int = 1_000_000) -> None:
        self._width, self._height, self._count = width, height, 0
        context = av.CodecContext.create("libvpx", "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.bit_rate, context.gop_size = Fraction(1, 90_000), bps, 100_000
        context.options = {"deadline": "realtime", "cpu-used": "-10", "lag-in-frames": "0"}
        self._context = context

    def encode(self, number: int, *, key: bool = False, user_data: bytes = b"") -> EncodedFrame:
        """Encode `picture(number)`."""
        return self._encode(picture(number, width=self._width, height=self._height), key, user_data)

    def encode_colour(self, rgb: tuple[int, int, int]) -> EncodedFrame:
        """Encode a key frame of one colour."""
        return self._encode(np.full((self._height, self._width, 3), rgb, np.uint8), True, b"")

    def _encode(self, pixels: Pixels, key: bool, user_data: bytes) -> EncodedFrame:
        shown = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
        shown.pts = self._count * 3000
        shown.pict_type = PictureType.I if key else PictureType.NONE
        (packet,) = self._context.encode(shown)
        self._count += 1
        return EncodedFrame(
            VideoCodec.VP8,
            bytes(packet),
            packet.is_keyframe,
            self._count,
            self._width,
            self._height,
            monotonic_us(),
            user_data,
        )
