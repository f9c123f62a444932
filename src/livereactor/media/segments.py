"""A recording as it grows: encoded pictures and sound in, bytes of fragmented MP4 out, and where each sample went.

Pure: no clock, no file. The shell appends what `Segmenter` returns to the files of segments, in order.

- A segment begins at a key frame and is at most a second, as long as key frames come when they are asked for; within it
  fragments of a quarter of a second follow each other, so that little is lost when the process is killed.
- A picture is held back until the next one tells how long it was shown. One that stays is given again each second by
  whoever encodes, so a pause is one held picture in parts of a second.
- Sound counts in frames of 1,024 samples from the recording's begin; where none came, silence is put.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from livereactor.media.boxes import VIDEO_SCALE, AudioTrack, Run, VideoTrack, fragment, init_segment
from livereactor.media.sample_index import SampleIndex

SEGMENT_SECONDS: Final = 1.0
FLUSH_SECONDS: Final = 0.25
# A key frame that comes a little before a segment's second is over begins the next: none would be asked for again.
EARLY: Final = 0.9
AAC_SAMPLES: Final = 1024


@dataclass(frozen=True, slots=True)
class Picture:
    """One access unit.

    Attributes:
        start: when it is shown, in 1/90,000 s since the recording's begin.
        data: NAL units, each behind its length in 4 bytes (ISO/IEC 14496-15, 5.3.4.2.1); no parameter sets.
        key: an IDR picture.
    """

    start: int
    data: bytes
    key: bool


@dataclass(frozen=True, slots=True)
class Append:
    """Bytes for the end of a segment's file, which is new where `begins`."""

    segment: int
    begins: bool
    parts: tuple[bytes, ...]


@dataclass(slots=True)
class _Pending:
    """What is not written yet: pictures with their durations, and sound."""

    pictures: list[Picture] = field(default_factory=list[Picture])
    durations: list[int] = field(default_factory=list[int])
    sound: list[bytes] = field(default_factory=list[bytes])


class Segmenter:
    """One recording, of one size.

    Args:
        video, audio: what decoders must know; no audio = no track of it.

    Attributes:
        init: the init segment.
        pictures, sound: where the samples lie that were written.
    """

    def __init__(self, video: VideoTrack, audio: AudioTrack | None = None) -> None:
        self.video, self.audio = video, audio
        self.init: Final = init_segment(video, audio)
        self.pictures, self.sound = SampleIndex(), SampleIndex()
        self._pending = _Pending()
        self._held: Picture | None = None  # until the next tells its duration
        self._segment, self._segment_start = -1, 0
        self._size = 0  # bytes of the segment so far
        self._sequence = 0

    @property
    def wants_key(self) -> bool:
        """The segment is a second old: the next picture should be a key frame."""
        held = self._held
        return held is not None and held.start - self._segment_start >= SEGMENT_SECONDS * VIDEO_SCALE

    @property
    def end(self) -> int:
        """When the newest picture began, in 1/90,000 s; a clip ends there at the latest."""
        return self._held.start if self._held is not None else 0

    def add_picture(self, picture: Picture) -> Sequence[Append]:
        """Take the next picture; `start` is later than the last one's, the first is a key frame at 0."""
        appended = list[Append]()
        if self._held is not None:
            appended += self._close_held(picture.start)
        if picture.key and (self._held is None or self._is_segment_full(picture.start)):
            appended += self.flush()
            self._segment, self._segment_start, self._size = self._segment + 1, picture.start, 0
        self._held = picture
        return appended

    def add_sound(self, frame: bytes) -> None:
        """Take the next AAC frame, 1,024 samples long; it is written with the pictures around it."""
        assert self.audio is not None
        self._pending.sound.append(frame)

    def finish(self, end: int) -> Sequence[Append]:
        """The last picture was shown until `end`, in 1/90,000 s; nothing comes after it."""
        closed: Sequence[Append] = () if self._held is None else self._close_held(end)
        self._held = None
        return [*closed, *self.flush()]

    def flush(self) -> Sequence[Append]:
        """Write what is pending as one fragment."""
        pending, self._pending = self._pending, _Pending()
        if not pending.pictures and not pending.sound:
            return []
        self._sequence += 1
        video, audio = self._picture_run(pending), self._sound_run(pending)
        head = fragment(self._sequence, video, audio)
        begins, at = self._size == 0, self._size + len(head)
        for picture in pending.pictures:
            size = len(picture.data)
            self.pictures.append(start=picture.start, segment=self._segment, offset=at, size=size, key=picture.key)
            at += size
        for number, frame in enumerate(pending.sound, self.sound.end):
            self.sound.append(start=number * AAC_SAMPLES, segment=self._segment, offset=at, size=len(frame), key=True)
            at += len(frame)
        self._size = at
        parts = (head, *(picture.data for picture in pending.pictures), *pending.sound)
        return [Append(self._segment, begins, parts)]

    def _close_held(self, end: int) -> Sequence[Append]:
        held = self._held
        assert held is not None
        self._pending.pictures.append(held)
        self._pending.durations.append(max(1, end - held.start))
        first = self._pending.pictures[0].start
        return self.flush() if end - first >= FLUSH_SECONDS * VIDEO_SCALE else []

    def _is_segment_full(self, at: int) -> bool:
        return at - self._segment_start >= EARLY * SEGMENT_SECONDS * VIDEO_SCALE

    def _picture_run(self, pending: _Pending) -> Run | None:
        if not pending.pictures:
            return None
        return Run(
            pending.pictures[0].start,
            np.array(pending.durations, np.uint32),
            np.array([len(picture.data) for picture in pending.pictures], np.uint32),
            np.array([picture.key for picture in pending.pictures], bool),
        )

    def _sound_run(self, pending: _Pending) -> Run | None:
        if not pending.sound:
            return None
        count = len(pending.sound)
        sizes = np.array([len(frame) for frame in pending.sound], np.uint32)
        return Run(self.sound.end * AAC_SAMPLES, np.full(count, AAC_SAMPLES, np.uint32), sizes)
