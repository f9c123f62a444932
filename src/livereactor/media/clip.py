"""A range of a recording as a film of its own, cut to the picture: only its head is encoded again.

A clip may begin between two key frames. What lies before the first key frame inside it is decoded and encoded again, a
few milliseconds a picture; all else is copied. No edit list: some players and the official client's muxer drop it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from livereactor.base.errors import LivereactorError, UsageError
from livereactor.media.boxes import AAC_SAMPLES, VIDEO_SCALE, Run
from livereactor.media.excerpt import Excerpt
from livereactor.media.film import Between, Film
from livereactor.media.head import encoded_again
from livereactor.media.sample_index import Samples

__all__ = ["Film", "InvalidRangeError", "NothingRecordedError", "cut", "ticks"]

LONGEST: Final = 40 * 86_400  # seconds; a film's length in milliseconds has 32 bits


class InvalidRangeError(UsageError):
    """No range of time at all."""

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
        said = f"{start:g} to {end:g} s is no range"
        raise InvalidRangeError(f"{said}; start is at least 0, end greater and at most {LONGEST}")
    begin = round(start * VIDEO_SCALE)
    return begin, max(begin + 1, round(end * VIDEO_SCALE))


def cut(source: Excerpt, begin: int, end: int) -> Film:
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
        raise NothingRecordedError("no picture of this range is recorded, yet or any more; ask for what has been shown")
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
    return Film(video, None if sound is None else source.audio, pictures, _between(head, source, later), sound, heard)


def _between(here: Sequence[bytes], source: Excerpt, later: Samples) -> Between:
    """Samples of which the first are here, and the rest is read when it is asked for."""

    def read(begin: int, end: int) -> Sequence[bytes]:
        at = later.first - len(here)
        rest = later.part(at + begin, at + end)
        return [*here[begin:end], *(source.read(rest) if len(rest) else ())]

    return read


def _heard(source: Excerpt, begin: int, end: int) -> tuple[int, Run | None, Between]:
    """Where the film begins, and its sound, which ends within 21 ms before the pictures do."""
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
