"""Recordings made by our own parts, in memory: numbered pictures that flash, a sound that beeps with them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from livereactor.media.avc import parse, track_of
from livereactor.media.boxes import VIDEO_SCALE, AudioTrack
from livereactor.media.colour import to_planes
from livereactor.media.excerpt import Excerpt
from livereactor.media.frames import Pixels
from livereactor.media.segments import Append, Picture, Segmenter
from tests.tools.barcode import Code, draw, read

WIDTH, HEIGHT = 160, 96
RATE = 48_000
FRAME = 1024  # samples of sound in an AAC frame


@dataclass
class Tape:
    """A recording.

    Attributes:
        starts: when each picture is shown, in 1/90,000 s; picture n has counter n + 1.
        end: when the last one is over.
        files: of the segments.
    """

    starts: Sequence[int]
    end: int
    segmenter: Segmenter
    files: dict[int, bytearray] = field(default_factory=dict[int, bytearray])

    def put(self, appended: Sequence[Append]) -> None:
        """What the recorder's shell does with files."""
        for each in appended:
            if each.begins:
                assert each.segment not in self.files
                self.files[each.segment] = bytearray()
            self.files[each.segment] += b"".join(each.parts)

    def read(self, segment: int, offset: int, size_bytes: int) -> bytes:
        found = bytes(self.files[segment][offset : offset + size_bytes])
        assert len(found) == size_bytes
        return found

    def excerpt(self, begin: int, end: int) -> Excerpt:
        return self.segmenter.excerpt(begin, end, self.read)

    def whole(self) -> bytes:
        """As a player gets it that is given all segments."""
        return self.segmenter.init + b"".join(self.files[number] for number in sorted(self.files))


def numbered(counter: int, *, flash: bool = False, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """A picture that says its number, with a bright lower half where it flashes."""
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[height // 3 :, (counter * 5) % width :][:, :8] = 160
    if flash:
        pixels[height // 2 :] = 230
    draw(pixels, Code(counter, counter))
    return pixels


def video_frame(pixels: Pixels, *, key: bool = False) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(to_planes(pixels).buffer, format="yuv420p")
    frame.time_base = Fraction(1, VIDEO_SCALE)
    frame.pict_type = PictureType.I if key else PictureType.NONE
    return frame


def record(
    encoder: VideoCodecContext,
    starts: Sequence[int],
    *,
    end: int,
    keys: Callable[[int, bool], bool] = lambda number, wanted: wanted,
    flashes: frozenset[int] = frozenset(),
    audio: AudioTrack | None = None,
    sound: Sequence[bytes] = (),
) -> Tape:
    """Encode and segment pictures.

    Args:
        keys: whether this picture is a key frame, given its number and whether the segmenter wants one.
        flashes: numbers of pictures that flash.
        sound: AAC frames from the recording's begin.
    """
    tape: Tape | None = None
    heard = 0
    for number, start in enumerate(starts):
        is_key = number == 0 or (tape is not None and keys(number, tape.segmenter.wants_key))
        frame = video_frame(numbered(number + 1, flash=number in flashes), key=is_key)
        frame.pts = start
        (packet,) = encoder.encode(frame)
        unit = parse(bytes(packet))
        if tape is None:
            tape = Tape(starts, end, Segmenter(track_of(unit, WIDTH, HEIGHT), audio))
        while heard < len(sound) and heard * FRAME * VIDEO_SCALE < start * RATE:
            tape.segmenter.add_sound(sound[heard])
            heard += 1
        tape.put(tape.segmenter.add_picture(Picture(start, unit.data, unit.key)))
    assert tape is not None
    for each in sound[heard:]:
        tape.segmenter.add_sound(each)
    tape.put(tape.segmenter.finish(end))
    return tape


@dataclass
class Shown:
    """What a reader of ours sees of a file.

    Attributes:
        counters: of the pictures, in order of showing.
        times: when each is shown, in seconds.
        flashes: numbers of the pictures shown that flash.
        duration: of the file, in seconds.
        sound: float32, mono, or None where there is no track.
    """

    counters: list[int]
    times: list[float]
    flashes: list[int]
    duration: float
    sound: NDArray[np.float32] | None
    sound_begins: float = 0.0


def shown(data: bytes) -> Shown:
    """Decode a file with FFmpeg, which must not complain."""
    with cast("Any", av.open(io.BytesIO(data))) as file:
        seen = Shown([], [], [], float(file.duration or 0) / av.time_base, None)
        for frame in file.decode(video=0):
            pixels = frame.to_ndarray(format="rgb24")
            code = read(pixels)
            assert code is not None, f"picture {len(seen.counters)} says no number"
            seen.counters.append(code.counter)
            seen.times.append(float(frame.time))
            if pixels[frame.height * 3 // 4, 8].mean() > 200:
                seen.flashes.append(len(seen.counters) - 1)
    with cast("Any", av.open(io.BytesIO(data))) as file:
        if file.streams.audio:
            frames = list(file.decode(audio=0))
            seen.sound_begins = float(frames[0].time)
            seen.sound = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return seen


def seen_in(tape: Tape, begin: int, end: int) -> list[int]:
    """Counters of the pictures that are visible from `begin` up to, not with, `end`."""
    ends = [*tape.starts[1:], tape.end]
    return [n + 1 for n, (a, b) in enumerate(zip(tape.starts, ends, strict=True)) if b > begin and a < end]
