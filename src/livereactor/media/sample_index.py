"""An index of the samples of a recording: 24 bytes each, 7 MB an hour of pictures and sound. Pure; not thread-safe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Aligned: a binary search in an unaligned column would copy all of it.
_SAMPLE: Final = np.dtype(
    [("start", "i8"), ("offset", "u4"), ("size", "u4"), ("segment", "u4"), ("key", "?")], align=True
)
_FIRST: Final = 1024  # samples that there is room for at first
_LOOK: Final = 512  # samples that are searched for a key at a time


@dataclass(frozen=True, slots=True)
class Samples:
    """Consecutive samples of one track, a copy of their own.

    Attributes:
        first: number of the first, from 0 at the recording's begin.
        start: int64, shape (samples,), in the track's scale.
        segment, offset, size: uint32; where the bytes are: number of the segment, and bytes in its file.
        key: bool; whether a decoder can begin there.
    """

    first: int
    start: NDArray[np.int64]
    segment: NDArray[np.uint32]
    offset: NDArray[np.uint32]
    size: NDArray[np.uint32]
    key: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start)

    def runs(self) -> NDArray[np.intp]:
        """Return where runs of samples that lie together in a file begin, and at the end the number of samples."""
        gap = self.offset[1:] != (self.offset + self.size)[:-1]
        breaks = np.flatnonzero(gap | (self.segment[1:] != self.segment[:-1])) + 1
        return np.concatenate([np.zeros(min(1, len(self)), np.intp), breaks, [len(self)]])

    def part(self, begin: int, end: int) -> Samples:
        """Return the samples numbered from `begin` up to, but not including, `end`."""
        begin = max(begin, self.first)
        at = slice(begin - self.first, max(begin, end) - self.first)
        return Samples(begin, self.start[at], self.segment[at], self.offset[at], self.size[at], self.key[at])


class SampleIndex:
    """The samples of one track, in order of time. Numbers of samples stay what they are when old ones are dropped.

    Args:
        first: number of the first that is added.
    """

    def __init__(self, first: int = 0) -> None:
        self._rows = np.zeros(_FIRST, _SAMPLE)
        self._begin = self._end = 0  # rows in use
        self._dropped = first

    @property
    def first(self) -> int:
        """Number of the oldest sample that is kept."""
        return self._dropped

    @property
    def end(self) -> int:
        """Number that the next one gets."""
        return self._dropped + self._end - self._begin

    def append(self, *, start: int, segment: int, offset: int, size: int, key: bool) -> None:
        """Add the next sample; `start` is later than the last one's."""
        if self._end == len(self._rows):
            self._make_room(1)
        self._rows[self._end] = (start, offset, size, segment, key)
        self._end += 1

    def extend(
        self,
        starts: NDArray[np.int64],
        *,
        segment: int,
        offset: int,
        sizes: NDArray[np.uint32],
        keys: NDArray[np.bool_],
    ) -> None:
        """Add samples that lie together, the first at `offset`."""
        if self._end + len(starts) > len(self._rows):
            self._make_room(len(starts))
        rows = self._rows[self._end : self._end + len(starts)]
        rows["start"], rows["segment"], rows["size"], rows["key"] = starts, segment, sizes, keys
        rows["offset"] = offset + np.cumsum(sizes) - sizes
        self._end += len(starts)

    def showing(self, at: int) -> int:
        """Number of the sample that is shown at this time: the last that began by then, or the first that is kept."""
        found = int(np.searchsorted(self._kept["start"], at, side="right")) - 1
        return self._dropped + max(0, found)

    def key_by(self, number: int) -> int | None:
        """The last key sample up to this one; None = it was dropped, or never was."""
        keys, end = self._kept["key"], number - self._dropped + 1
        while end > 0:
            begin = max(0, end - _LOOK)
            found = np.flatnonzero(keys[begin:end])
            if len(found):
                return self._dropped + begin + int(found[-1])
            end = begin
        return None

    def key_from(self, number: int) -> int | None:
        """The first key sample from this one on."""
        keys, begin = self._kept["key"], number - self._dropped
        while begin < len(keys):
            found = np.flatnonzero(keys[begin : begin + _LOOK])
            if len(found):
                return self._dropped + begin + int(found[0])
            begin += _LOOK
        return None

    def slice(self, begin: int, end: int) -> Samples:
        """Samples `begin` up to, not with, `end`, copied: the recording may go on meanwhile."""
        begin = max(begin, self._dropped)
        rows = self._kept[begin - self._dropped : max(begin, end) - self._dropped]
        return Samples(begin, *(rows[name].copy() for name in ("start", "segment", "offset", "size", "key")))

    def drop_until(self, segment: int) -> None:
        """Forget the samples of all segments before this one."""
        gone = int(np.searchsorted(self._kept["segment"], segment, side="left"))
        self._begin += gone
        self._dropped += gone

    @property
    def size_bytes(self) -> int:
        """Memory it holds."""
        return self._rows.nbytes

    @property
    def _kept(self) -> NDArray[np.void]:
        return self._rows[self._begin : self._end]

    def _make_room(self, count: int) -> None:
        kept = self._kept
        # An eighth more, not twice: what stands empty is memory too.
        rows = np.zeros(max(_FIRST, len(kept) + len(kept) // 8 + count), _SAMPLE)
        rows[: len(kept)] = kept
        self._rows, self._begin, self._end = rows, 0, len(kept)
