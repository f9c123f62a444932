"""A recording whose process is gone, from its files: what lies where, up to the last whole fragment.

Only `moof`s are read, so an hour takes about a second. The shell cuts a torn file to the size that is returned here:
players are stricter than we are, and refuse all of a film whose last `mdat` is not whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import numpy as np

from livereactor.media.boxes import AAC_SAMPLES, AudioTrack, VideoTrack, init_segment
from livereactor.media.excerpt import Excerpt, Read, excerpt_of
from livereactor.media.fragments import DamagedError, Fragment, Lying, fragments_in, init_of, read_init
from livereactor.media.sample_index import SampleIndex

WINDOW: Final = 1 << 31  # bytes; the index counts them with 32 bits


@dataclass(slots=True)
class Recovered:
    """A recording that does not grow any more.

    Attributes:
        video, audio: what decoders must know.
        pictures, sound: where the samples lie.
        end: when the last picture is over, in 1/90,000 s.
        sizes: bytes of each segment's file that count; what lies behind them is torn.
    """

    video: VideoTrack
    audio: AudioTrack | None
    pictures: SampleIndex = field(default_factory=SampleIndex)
    sound: SampleIndex = field(default_factory=SampleIndex)
    end: int = 0
    sizes: dict[int, int] = field(default_factory=dict[int, int])

    def excerpt(self, begin: int, end: int, read: Read) -> Excerpt:
        """Copy a stretch of the recording, like `Segmenter.excerpt`."""
        return excerpt_of(self.video, self.audio, self.pictures, self.sound, begin, min(end, self.end), read)


def recover(init: bytes, segments: Iterable[tuple[int, BinaryIO]]) -> Recovered:
    """Read a recording's files.

    Args:
        init: the init segment.
        segments: number and file of each, in order; the first may have any number. One is read at a time.

    Returns:
        The recording up to the first file that is torn or missing.

    Raises:
        DamagedError: a file is not one of ours.
    """
    found = Recovered(*read_init(init))
    next_number: int | None = None
    for number, file in segments:
        if next_number not in (None, number):
            break
        size, next_number, whole = file.seek(0, 2), number + 1, 0
        file.seek(0)
        for fragment in fragments_in(file):
            _add(found, number, fragment)
            whole = fragment.end
        found.sizes[number] = whole
        if whole < size:
            break
    return found


def index_of(file: BinaryIO) -> Recovered:
    """Read a file that holds all of a recording: the init segment and the segments, one behind the other.

    Returns:
        The recording, in segments of `WINDOW` bytes of the file.

    Raises:
        DamagedError: it is not one of ours, or not whole.
    """
    init = init_of(file)
    found, whole = Recovered(*read_init(init)), len(init)
    if init_segment(found.video, found.audio) != init:
        raise DamagedError("the init segment has unknown contents")
    for fragment in fragments_in(file):
        _add(found, 0, fragment)
        whole = fragment.end
    if whole < file.seek(0, 2):
        raise DamagedError(f"the file is torn at byte {whole}")
    return found


def _add(found: Recovered, segment: int, fragment: Fragment) -> None:
    if fragment.pictures is not None:
        run = fragment.pictures.run
        _extend(found.pictures, segment, fragment.pictures, found.end)
        found.end = run.start + run.duration
    if fragment.sound is not None:
        if not found.sound.end:  # sound is numbered from the recording's begin, though its oldest may be gone
            found.sound = SampleIndex(fragment.sound.run.start // AAC_SAMPLES)
        _extend(found.sound, segment, fragment.sound, found.sound.end * AAC_SAMPLES)


def _extend(index: SampleIndex, segment: int, lying: Lying, expected: int) -> None:
    run = lying.run
    if index.end > index.first and run.start != expected:
        raise DamagedError(f"a fragment of segment {segment} is of {run.start}, where {expected} follows")
    starts = run.start + np.cumsum(run.durations, dtype=np.int64) - run.durations
    keys = np.ones(len(run), bool) if run.keys is None else run.keys
    window, offset = divmod(lying.offset, WINDOW)
    index.extend(starts, segment=segment + window, offset=offset, sizes=run.sizes, keys=keys)
