"""The head of a clip: pictures before its first key frame, encoded again so that the film can begin with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain, islice
from typing import Any, Final, cast

import av
from av.error import FFmpegError
from av.video.frame import PictureType

from livereactor.media.avc import AccessUnit, fits, level_of, parse, to_annex_b
from livereactor.media.boxes import VideoTrack
from livereactor.media.fragments import DamagedError
from livereactor.media.h264 import open_stitchable
from livereactor.media.timebase import TICKS

CRF: Final = 17  # finer than the stream, of which it is a copy of a copy
INTERVAL: Final = TICKS // 30  # what the encoder is told lies between pictures; with even quality it matters little
OTHER_SETS: Final = 31  # the last id there is, which an encoder that is not ours uses least


def encoded_again(video: VideoTrack, data: Sequence[bytes], first: int) -> tuple[VideoTrack, list[bytes]]:
    """Make pictures begin with a key frame; one is in memory at a time.

    Args:
        video: what a decoder must know of them.
        data: from a key frame on, each NAL unit behind its length.
        first: the first that is shown.

    Returns:
        The track with what a decoder must know of the new pictures too; the pictures from `first` on.

    Raises:
        DamagedError: they cannot be decoded.
    """
    frames = islice(_decoded(video, data), first, None)
    opening = next(frames)
    encoder = _Encoder(video, opening, sets=0)
    if not fits(encoder.opening, video):  # another make of encoder: both makes' sets in one description, by their ids
        encoder = _Encoder(video, opening, sets=OTHER_SETS)
        sps, pps = encoder.opening.sps, encoder.opening.pps
        video = replace(video, sps=(*video.sps, *sps), pps=(*video.pps, *pps))
    return video, [encoder.opening.data, *(encoder.encode(frame).data for frame in frames)]


def _decoded(video: VideoTrack, data: Sequence[bytes]) -> Iterator[av.VideoFrame]:
    decoder = cast("Any", av.CodecContext.create("h264", "r"))
    decoder.thread_count = 1
    sets, count = (*video.sps, *video.pps), 0
    packets = (av.Packet(to_annex_b(unit, () if number else sets)) for number, unit in enumerate(data))
    try:
        for packet in chain(packets, [None]):
            for frame in decoder.decode(packet):
                count += 1
                yield frame
    except FFmpegError as error:
        raise DamagedError(f"picture {count} of the clip's head cannot be decoded; ask for another range") from error
    if count != len(data):
        raise DamagedError(f"{count} of {len(data)} pictures of the clip's head were decoded; ask for another range")


class _Encoder:
    """Encodes pictures of one size, the first as a key frame."""

    def __init__(self, video: VideoTrack, opening: av.VideoFrame, *, sets: int) -> None:
        level = level_of(video)
        self._context = cast("Any", open_stitchable(opening.width, opening.height, crf=CRF, level=level, sets=sets))
        self._count = 0
        self.opening = self.encode(opening)

    def encode(self, frame: av.VideoFrame) -> AccessUnit:
        frame.pts, frame.time_base = self._count * INTERVAL, Fraction(1, TICKS)
        frame.pict_type = PictureType.NONE if self._count else PictureType.I
        self._count += 1
        return parse(b"".join(bytes(packet) for packet in self._context.encode(frame)))
