"""x264 through PyAV, set for the least delay: Constrained Baseline, Annex B (ITU-T H.264; RFC 6184)."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av
from av.video.codeccontext import VideoCodecContext

from livereactor.media.timebase import TICKS

SMPTE170M: Final = (
    6  # ITU-T H.273: BT.601, 525 lines; what OpenCV's conversion gives, and decoders would guess otherwise
)
LIMITED_RANGE: Final = 1
LEVEL: Final = 42  # 4.2: up to 1920x1080 at 60 fps (ITU-T H.264, table A-1)


def open_h264(width: int, height: int, fps: float, bps: int) -> VideoCodecContext:
    """An x264 encoder without look-ahead: one Frame in, one access unit out. `width` and `height` even."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, TICKS), Fraction(fps).limit_denominator(1001)
    context.colorspace = context.color_primaries = context.color_trc = SMPTE170M
    context.color_range = LIMITED_RANGE
    context.bit_rate = bps
    context.thread_count = 1
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "forced-idr": "1",
        # As FFmpeg options, not x264-params, and the maximum equal to the mean: only so a later change of `bit_rate`
        # reaches the encoder, and never above what it was opened with.
        "maxrate": str(bps),
        "bufsize": str(bps * 2 // 5),  # 0.4 s: a first key frame of 35 dB on noise at 360p
        "qmin": "14",  # as in vp8.py
        "g": "100000",
        "x264-params": "scenecut=0:repeat-headers=1",  # headers with every key frame: whoever joins needs them
    }
    context.open()
    return context


def open_stitchable(width: int, height: int, *, crf: int, sets: int = 0) -> VideoCodecContext:
    """An x264 encoder whose pictures can be put before those of another one of ours, in one track.

    Args:
        width, height: even.
        crf: quality, 0 (none lost) to 51.
        sets: id of its parameter sets; 0 makes the very bytes that a recording's encoder of this size makes.
    """
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, TICKS), Fraction(30)
    context.colorspace = context.color_primaries = context.color_trc = SMPTE170M
    context.color_range = LIMITED_RANGE
    context.thread_count = 1
    # `stitchable` keeps what depends on the rate out of the sets, and the level has to be said for the same reason.
    params = f"scenecut=0:repeat-headers=1:stitchable=1:level={LEVEL}:sps-id={sets}"
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "forced-idr": "1",
        "crf": str(crf),
        "g": "100000",
        "x264-params": params,
    }
    context.open()
    return context
