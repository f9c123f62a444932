"""A range of a recording as a film of its own, cut to the picture: only its head is encoded again.

A clip may begin between two key frames. What lies before the first key frame inside it is decoded and encoded again, a
few milliseconds a picture; all else is copied. No edit list: some players and the official client's muxer drop it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from typing import Any, Final, Literal, TypeAlias, cast

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import PictureType
from numpy.typing import NDArray

from livereactor.base.errors import LivereactorError, UsageError
from livereactor.media.avc import AccessUnit, fits, level_of, parse, to_annex_b
from livereactor.media.boxes import (
    AAC_SAMPLES,
    VIDEO_SCALE,
    AudioTrack,
    Chunks,
    Run,
    VideoTrack,
    film_head,
    fragment,
    init_segment,
)
from livereactor.media.excerpt import Excerpt
from livereactor.media.fragments import DamagedError
from livereactor.media.h264 import open_stitchable
from livereactor.media.rate import TICKS
from livereactor.media.sample_index import Samples

# The head of a clip: pictures before its first key frame, encoded again so that the film can begin with them.

CRF: Final = 17  # finer than the stream, of which it is a copy of a copy
INTERVAL: Final = TICKS // 30  # between pictures, as the encoder is set; with even quality it matters little
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


# A clip as a film of its own: an ordinary MP4, or an init segment and parts.

Kind: TypeAlias = Literal["video", "audio"]
Between: TypeAlias = Callable[[int, int], Sequence[bytes]]  # of samples by their numbers; may read a disk


@dataclass(frozen=True, slots=True)
class CutClip:
    """A clip: its samples, from time 0. Their bytes are asked for where they are used, so it need not fit in memory.

    Attributes:
        pictures, sound: runs from 0.
        data, sound_data: give the samples' bytes.
    """

    video: VideoTrack
    audio: AudioTrack | None
    pictures: Run
    data: Between
    sound: Run | None
    sound_data: Between

    @property
    def duration(self) -> float:
        """The length of the Clip in seconds."""
        return self.pictures.duration / VIDEO_SCALE

    def flat(self) -> tuple[bytes, Sequence[bytes]]:
        """Return one ordinary MP4, `moov` first: its head, and the bodies that follow it in order."""
        layout = list(self._layout())
        chunks = Chunks(
            np.array([kind == "video" for kind, _, _ in layout], bool),
            np.array([end - begin for _, begin, end in layout], np.uint32),
            np.array([self._sizes(kind)[begin:end].sum(dtype=np.uint64) for kind, begin, end in layout], np.uint64),
        )
        head = film_head(self.video, self.pictures, self.audio, self.sound, chunks)
        return head, [each for kind, begin, end in layout for each in self._bytes(kind)(begin, end)]

    def parts(self) -> tuple[bytes, Iterator[tuple[float, bytes]]]:
        """Fragmented: the init segment, and a part for each group of pictures, with its length in seconds.

        One part is in memory at a time.
        """
        return init_segment(self.video, self.audio), self._parts()

    def _parts(self) -> Iterator[tuple[float, bytes]]:
        assert self.pictures.keys is not None
        begins = [int(each) for each in np.flatnonzero(self.pictures.keys)]
        for sequence, (begin, end) in enumerate(zip(begins, [*begins[1:], len(self.pictures)], strict=True), 1):
            pictures = _part(self.pictures, begin, end)
            sound, data = self._sound_between(pictures.start, pictures.start + pictures.duration)
            body = b"".join([fragment(sequence, pictures, sound), *self.data(begin, end), *data])
            yield pictures.duration / VIDEO_SCALE, body

    def _layout(self) -> Iterator[tuple[Kind, int, int]]:
        """Half a second of pictures, then the sound of that time, and so on: a player need not leap."""
        ends, at, heard = np.cumsum(self.pictures.durations, dtype=np.int64), 0, 0
        while at < len(self.pictures):
            began = int(ends[at - 1]) if at else 0
            end = max(at + 1, int(np.searchsorted(ends, began + VIDEO_SCALE // 2, side="right")))
            yield "video", at, end
            at = end
            if self.sound is not None and self.audio is not None:
                until = len(self.sound) if at == len(self.pictures) else self._frames_until(int(ends[at - 1]))
                if until > heard:
                    yield "audio", heard, until
                    heard = until

    def _bytes(self, kind: Kind) -> Between:
        return self.data if kind == "video" else self.sound_data

    def _sizes(self, kind: Kind) -> NDArray[np.uint32]:
        run = self.pictures if kind == "video" else self.sound
        assert run is not None
        return run.sizes

    def _frames_until(self, at: int) -> int:
        """Count the AAC frames that begin before this time of the pictures."""
        assert self.audio is not None
        assert self.sound is not None
        return min(len(self.sound), -(-at * self.audio.rate // (VIDEO_SCALE * AAC_SAMPLES)))

    def _sound_between(self, begin: int, end: int) -> tuple[Run | None, Sequence[bytes]]:
        if self.sound is None:
            return None, ()
        is_last = end >= self.pictures.duration
        first, last = self._frames_until(begin), len(self.sound) if is_last else self._frames_until(end)
        return _part(self.sound, first, last), self.sound_data(first, last)


def _part(run: Run, begin: int, end: int) -> Run:
    start = run.start + int(run.durations[:begin].sum(dtype=np.uint64))
    keys = None if run.keys is None else run.keys[begin:end]
    return Run(start, run.durations[begin:end], run.sizes[begin:end], keys)


__all__ = ["CutClip", "InvalidRangeError", "NothingRecordedError", "cut", "ticks"]

LONGEST: Final = 40 * 86_400  # seconds; a film's length in milliseconds has 32 bits


class InvalidRangeError(UsageError):
    """The range of time is empty or not a range."""

    code = "INVALID_DURATION"


class NothingRecordedError(LivereactorError):
    """The range has no picture, yet or any more."""

    code = "NO_MEDIA_YET"
    recoverable = True
    http_status = 404


def ticks(start: float, end: float) -> tuple[int, int]:
    """Seconds since the recording's begin, as `cut` counts them.

    Raises:
        InvalidRangeError: not finite, negative, empty or of more than 40 days.
    """
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end <= LONGEST):
        said = f"{start:g} to {end:g} s is not a range"
        raise InvalidRangeError(f"{said}; start is at least 0, end greater and at most {LONGEST}")
    begin = round(start * VIDEO_SCALE)
    return begin, max(begin + 1, round(end * VIDEO_SCALE))


def cut(source: Excerpt, begin: int, end: int) -> CutClip:
    """The pictures shown from `begin` up to, not with, `end`, and what sounds then.

    With sound the film begins up to 21 ms earlier, at the AAC frame that sounds at `begin`; its first picture is
    stretched back to it.

    Args:
        source: holds the range, as far as it was recorded.
        begin, end: in 1/90,000 s since the recording's begin; what `source` does not hold is left out.

    Raises:
        NothingRecordedError: there is no picture in the range.
    """
    begin, end = max(begin, source.begin), min(end, source.end)
    if end <= begin:
        raise NothingRecordedError("no picture of this range is recorded, or it expired; request a range with pictures")
    start, sound, heard = _heard(source, begin, end)
    first = int(np.searchsorted(source.pictures.start, begin, side="right")) - 1
    last = int(np.searchsorted(source.pictures.start, end, side="left"))
    key = int(np.flatnonzero(source.pictures.key[: first + 1])[-1])
    samples = source.pictures.part(source.pictures.first + key, source.pictures.first + last)
    first = first - key
    keys = np.flatnonzero(samples.key[first:])
    video, rest, head = source.video, first + int(keys[0]) if len(keys) else len(samples), list[bytes]()
    if rest > first:
        video, head = encoded_again(video, source.read(samples.part(samples.first, samples.first + rest)), first)
    later = samples.part(samples.first + rest, samples.first + len(samples))
    starts = np.concatenate([[start], samples.start[first + 1 :], [end]])
    is_key = samples.key[first:].copy()
    is_key[0] = True
    sizes = np.concatenate([np.array([len(each) for each in head], np.uint32), later.size])
    pictures = Run(0, np.diff(starts).astype(np.uint32), sizes, is_key)
    audio = None if sound is None else source.audio
    return CutClip(video, audio, pictures, _between(head, source, later), sound, heard)


def _between(here: Sequence[bytes], source: Excerpt, later: Samples) -> Between:
    """Samples of which the first are here, and the rest is read when it is asked for."""

    def read(begin: int, end: int) -> Sequence[bytes]:
        at = later.first - len(here)
        rest = later.part(at + begin, at + end)
        return [*here[begin:end], *(source.read(rest) if len(rest) else ())]

    return read


def _heard(source: Excerpt, begin: int, end: int) -> tuple[int, Run | None, Between]:
    """Find where the film begins, and its sound, which ends within 21 ms before the pictures do."""
    if source.audio is None:
        return begin, None, _nothing
    rate = source.audio.rate
    frame = begin * rate // (VIDEO_SCALE * AAC_SAMPLES)
    frames = source.sound.part(frame, end * rate // (VIDEO_SCALE * AAC_SAMPLES))
    if frames.first != frame or not len(frames):
        return begin, None, _nothing
    durations = np.full(len(frames), AAC_SAMPLES, np.uint32)
    return frame * AAC_SAMPLES * VIDEO_SCALE // rate, Run(0, durations, frames.size), _between((), source, frames)


def _nothing(begin: int, end: int) -> Sequence[bytes]:
    return ()
