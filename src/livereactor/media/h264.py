"""x264 through PyAV, set for the least delay: Constrained Baseline, Annex B (ITU-T H.264; RFC 6184).

All encoders of one size, level and `sets` make the same parameter sets, whatever their rate: pictures of a viewers'
stream, of a recording's own encoder and of a clip's head stand in one track under one description.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

import av
from av.video.codeccontext import VideoCodecContext

from livereactor.media.presets import Preset
from livereactor.media.rate import TICKS

# ITU-T H.273: BT.601, 525 lines; what OpenCV's conversion gives, and decoders would guess otherwise
SMPTE170M: Final = 6
LIMITED_RANGE: Final = 1
# ITU-T H.264, table A-1: level_idc, and the macroblocks a second and a picture that it allows. 3.1 is what WebRTC
# offers (RFC 7742, 6.2), and its least here, so that a small picture's level does not hang on its rate.
LEVELS: Final = (
    (31, 108_000, 3_600),
    (32, 216_000, 5_120),
    (40, 245_760, 8_192),
    (42, 522_240, 8_704),
    (51, 983_040, 36_864),
)
HIGHEST: Final = 52


def level_for(width: int, height: int, fps: float) -> int:
    """The `level_idc` of pictures of this size that come this often."""
    blocks = -(-width // 16) * -(-height // 16)
    fitting = (level for level, a_second, a_picture in LEVELS if blocks * fps <= a_second and blocks <= a_picture)
    return next(fitting, HIGHEST)


def open_h264(width: int, height: int, fps: float, bps: int) -> VideoCodecContext:
    """An x264 encoder without look-ahead: one Frame in, one access unit out. `width` and `height` even."""
    options = {
        # As FFmpeg options, not x264-params, and the maximum equal to the mean: only so a later change of `bit_rate`
        # reaches the encoder, and never above what it was opened with.
        "maxrate": str(bps),
        "bufsize": str(bps * 2 // 5),  # 0.4 s: a first key frame of 35 dB on noise at 360p
        "qmin": "14",  # as in vp8.py
    }
    rate = Fraction(fps).limit_denominator(1001)
    return _opened(width, height, rate, level_for(width, height, fps), options=options, bps=bps)


def open_stitchable(
    width: int,
    height: int,
    *,
    crf: int,
    level: int,
    max_bps: int | None = None,
    sets: int = 0,
    preset: Preset = "ultrafast",
) -> VideoCodecContext:
    """An x264 encoder of even quality, whose pictures may stand next to those of `open_h264` in one track.

    Args:
        width, height: even.
        crf: quality, 0 (none lost) to 51.
        level: `level_idc` of the pictures next to them.
        max_bps: bits a second that no second or two exceed; None = whatever the quality takes.
        sets: id of its parameter sets, 0 to 31; `open_h264` has 0.
        preset: how much time is spent for fewer bytes.
    """
    options = {"crf": str(crf)}
    if max_bps is not None:
        options |= {"maxrate": str(max_bps), "bufsize": str(max_bps)}
    return _opened(width, height, Fraction(30), level, options={"preset": preset, **options}, sets=sets)


def _opened(
    width: int,
    height: int,
    rate: Fraction,
    level: int,
    *,
    options: Mapping[str, str],
    bps: int | None = None,
    sets: int = 0,
) -> VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, TICKS), rate
    context.colorspace = context.color_primaries = context.color_trc = SMPTE170M
    context.color_range = LIMITED_RANGE
    context.thread_count = 1
    if bps is not None:
        context.bit_rate = bps
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "forced-idr": "1",
        "g": "100000",
        # Headers with every key frame, for viewers that join. `stitchable` keeps what depends on the rate out of
        # them, and the level is said for the same reason; neither is seen in size, picture or CPU (measured).
        "x264-params": f"scenecut=0:repeat-headers=1:stitchable=1:level={level}:sps-id={sets}",
        **options,
    }
    context.open()
    return context
