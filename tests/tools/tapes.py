"""Recordings made by our own parts, in memory: numbered pictures that flash, a sound that beeps with them."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

import av
import av.logging
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from livereactor.media.aac import SoundLine
from livereactor.media.avc import fits, parse, track_of
from livereactor.media.boxes import VIDEO_SCALE, AudioTrack
from livereactor.media.colour import to_planes
from livereactor.media.excerpt import Excerpt
from livereactor.media.frames import Pixels
from livereactor.media.segments import Append, Picture, Segmenter
from livereactor.probes.watching import Barcode, draw_barcode, read_barcode

WIDTH, HEIGHT = 160, 96
RATE = 48_000
FRAME = 1024  # samples of sound in an AAC frame
BEEP = 0.04  # seconds


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

    def read_all(self) -> bytes:
        return b"".join(bytes(self.files[number]) for number in sorted(self.files))

    def excerpt(self, begin: int, end: int) -> Excerpt:
        return self.segmenter.excerpt(begin, end, self.read)

    def whole(self) -> bytes:
        """As a player gets it that is given all segments."""
        return self.segmenter.init + self.read_all()


def numbered(counter: int, *, flash: bool = False, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """A picture that says its number, with a bright lower half where it flashes."""
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[height // 3 :, (counter * 5) % width :][:, :8] = 160
    if flash:
        pixels[height // 2 :] = 230
    draw_barcode(pixels, Barcode(counter, counter))
    return pixels


def video_frame(pixels: Pixels, *, key: bool = False) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(to_planes(pixels).buffer, format="yuv420p")
    frame.time_base = Fraction(1, VIDEO_SCALE)
    frame.pict_type = PictureType.I if key else PictureType.NONE
    return frame


def record(
    encoder: VideoCodecContext | Callable[[int], VideoCodecContext],
    starts: Sequence[int],
    *,
    end: int,
    keys: Callable[[int, bool], bool] = lambda number, wanted: wanted,
    flashes: Collection[int] = (),
    audio: AudioTrack | None = None,
    sound: Sequence[bytes] = (),
) -> Tape:
    """Encode and segment pictures.

    Args:
        encoder: of all pictures, or of the one of a number; another one begins with a key frame.
        keys: whether this picture is a key frame, given its number and whether the segmenter wants one.
        flashes: numbers of pictures that flash.
        sound: AAC frames from the recording's begin.
    """
    tape: Tape | None = None
    heard, used = 0, None
    for number, start in enumerate(starts):
        now = encoder(number) if callable(encoder) else encoder
        is_key = now is not used or (tape is not None and keys(number, tape.segmenter.wants_key))
        frame, used = video_frame(numbered(number + 1, flash=number in flashes), key=is_key), now
        frame.pts = start
        (packet,) = now.encode(frame)
        unit = parse(bytes(packet))
        if tape is None:
            tape = Tape(starts, end, Segmenter(track_of(unit, WIDTH, HEIGHT), audio))
        assert fits(unit, tape.segmenter.video)
        while heard < len(sound) and heard * FRAME * VIDEO_SCALE < start * RATE:
            tape.segmenter.add_sound(sound[heard])
            heard += 1
        tape.put(tape.segmenter.add_picture(Picture(start, unit.data, unit.key)))
    assert tape is not None
    for each in sound[heard:]:
        tape.segmenter.add_sound(each)
    tape.put(tape.segmenter.finish(end))
    return tape


def beeping(flashes: Collection[int], starts: Sequence[int], *, end: int) -> tuple[AudioTrack, list[bytes]]:
    """Sound that beeps with pictures that flash, and is nowhere else; the bits between do not come at all."""
    line, frames = SoundLine(RATE, 1), list[bytes]()
    tone = np.sin(np.arange(round(BEEP * RATE)) * 2 * np.pi * 2000 / RATE)[:, None] * 0.5
    for number in sorted(flashes):
        frames += line.play(starts[number] / VIDEO_SCALE, tone)
    return line.track, [*frames, *line.finish(end / VIDEO_SCALE)]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader that is not ours sees of a file.

    Attributes:
        counters: of the pictures, in order of showing.
        times: when each is shown, in seconds.
        flashes: when pictures that flash are.
        beeps: when beeps begin; empty where there is no sound.
        duration: of the file, in seconds.
    """

    counters: list[int]
    times: list[float]
    flashes: list[float]
    beeps: list[float]
    duration: float


def seen(data: bytes) -> Seen:
    """Read a file with FFmpeg, which must not find fault with it."""
    av.logging.set_level(av.logging.WARNING)
    with av.logging.Capture() as complaints:
        pictures, flashes, duration = _pictures(data)
        beeps = _beeps(data)
    assert not complaints, complaints
    return Seen([counter for _, counter in pictures], [time for time, _ in pictures], flashes, beeps, duration)


def _pictures(data: bytes) -> tuple[list[tuple[float, int]], list[float], float]:
    pictures, flashes = list[tuple[float, int]](), list[float]()
    with cast("Any", av.open(io.BytesIO(data))) as file:
        for frame in file.decode(video=0):
            pixels = frame.to_ndarray(format="rgb24")
            code = read_barcode(pixels)
            assert code is not None, f"the picture behind {pictures[-1:]} says no number"
            pictures.append((float(frame.time), code.counter))
            if pixels[frame.height * 3 // 4].mean() > 200:
                flashes.append(float(frame.time))
        return pictures, flashes, file.duration / av.time_base


def _beeps(data: bytes) -> list[float]:
    with cast("Any", av.open(io.BytesIO(data))) as file:
        if not file.streams.audio:
            return []
        frames = list(file.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    loud = np.flatnonzero(np.abs(samples) > 0.15) / RATE
    begins = loud[np.diff(loud, prepend=-1.0) > BEEP / 2] + float(frames[0].time)
    return begins.tolist()


def visible(tape: Tape, begin: int, end: int) -> list[int]:
    """Counters of the pictures that are visible from `begin` up to, not with, `end`."""
    ends = [*tape.starts[1:], tape.end]
    return [n + 1 for n, (a, b) in enumerate(zip(tape.starts, ends, strict=True)) if b > begin and a < end]
