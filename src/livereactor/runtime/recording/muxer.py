"""A recording as it grows: pictures and sound in, Segments in the spool out, and excerpts for Clips.

All of it on the recording's thread, which `thread.py` runs; an Excerpt and a Tail are read elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from livereactor.media.aac import SoundLine
from livereactor.media.boxes import VIDEO_SCALE
from livereactor.media.excerpt import Excerpt, Read
from livereactor.media.sample_index import SampleIndex
from livereactor.media.segments import Append, Picture, Segmenter
from livereactor.runtime.outputs.tap import PlayedSound, ShownPicture
from livereactor.runtime.recording.media_clock import MediaClock
from livereactor.runtime.recording.options import RecorderOptions
from livereactor.runtime.recording.pictures import PictureRecorder, RecordedPicture
from livereactor.runtime.recording.spool import Spool

HOLD: Final = 1.0  # seconds after which a picture that stays is given again
NEWEST: Final = 1024  # samples of which a new Segment's first is one: more than are written at once
LATE: Final = 0.5  # seconds behind the pictures after which sound is not awaited any more
STAYS: Final = 0.1  # seconds after which it is given again for a Clip, which would end before it otherwise


@dataclass(frozen=True, slots=True)
class ClosedSegment:
    """A Segment is whole.

    Attributes:
        seconds: its length.
        size: bytes.
    """

    segment: int
    seconds: float
    size: int


@dataclass(frozen=True, slots=True)
class Tail:
    """The pictures and sound after the last closed Segment, as a Segment of their own.

    Attributes:
        segment: its number.
        seconds: its length.
        size: bytes.
    """

    segment: int
    seconds: float
    size: int
    _read: Read = field(repr=False)

    def read(self) -> bytes:
        """Read the bytes from the disk. Raises `OSError` where they are gone."""
        return self._read(self.segment, 0, self.size)


class Muxer:
    """One recording.

    Args:
        clock: monotonic to media time; the caller keeps others off it while a method runs.
        sound: of the audio track; None = there is none.
        options: how pictures are encoded, and how long a Segment is.
        keep: seconds of which Clips are cut.
        begun: told the recording's segmenter, which has the init segment, at the first picture.
        closed: told each Segment that is whole.
    """

    def __init__(
        self,
        spool: Spool,
        clock: MediaClock,
        sound: SoundLine | None,
        options: RecorderOptions,
        *,
        keep: float,
        begun: Callable[[Segmenter], None],
        closed: Callable[[ClosedSegment], None],
    ) -> None:
        self._spool, self._clock, self._sound, self._keep = spool, clock, sound, keep
        self._on_begun, self._on_closed = begun, closed
        self._segment_seconds = options.segment_seconds
        self.pictures = PictureRecorder(options.video_preset, options.video_quality)
        self._segmenter: Segmenter | None = None
        self._newest: ShownPicture | None = None
        self._played = float("-inf")  # when the newest sound was
        self._start = 0  # of the newest picture, in 1/90,000 s
        self._open: tuple[int, int, int] | None = None  # the open Segment, when it began, and its bytes
        self._kept: deque[tuple[int, int]] = deque()  # Segments that Clips can be cut from, and when each ended

    @property
    def wants_key(self) -> bool:
        """The next picture for viewers should be a key frame."""
        return self.pictures.wants_key or self._is_old

    def show(self, shown: ShownPicture) -> None:
        """Take the next picture."""
        self._clock.carry(shown.at)
        start = self._start_at(shown.at)
        self._add(start, self.pictures.keep(shown, start, key=self._is_old), shown)

    def play(self, played: PlayedSound) -> None:
        """Take sound; what is before the first picture is left out."""
        if self._sound is not None and self._segmenter is not None:
            self._played = played.at
            self._add_sound(self._sound.play(self._clock.at(played.at), played.samples))

    def hold_in(self, now: float) -> float | None:
        """Seconds until the newest picture has to be given again; None = nothing is shown yet, or the clock stands."""
        return max(0.0, self._hold - self._stayed(now)) if self._clock.is_running else None

    def hold(self, now: float, after: float | None = None) -> None:
        """Give the newest picture again, where it has stayed for so many seconds of the recording; None = its time."""
        if self._newest is not None and self._stayed(now) >= (self._hold if after is None else after):
            start = self._start_at(now)
            self._add(start, self.pictures.again(self._newest, start, key=self._is_old), self._newest)

    def excerpt(self, begin: int, end: int, now: float) -> Excerpt:
        """From `begin` to `end`, in 1/90,000 s of the recording, as far as it is there; for a Clip."""
        return self._written(now).excerpt(begin, end, self._spool.read)

    def tail(self, now: float) -> Tail | None:
        """Return the tail after the last closed Segment, up to now; None without one."""
        segmenter = self._written(now)
        if self._open is None:
            return None
        segment, begun, size = self._open
        return Tail(segment, (segmenter.end - begun) / VIDEO_SCALE, size, self._spool.read)

    def finish(self, now: float) -> float:
        """Nothing comes any more: close the last Segment; returns the recording's seconds.

        No picture is held from then on: what is left of a recording hangs together in circles, which the collector
        finds only now and then, as few objects as they are.
        """
        self.pictures.close()
        self._newest = None
        if self._segmenter is None:
            return 0.0
        end = max(round(self._clock.at(now) * VIDEO_SCALE), self._start + 1)
        if self._sound is not None:
            self._add_sound(self._sound.finish(end / VIDEO_SCALE))
        self._append(self._segmenter.finish(end))
        self._close(end)
        self._spool.end()
        return end / VIDEO_SCALE

    @property
    def _hold(self) -> float:
        return min(HOLD, self._segment_seconds)

    @property
    def _is_old(self) -> bool:
        return self._segmenter is not None and self._segmenter.wants_key

    def _stayed(self, now: float) -> float:
        """Seconds of the recording that the newest picture has been shown."""
        return self._clock.at(now) - self._start / VIDEO_SCALE

    def _start_at(self, moment: float) -> int:
        return max(round(self._clock.at(moment) * VIDEO_SCALE), 0 if self._newest is None else self._start + 1)

    def _add(self, start: int, kept: RecordedPicture, shown: ShownPicture) -> None:
        segmenter = self._segmenter or self._begin(shown.at)
        self._fill(start - round(LATE * VIDEO_SCALE))
        self._newest, self._start = shown, start
        self._append(segmenter.add_picture(Picture(start, kept.data, kept.key)))

    def _begin(self, at: float) -> Segmenter:
        self._clock.begin(at)
        assert self.pictures.track is not None
        audio = None if self._sound is None else self._sound.track
        self._segmenter = Segmenter(self.pictures.track, audio, seconds=self._segment_seconds)
        self._on_begun(self._segmenter)
        return self._segmenter

    def _fill(self, until: int) -> None:
        """Fill in silence up to here, where no sound came with the pictures."""
        if self._sound is not None:
            self._add_sound(self._sound.until(until / VIDEO_SCALE))

    def _add_sound(self, frames: Iterable[bytes]) -> None:
        assert self._segmenter is not None
        for frame in frames:
            self._segmenter.add_sound(frame)

    def _append(self, appends: Iterable[Append]) -> None:
        assert self._segmenter is not None
        for append in appends:
            if append.begins:
                begun = _begun(self._segmenter.pictures, append.segment)
                self._close(begun)
                self._open = (append.segment, begun, 0)
            assert self._open is not None
            segment, begun, size = self._open
            self._open = (segment, begun, size + self._spool.append(append))

    def _close(self, end: int) -> None:
        if self._open is None:
            return
        segment, begun, size = self._open
        self._open = None
        self._on_closed(ClosedSegment(segment, (end - begun) / VIDEO_SCALE, size))
        self._kept.append((segment, end))
        while self._kept[0][1] < end - self._keep * VIDEO_SCALE:
            self._forget(self._kept.popleft()[0])

    def _forget(self, segment: int) -> None:
        assert self._segmenter is not None
        self._segmenter.pictures.drop_until(segment + 1)
        self._segmenter.sound.drop_until(segment + 1)
        self._spool.expire(segment)

    def _written(self, now: float) -> Segmenter:
        """Everything up to now is in the spool, but for the last moment of a picture that goes by."""
        assert self._segmenter is not None
        self.hold(now, STAYS)
        if now - self._played > STAYS:
            self._fill(round(self._clock.at(now) * VIDEO_SCALE))
        self._append(self._segmenter.flush())
        return self._segmenter


def _begun(pictures: SampleIndex, segment: int) -> int:
    """Return the time at which this Segment began; it is the newest."""
    newest = pictures.slice(max(pictures.first, pictures.end - NEWEST), pictures.end)
    return int(newest.start[np.argmax(newest.segment == segment)])
