"""A fragmented MP4 written again as an ordinary one: nothing is decoded, nothing is lost.

One that `boxes.py` wrote is read by its index, an hour in two seconds and 20 MB; any other one sample by sample with
PyAV, whose muxer keeps 50 MB for an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error

from livereactor.base.errors import UsageError
from livereactor.media.clip import NothingRecordedError
from livereactor.media.fragments import DamagedError
from livereactor.media.recovery import WINDOW, index_of
from livereactor.media.whole import whole_film, write


class FlattenError(UsageError):
    """The file is not a film, or is one that an MP4 cannot hold."""

    code = "DOWNLOAD_UNSUPPORTED"


def flatten(source: Path, target: Path, *, stopped: Callable[[], bool] = lambda: False) -> bool:
    """Write `source` to `target`: from time 0, `moov` first, picture and sound as far apart as they were.

    Args:
        source: a fragmented MP4, its times from anywhere on.
        target: is overwritten.
        stopped: asked at every sample; True ends the work, and what is at `target` is no film.

    Returns:
        whether it was done, and not stopped.

    Raises:
        FlattenError: `source` cannot be read, or has what cannot be in an MP4.
    """
    try:
        return _written(source, target, stopped)
    except (DamagedError, NothingRecordedError):
        pass  # of another make: PyAV may know it, or say what is wrong
    try:
        with (
            av.open(str(source)) as fragmented,
            av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as flat,
        ):
            return _copy(fragmented, flat, stopped)
    except (av.error.FFmpegError, ValueError) as error:
        raise FlattenError(f"the film cannot be written as an MP4 ({type(error).__name__}); download it raw") from error


def _written(source: Path, target: Path, stopped: Callable[[], bool]) -> bool:
    with source.open("rb") as parts, target.open("wb") as flat:

        def read(window: int, offset: int, size_bytes: int) -> bytes:
            parts.seek(window * WINDOW + offset)
            return parts.read(size_bytes)

        found = index_of(parts)
        return write(whole_film(found.excerpt(0, found.end, read)), flat, read, stopped=stopped)


def _copy(fragmented: Any, flat: Any, stopped: Callable[[], bool]) -> bool:
    taken = [stream for stream in fragmented.streams if stream.type in ("video", "audio")]
    if not any(stream.type == "video" for stream in taken):
        raise FlattenError("the film has no picture; download it raw")
    start = min((stream.start_time * stream.time_base for stream in taken if stream.start_time is not None), default=0)
    copies = {stream.index: flat.add_stream_from_template(stream) for stream in taken}
    begun: set[int] = set()
    for packet in fragmented.demux(taken):
        if stopped():
            return False
        if packet.dts is None:  # the empty packet at the end
            continue
        stream = packet.stream
        shift = round(cast("Fraction", start) / stream.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        if stream.type == "video" and stream.index not in begun and packet.pts == packet.dts:
            # The first picture is stretched back over the sound that begins before it: no edit list, which some
            # players and the official client's muxer drop (measured: sound 231 ms off).
            packet.pts = packet.dts = 0
        begun.add(stream.index)
        packet.stream = copies[stream.index]
        flat.mux(packet)
    if not begun:
        raise FlattenError("the film has no sample; download it raw")
    return True
