"""A whole recording as one ordinary MP4, `moov` first, without copying it: a head, and where the body's bytes lie.

What is written to a file or answered to a Range request is read from the segments, piece after piece; memory holds the
tables of samples only, some 20 MB for an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from livereactor.media.boxes import AAC_SAMPLES, VIDEO_SCALE, Chunks, Run, film_head
from livereactor.media.clip import NothingRecordedError
from livereactor.media.excerpt import Excerpt, Read
from livereactor.media.sample_index import Samples


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a segment's file."""

    segment: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class WholeFilm:
    """The film as a file that is nowhere.

    Attributes:
        head: its first bytes.
        duration: seconds.
    """

    head: bytes
    duration: float
    _segment: NDArray[np.uint32]  # of each piece, and so on
    _offset: NDArray[np.uint64]
    _end: NDArray[np.uint64]  # in the body

    @property
    def size_bytes(self) -> int:
        """The size of the whole file."""
        return len(self.head) + int(self._end[-1])

    def pieces(self, begin: int = 0, end: int | None = None) -> Iterator[bytes | Piece]:
        """Yield the bytes from `begin` up to, but not including, `end`, in order."""
        end = self.size_bytes if end is None else min(end, self.size_bytes)
        if begin < min(end, len(self.head)):
            yield self.head[begin:end]
        first, last = max(0, begin - len(self.head)), end - len(self.head)  # in the body
        for number in range(int(np.searchsorted(self._end, first, side="right")), len(self._end)):
            start = int(self._end[number - 1]) if number else 0
            if start >= last:
                return
            skipped, stop = max(0, first - start), min(last, int(self._end[number]))
            yield Piece(int(self._segment[number]), int(self._offset[number]) + skipped, stop - start - skipped)


def write(film: WholeFilm, target: BinaryIO, read: Read, *, stopped: Callable[[], bool] = lambda: False) -> bool:
    """Write all of it.

    Args:
        read: gives bytes of a segment's file.
        stopped: asked at every piece; True ends the work, and what is in `target` is no film.

    Returns:
        whether it was done, and not stopped.
    """
    for piece in film.pieces():
        if stopped():
            return False
        data = piece if isinstance(piece, bytes) else read(piece.segment, piece.offset, piece.size_bytes)
        target.write(data)
    return True


def whole_film(source: Excerpt) -> WholeFilm:
    """All that an excerpt holds, nothing encoded again: it begins at a key frame.

    Raises:
        NothingRecordedError: there is no picture.
    """
    pictures, sound = source.pictures, _sound_of(source)
    if not len(pictures) or source.end <= source.begin:
        raise NothingRecordedError("no picture is recorded yet, or all expired; try again after the first frame")
    begin = source.begin
    if source.audio is not None and len(sound):
        begin = sound.first * AAC_SAMPLES * VIDEO_SCALE // source.audio.rate
    starts = np.append(pictures.start, source.end)
    starts[0] = begin
    shown = Run(0, np.diff(starts).astype(np.uint32), pictures.size, pictures.key)
    heard = Run(0, np.full(len(sound), AAC_SAMPLES, np.uint32), sound.size) if len(sound) else None
    chunks, segment, offset = _laid_out(pictures, sound)
    head = film_head(source.video, shown, source.audio, heard, chunks)
    begins = _pieces(segment, offset, chunks.sizes)
    ends = np.cumsum(chunks.sizes)[np.append(begins[1:], len(segment)) - 1]
    return WholeFilm(head, shown.duration / VIDEO_SCALE, segment[begins], offset[begins], ends)


def _sound_of(source: Excerpt) -> Samples:
    """Return the sound from the frame that plays when the film begins; empty where that frame is missing."""
    if source.audio is None:
        return source.sound.part(0, 0)
    frame = source.begin * source.audio.rate // (VIDEO_SCALE * AAC_SAMPLES)
    sound = source.sound.part(frame, source.sound.first + len(source.sound))
    return sound if sound.first == frame else source.sound.part(0, 0)


def _laid_out(pictures: Samples, sound: Samples) -> tuple[Chunks, NDArray[np.uint32], NDArray[np.uint64]]:
    """Return the chunks in the order of the segments, and the segment of each chunk and its offset there."""
    runs = [_together(pictures), _together(sound)]
    segment, offset, samples, sizes = (np.concatenate(columns) for columns in zip(*runs, strict=True))
    is_video = np.repeat([True, False], [len(run[0]) for run in runs])
    order = np.lexsort((offset, segment))
    chunks = Chunks(is_video[order], samples[order], sizes[order])
    return chunks, segment[order], offset[order]


def _pieces(segment: NDArray[np.uint32], offset: NDArray[np.uint64], sizes: NDArray[np.uint64]) -> NDArray[np.intp]:
    """The first chunks of those that lie together."""
    breaks = (segment[1:] != segment[:-1]) | (offset[1:] != (offset + sizes)[:-1])
    return np.concatenate([[0], np.flatnonzero(breaks) + 1])


def _together(
    samples: Samples,
) -> tuple[NDArray[np.uint32], NDArray[np.uint64], NDArray[np.uint32], NDArray[np.uint64]]:
    """Return runs of samples that lie together: segment, offset, number of samples, and their bytes."""
    runs = samples.runs()
    begins, ends = runs[:-1], np.concatenate([np.zeros(1, np.uint64), np.cumsum(samples.size, dtype=np.uint64)])
    offsets = samples.offset[begins].astype(np.uint64)
    return samples.segment[begins], offsets, np.diff(runs).astype(np.uint32), np.diff(ends[runs])
