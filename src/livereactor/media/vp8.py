"""libvpx through PyAV, set for the least delay (RFC 6386; libvpx's realtime mode)."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Final

import av
from av.video.codeccontext import VideoCodecContext

from livereactor.media.timebase import TICKS

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
