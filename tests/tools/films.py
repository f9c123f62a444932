"""A recording as a server keeps it: an init segment and fragmented parts of H.264 and AAC, made with PyAV.

Every picture has its number on it and the sound is a tone, so that a test can tell what a film was cut from.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.logging
import numpy as np

from livereactor.media.frames import Pixels
from livereactor.probes.watching import Barcode, draw_barcode, read_barcode

FPS, RATE, TONE = 30, 48_000, 1_000
AAC_FRAME = 1024
TICK = 1 / 90_000


@dataclass(frozen=True)
class Film:
    """`parts` begin with a key frame each; `numbers` are those of the pictures in them."""

    init: bytes
    parts: tuple[bytes, ...]
    numbers: tuple[range, ...]

    def __getitem__(self, wanted: slice) -> Film:
        return Film(self.init, self.parts[wanted], self.numbers[wanted])

    @property
    def shown(self) -> list[int]:
        return [number for numbers in self.numbers for number in numbers]


def make_film(seconds: int, *, part_seconds: int = 1, sound: bool = True, width: int = 320, height: int = 180) -> Film:
    """`seconds` of film from time 0, in parts of `part_seconds`."""
    packed = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    gop = FPS * part_seconds
    with av.open(packed, "w", format="mp4", options=options) as container:
        video = cast("Any", container.add_stream("libx264", rate=FPS))
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = Fraction(1, FPS)
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(gop), "keyint_min": str(gop)}
        audio = cast("Any", container.add_stream("aac", rate=RATE, layout="stereo")) if sound else None
        samples = 0
        for number in range(seconds * FPS):
            picture = av.VideoFrame.from_ndarray(_picture(number, width, height), format="rgb24")
            picture.pts = number
            container.mux(video.encode(picture))
            while audio is not None and samples * FPS < (number + 1) * RATE:
                container.mux(audio.encode(_tone(samples)))
                samples += AAC_FRAME
        for stream in (video, audio):
            if stream is not None:
                container.mux(stream.encode(None))
    init, parts = split(packed.getvalue())
    numbers = [range(at, min(at + gop, seconds * FPS)) for at in range(0, seconds * FPS, gop)]
    return Film(init, tuple(parts), tuple(numbers))


def pictures(film: Path | bytes | str) -> list[tuple[float, int]]:
    """When each picture of a film is shown, in seconds, and the number on it; raises where it does not decode.

    A text is the address of one.
    """
    with av.open(io.BytesIO(film) if isinstance(film, bytes) else str(film), "r") as container:
        found: list[tuple[float, int]] = []
        for picture in container.decode(video=0):
            code = read_barcode(cast("Pixels", picture.to_ndarray(format="rgb24")))
            assert code is not None
            found.append((float(picture.time or 0), code.counter))
        return found


def late_pictures(film: Path, recording: Path, start: float, end: float) -> int:
    """How many pictures at its end a clip of these seconds lacks; raises where it shows any that is not of them.

    The last ones may not have been encoded when it was asked for.
    """
    shown, wanted = _shown_and_wanted(film, recording, start, end)
    assert shown == wanted[: len(shown)], (shown, wanted)
    return len(wanted) - len(shown)


def misses(film: Path, recording: Path, start: float, end: float) -> tuple[int, int]:
    """How many pictures a clip of these seconds has too many before its first and behind its last; below 0: too few."""
    shown, wanted = _shown_and_wanted(film, recording, start, end)
    return wanted[0] - shown[0], shown[-1] - wanted[-1]


def _shown_and_wanted(film: Path, recording: Path, start: float, end: float) -> tuple[list[int], list[int]]:
    recorded, shown = pictures(recording), [number for _, number in pictures(film)]
    first = max(at for at, _ in recorded if at <= start + TICK)
    return shown, [number for at, number in recorded if first <= at < end - TICK]


def length(film: Path | bytes) -> float:
    """Seconds from 0 to where the last picture goes or the last sound ends."""
    return max(lengths(film).values())


def lengths(film: Path | bytes) -> dict[str, float]:
    """As `length`, of the video and of the audio."""
    with av.open(io.BytesIO(film) if isinstance(film, bytes) else str(film), "r") as container:
        ends: dict[str, float] = {}
        for packet in container.demux():
            if packet.pts is not None and packet.duration is not None:
                end = float((packet.pts + packet.duration) * packet.time_base)
                ends[packet.stream.type] = max(end, ends.get(packet.stream.type, 0.0))
        return ends


def complaints(film: Path | bytes) -> list[str]:
    """What FFmpeg says of a film while it decodes all of it: nothing, where it is well."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with (
            av.logging.Capture(local=False) as said,
            av.open(io.BytesIO(film) if isinstance(film, bytes) else str(film), "r") as container,
        ):
            for _ in container.decode():
                pass
        return [text for _, _, text in said]
    finally:
        av.logging.set_level(level)


def _picture(number: int, width: int, height: int) -> Pixels:
    pixels = np.full((height, width, 3), 60, np.uint8)
    draw_barcode(pixels, Barcode(number, number * 1_000_000 // FPS))
    return pixels


def _tone(start: int) -> av.AudioFrame:
    times = np.arange(start, start + AAC_FRAME) / RATE
    wave = (0.3 * np.sin(2 * np.pi * TONE * times)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts = RATE, start
    return frame


def boxes(data: bytes) -> list[tuple[str, bytes]]:
    """The boxes at the top of an MP4, header included."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        assert size >= 8, "a box of an odd size"
        found.append((data[at + 4 : at + 8].decode("latin-1"), data[at : at + size]))
        at += size
    return found


def split(data: bytes) -> tuple[bytes, list[bytes]]:
    """A fragmented MP4 as init segment and parts."""
    init, parts = b"", list[bytes]()
    for kind, box in boxes(data):
        if kind == "moof":
            parts.append(box)
        elif kind == "mdat":
            parts[-1] += box
        elif kind in ("ftyp", "moov"):
            init += box
    return init, parts
