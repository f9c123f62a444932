"""A recording as it grows: encoded pictures and sound in, bytes of fragmented MP4 out, and where each sample went.

Pure: no clock, no file. The shell appends what `Segmenter` returns to the files of segments, in order.

- A segment begins at a key frame and is at most a second, or what else is asked for, as long as key frames come when
  they are asked for; within it fragments of a quarter of a second follow each other, so that little is lost when the
  process is killed.
- A picture is held back until the next one tells how long it was shown. One that stays is given again each second by
  whichever side encodes, so a pause is one held picture in parts of a second.
- Sound counts in frames of 1,024 samples from the recording's begin, without holes; where none came, silence is given
  (`aac.py`). It is written with the pictures that it has sounded with: a segment's sound begins no later than its first
  picture, so that a recording whose oldest segments were dropped can still be cut anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from livereactor.media.boxes import AAC_SAMPLES, VIDEO_SCALE, AudioTrack, Run, VideoTrack, fragment, init_segment
from livereactor.media.excerpt import Excerpt, Read, excerpt_of
from livereactor.media.sample_index import SampleIndex

SEGMENT_SECONDS: Final = 1.0
FLUSH_SECONDS: Final = 0.25
# A key frame that comes when this part of a segment's time is over begins the next: none would be asked for again.
EARLY: Final = 0.9


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
    """Samples that are not written yet."""

    pictures: list[Picture] = field(default_factory=list[Picture])
    durations: list[int] = field(default_factory=list[int])
    sound: list[bytes] = field(default_factory=list[bytes])


class Segmenter:
    """One recording, of one size.

    Args:
        video, audio: what decoders must know; no audio = no track of it.
        seconds: of a segment, at most.

    Attributes:
        init: the init segment.
        pictures, sound: where the samples lie that were written.
    """

    def __init__(self, video: VideoTrack, audio: AudioTrack | None = None, *, seconds: float = SEGMENT_SECONDS) -> None:
        self.video, self.audio = video, audio
        self._longest = seconds * VIDEO_SCALE
        self.init: Final = init_segment(video, audio)
        self.pictures, self.sound = SampleIndex(), SampleIndex()
        self._pending = _Pending()
        self._held: Picture | None = None  # until the next tells its duration
        self._interval = 0  # between the newest two pictures
        self._segment, self._segment_start = -1, 0
        self._size = 0  # bytes of the segment so far
        self._end = self._written = 0  # of the pictures whose duration is known, and of those that are written
        self._sequence = 0

    @property
    def wants_key(self) -> bool:
        """The next picture should be a key frame: if it comes when expected, the one after it is past the second."""
        if self._held is None:
            return False
        expected = self._held.start + self._interval
        is_last = expected + self._interval - self._segment_start > self._longest
        return is_last and self._is_segment_full(expected)

    @property
    def end(self) -> int:
        """The time until which pictures have durations, in 1/90,000 s; a clip ends there at the latest."""
        return self._end

    def add_picture(self, picture: Picture) -> Sequence[Append]:
        """Take the next picture.

        Args:
            picture: begins later than the last one; the first is a key frame at 0.
        """
        appended = self._close_held(picture.start)
        self._interval = 0 if self._held is None else picture.start - self._held.start
        if picture.key and (self._segment < 0 or self._is_segment_full(picture.start)):
            appended += self.flush()
            self._segment, self._segment_start, self._size = self._segment + 1, picture.start, 0
        self._held = picture
        return appended

    def add_sound(self, frame: bytes) -> None:
        """Take the next AAC frame, 1,024 samples long."""
        assert self.audio is not None
        self._pending.sound.append(frame)

    def finish(self, end: int) -> Sequence[Append]:
        """The last picture was shown until `end`, in 1/90,000 s; nothing comes after it."""
        closed = self._close_held(end)
        self._held = None
        return [*closed, *self.flush()]

    def flush(self) -> Sequence[Append]:
        """Write what is pending as one fragment: all pictures but the newest, and the sound until then."""
        pictures, durations = self._pending.pictures, self._pending.durations
        if not pictures:
            return []
        sound, later = self._sounded()
        self._pending = _Pending(sound=later)
        self._sequence += 1
        head = fragment(self._sequence, _picture_run(pictures, durations), self._sound_run(sound))
        begins, at = self._size == 0, self._size + len(head)
        for picture in pictures:
            size = len(picture.data)
            self.pictures.append(start=picture.start, segment=self._segment, offset=at, size=size, key=picture.key)
            at += size
        for number, frame in enumerate(sound, self.sound.end):
            self.sound.append(start=number * AAC_SAMPLES, segment=self._segment, offset=at, size=len(frame), key=True)
            at += len(frame)
        self._size, self._written = at, self._end
        return [Append(self._segment, begins, (head, *(picture.data for picture in pictures), *sound))]

    def excerpt(self, begin: int, end: int, read: Read) -> Excerpt:
        """Copy what is written of a stretch, with what a clip of it needs before; call `flush` first for all of it.

        Args:
            begin, end: in 1/90,000 s since the recording's begin; shortened to what is there.
            read: gives bytes of a segment's file.
        """
        return excerpt_of(self.video, self.audio, self.pictures, self.sound, begin, min(end, self._written), read)

    def _close_held(self, end: int) -> list[Append]:
        if self._held is None:
            return []
        first = self._pending.pictures[0].start if self._pending.pictures else self._held.start
        self._end = max(end, self._held.start + 1)
        self._pending.pictures.append(self._held)
        self._pending.durations.append(self._end - self._held.start)
        return [*self.flush()] if end - first >= FLUSH_SECONDS * VIDEO_SCALE else []

    def _is_segment_full(self, at: int) -> bool:
        return at - self._segment_start >= EARLY * self._longest

    def _sounded(self) -> tuple[list[bytes], list[bytes]]:
        """The pending frames that have ended with the last picture, and those that have not."""
        sound = self._pending.sound
        if self.audio is None:
            return [], sound
        ended = self._end * self.audio.rate // (VIDEO_SCALE * AAC_SAMPLES) - self.sound.end
        return sound[:ended], sound[ended:]

    def _sound_run(self, frames: Sequence[bytes]) -> Run:
        sizes = np.array([len(frame) for frame in frames], np.uint32)
        return Run(self.sound.end * AAC_SAMPLES, np.full(len(frames), AAC_SAMPLES, np.uint32), sizes)


def _picture_run(pictures: Sequence[Picture], durations: Sequence[int]) -> Run:
    return Run(
        pictures[0].start,
        np.array(durations, np.uint32),
        np.array([len(picture.data) for picture in pictures], np.uint32),
        np.array([picture.key for picture in pictures], bool),
    )
