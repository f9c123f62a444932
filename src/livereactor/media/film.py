"""A clip as a film of its own: an ordinary MP4, or an init segment and parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

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

Kind: TypeAlias = Literal["video", "audio"]
Between: TypeAlias = Callable[[int, int], Sequence[bytes]]  # of samples by their numbers; may read a disk


@dataclass(frozen=True, slots=True)
class Film:
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
        """Seconds."""
        return self.pictures.duration / VIDEO_SCALE

    def flat(self) -> tuple[bytes, Sequence[bytes]]:
        """As one ordinary MP4, `moov` first: its head, and the bodies that follow it in order."""
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
        """How many AAC frames begin before this time of the pictures."""
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
