"""The bytes of a recording's pictures: as viewers got them, or from an encoder of the recording's own.

On the recording's thread. A recording has one size and one pair of parameter sets, so that all of it decodes as one
stream. The viewers' pictures are taken where they have both, from a key frame on and as long as none is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, cast

from av.video.frame import PictureType

from livereactor.media.avc import AccessUnit, fits, level_of, parse, track_of
from livereactor.media.boxes import VideoTrack
from livereactor.media.colour import Planes, to_planes
from livereactor.media.encoder import frame_of, start_bps
from livereactor.media.fit import fitted
from livereactor.media.frames import EncodedFrame, Pixels
from livereactor.media.h264 import level_for, open_stitchable
from livereactor.media.presets import Preset
from livereactor.media.rate import TICKS
from livereactor.runtime.outputs.tap import ShownPicture

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
        kept = None if shown.encoded is None else self._taken(shown.encoded)
        if kept is not None:
            self.shared += 1
            self._own, self.wants_key = None, False
            return kept
        self.wants_key = shown.encoded is not None and self._has_size(shown.encoded)
        return self.again(shown, start, key=key)

    def again(self, shown: ShownPicture, start: int, *, key: bool) -> RecordedPicture:
        """Encode a picture here, whoever else has; what viewers get can be taken from a key frame on again."""
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

    def _taken(self, encoded: EncodedFrame) -> RecordedPicture | None:
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
