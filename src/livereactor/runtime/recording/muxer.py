"""A recording as it grows: pictures and sound in, Segments in the spool out, and excerpts for Clips.

All of it on the recording's thread, which `thread.py` runs; an Excerpt and a Tail are read elsewhere.

A recording has one size and one pair of parameter sets, so that all of it decodes as one stream. `PictureRecorder`
takes the viewers' pictures where they have both, from a key frame on and as long as none is missing, and encodes the
others itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, cast

import numpy as np
from av.video.frame import PictureType

from livereactor.media.aac import SoundLine
from livereactor.media.avc import AccessUnit, fits, level_of, parse, track_of
from livereactor.media.boxes import VIDEO_SCALE, VideoTrack
from livereactor.media.colour import Planes, to_planes
from livereactor.media.encoder import frame_of, start_bps
from livereactor.media.excerpt import Excerpt, Read
from livereactor.media.fit import fitted
from livereactor.media.frames import EncodedFrame, Pixels
from livereactor.media.h264 import level_for, open_stitchable
from livereactor.media.presets import Preset
from livereactor.media.rate import TICKS
from livereactor.media.sample_index import SampleIndex
from livereactor.media.segments import Append, Picture, Segmenter
from livereactor.runtime.outputs.tap import PlayedSound, ShownPicture
from livereactor.runtime.recording.media_clock import MediaClock
from livereactor.runtime.recording.options import RecorderOptions
from livereactor.runtime.recording.spool import Spool

# What is encoded here has more key frames than Segments need: a clip's head, which is encoded again up to the next key
# frame, is half as long then, and at 720p a clip is there in two thirds of the time.
KEY_EVERY: Final = TICKS // 2
BURST: Final = 2  # times the bits that a stream of this size gets, which even quality may take at most


@dataclass(frozen=True, slots=True)
class RecordedPicture:
    """One picture of the recording: NAL units behind their lengths, and whether decoding can begin there."""

    data: bytes
    key: bool


class PictureRecorder:
    """Encodes or takes over the pictures of one recording.

    Args:
        preset, quality: of x264 (its CRF).

    Attributes:
        track: size and parameter sets; None before the first picture.
        wants_key: viewers get H.264 that can be taken from their next key frame on.
        encoded, shared: how many pictures were encoded here, and taken over.
    """

    def __init__(self, preset: Preset, quality: int) -> None:
        self._preset: Preset = preset
        self._quality = quality
        self.track: VideoTrack | None = None
        self.wants_key = False
        self.encoded = self.shared = 0
        self._own: Any = None  # PyAV's encoder
        self._next_shared: int | None = None  # number of the frame that continues what was taken over
        self._key_at = 0  # when the own encoder's last key frame began, in 1/90,000 s
        self._planes: Planes | None = None

    def keep(self, shown: ShownPicture, start: int, *, key: bool) -> RecordedPicture:
        """The picture, shown from `start` in 1/90,000 s, as a key frame if `key` and it is encoded here."""
        kept = None if shown.encoded is None else self._reused(shown.encoded)
        if kept is not None:
            self.shared += 1
            self._own, self.wants_key = None, False
            return kept
        self.wants_key = shown.encoded is not None and self._has_size(shown.encoded)
        return self.again(shown, start, key=key)

    def again(self, shown: ShownPicture, start: int, *, key: bool) -> RecordedPicture:
        """Encode a picture here, even if a viewer's encoder did; the next key frame for viewers can be taken again."""
        self._next_shared = None
        planes = self._fitted(shown.pixels)
        if self._own is None:
            self._own, key = self._opened(planes, shown.fps), True
        if key or start - self._key_at >= KEY_EVERY:
            self._key_at, key = start, True
        frame = frame_of(planes)
        frame.pts, frame.time_base = start, Fraction(1, TICKS)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        unit = parse(b"".join(bytes(packet) for packet in self._own.encode(frame)))
        self.encoded += 1
        if self.track is None:
            self.track = track_of(unit, planes.width, planes.height)
        return RecordedPicture(unit.data, unit.key)

    def close(self) -> None:
        """Free the encoder and what it reads."""
        self._own = self._planes = None

    def _reused(self, encoded: EncodedFrame) -> RecordedPicture | None:
        if not encoded.key and encoded.number != self._next_shared:
            return None
        unit = parse(encoded.data)
        if encoded.key and not self._begins(encoded, unit):
            return None
        self._next_shared = encoded.number + 1
        return RecordedPicture(unit.data, unit.key)

    def _begins(self, encoded: EncodedFrame, unit: AccessUnit) -> bool:
        if self.track is None:
            self.track = track_of(unit, encoded.width, encoded.height)
        return self._has_size(encoded) and fits(unit, self.track)

    def _has_size(self, encoded: EncodedFrame) -> bool:
        return self.track is None or (encoded.width, encoded.height) == (self.track.width, self.track.height)

    def _fitted(self, pixels: Pixels) -> Planes:
        size = (pixels.shape[1] & ~1, pixels.shape[0] & ~1)  # an odd line is cropped, as for viewers
        if (track := self.track) is not None and size != (track.width, track.height):
            pixels = fitted(pixels, width=track.width, height=track.height, fit="contain")
        self._planes = to_planes(pixels, self._planes)
        return self._planes

    def _opened(self, planes: Planes, fps: float) -> Any:
        width, height = planes.width, planes.height
        level = level_for(width, height, fps) if self.track is None else level_of(self.track)
        most = BURST * start_bps(width, height, fps)
        own = open_stitchable(width, height, crf=self._quality, level=level, max_bps=most, preset=self._preset)
        return cast(Any, own)


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
        begun: called at the first picture with the recording's segmenter, which has the init segment.
        closed: called with each Segment that is whole.
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
        """Return what there is from `begin` to `end`, in 1/90,000 s of the recording; for a Clip."""
        return self._written(now).excerpt(begin, end, self._spool.read)

    def tail(self, now: float) -> Tail | None:
        """Return the tail after the last closed Segment, up to now; None without one."""
        segmenter = self._written(now)
        if self._open is None:
            return None
        segment, begun, size = self._open
        return Tail(segment, (segmenter.end - begun) / VIDEO_SCALE, size, self._spool.read)

    def finish(self, now: float) -> float:
        """Close the last Segment and return the length of the recording in seconds.

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
        """Write all up to now into the spool, but for the last moment of a picture that still stays."""
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
