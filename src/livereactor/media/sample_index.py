"""Where each sample of a recording lies: some 25 bytes a sample, 3 MB an hour at 30 fps. Pure; not thread-safe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SAMPLE: Final = np.dtype(
    [("start", "i8"), ("offset", "u8"), ("size", "u4"), ("segment", "u4"), ("key", "?")], align=False
)
_FIRST: Final = 1024  # samples that there is room for at first


@dataclass(frozen=True, slots=True)
class Samples:
    """Consecutive samples of one track, a copy of their own.

    Attributes:
        first: number of the first, from 0 at the recording's begin.
        start: int64, shape (samples,), in the track's scale.
        segment, offset, size: where the bytes are: number of the segment, and bytes in its file.
        key: bool; whether a decoder can begin there.
    """

    first: int
    start: NDArray[np.int64]
    segment: NDArray[np.uint32]
    offset: NDArray[np.uint64]
    size: NDArray[np.uint32]
    key: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start)


class SampleIndex:
    """The samples of one track, in order of time. Numbers of samples stay what they are when old ones are dropped."""

    def __init__(self) -> None:
        self._rows = np.zeros(_FIRST, _SAMPLE)
        self._begin = self._end = 0  # rows in use
        self._dropped = 0

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
            self._make_room()
        self._rows[self._end] = (start, offset, size, segment, key)
        self._end += 1

    def showing(self, at: int) -> int:
        """Number of the sample that is shown at this time: the last that began by then, or the first that is kept."""
        found = int(np.searchsorted(self._kept["start"], at, side="right")) - 1
        return self._dropped + max(0, found)

    def key_by(self, number: int) -> int | None:
        """The last key sample up to this one; None = it was dropped, or never was."""
        found = np.flatnonzero(self._kept["key"][: number - self._dropped + 1])
        return self._dropped + int(found[-1]) if len(found) else None

    def key_from(self, number: int) -> int | None:
        """The first key sample from this one on."""
        keys = self._kept["key"][number - self._dropped :]
        return number + int(np.argmax(keys)) if keys.any() else None

    def slice(self, begin: int, end: int) -> Samples:
        """Samples `begin` up to, not with, `end`, copied: the recording may go on meanwhile."""
        rows = self._kept[begin - self._dropped : end - self._dropped]
        columns = (np.ascontiguousarray(rows[name]) for name in ("start", "segment", "offset", "size", "key"))
        return Samples(begin, *columns)

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

    def _make_room(self) -> None:
        kept = self._kept
        # An eighth more, not twice: an hour's index is 3 MB, and what stands empty is memory too.
        rows = np.zeros(max(_FIRST, len(kept) + len(kept) // 8 + 1), _SAMPLE)
        rows[: len(kept)] = kept
        self._rows, self._begin, self._end = rows, 0, len(kept)
