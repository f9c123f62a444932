"""P10: a whole recording as one ordinary MP4: how fast, and how much memory, index included."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bench.frame import Figure
from bench.stand import OURS, Stand
from livereactor.media.aac import RATE, SoundLine
from livereactor.media.avc import AccessUnit, parse, track_of
from livereactor.media.boxes import VIDEO_SCALE, AudioTrack
from livereactor.media.encoder import make_encoder
from livereactor.media.frames import VideoCodec
from livereactor.media.recovery import recover
from livereactor.media.segments import Append, Picture, Segmenter
from livereactor.media.whole import whole_film, write
from livereactor.probes.results import Result

WIDTH, HEIGHT, FPS = 640, 360, 30
HOUR = 3600  # seconds
LOOP = 10  # seconds that are encoded, and recorded again and again
BPS = 1_500_000
SHIFTS = 4  # pixels that the picture moves by


async def p10(stand: Stand) -> Sequence[Result]:
    """An hour of pictures and sound, fed at full speed; a fresh process reads what lies there and writes the film."""
    with tempfile.TemporaryDirectory() as folder:
        # Processes of their own: what a process has had in memory once, it shows ever after.
        for work in (_record, _export):
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                values = pool.submit(work, Path(folder)).result()
    return [Result("P10", OURS, "recorder", "1 h, 360p and sound", values, "", 1)]


def _record(folder: Path) -> dict[str, float]:
    pictures, (audio, sound) = _pictures(), _sound()
    segmenter = Segmenter(track_of(pictures[0], WIDTH, HEIGHT), audio)
    (folder / "init.mp4").write_bytes(segmenter.init)
    interval, heard = VIDEO_SCALE // FPS, 0
    with ExitStack() as stack:
        files = _Files(folder, stack)
        for number in range(HOUR * FPS):
            while heard * 1024 * FPS < number * RATE:
                segmenter.add_sound(sound[heard % len(sound)])
                heard += 1
            unit = pictures[number % len(pictures)]
            files.put(segmenter.add_picture(Picture(number * interval, unit.data, unit.key)))
        files.put(segmenter.finish(HOUR * VIDEO_SCALE))
    return {}


def _export(folder: Path) -> dict[str, float]:
    before, began = _peak_mb(), time.perf_counter()
    found = recover((folder / "init.mp4").read_bytes(), _opened(folder))
    indexed = time.perf_counter()

    def read(segment: int, offset: int, size: int) -> bytes:
        with _path(folder, segment).open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read(size)

    film = whole_film(found.excerpt(0, found.end, read))
    with (folder / "film.mp4").open("wb") as target:
        write(film, target, read)
    ended = time.perf_counter()
    return {
        "times real time": round(HOUR / (ended - indexed)),
        "times real time, its index read from the files too": round(HOUR / (ended - began)),
        "MB of memory": round(_peak_mb() - before, 1),
        "MB of index": round((found.pictures.size_bytes + found.sound.size_bytes) / 1e6, 1),
        "MB of film": round(film.size_bytes / 1e6),
    }


def _pictures() -> list[AccessUnit]:
    """A texture that moves, a key frame each second."""
    texture = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) // 4
    texture += (np.mgrid[0:HEIGHT, 0:WIDTH][1] // 4).astype(np.uint8)[..., None]
    encoder = make_encoder(VideoCodec.H264, width=WIDTH, height=HEIGHT, fps=FPS, bps=BPS)
    return [
        parse(encoder.encode(np.roll(texture, n * SHIFTS, 1), key=n % FPS == 0, captured_us=n * 33_333).data)
        for n in range(LOOP * FPS)
    ]


def _sound() -> tuple[AudioTrack, Sequence[bytes]]:
    line = SoundLine(RATE, 2)
    tone = np.sin(np.arange(LOOP * RATE) * 2 * np.pi * 440 / RATE) * 0.3
    tone += np.random.default_rng(1).normal(0, 0.05, len(tone))
    return line.track, line.play(0.0, np.stack([tone, tone], axis=1))


class _Files:
    """Segments as the recorder writes them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._file: BinaryIO | None = None

    def put(self, appended: Sequence[Append]) -> None:
        for each in appended:
            if each.begins:
                self._stack.close()
                self._file = self._stack.enter_context(_path(self._folder, each.segment).open("wb"))
            assert self._file is not None
            self._file.writelines(each.parts)


def _opened(folder: Path) -> Iterator[tuple[int, BinaryIO]]:
    number = 0
    while (path := _path(folder, number)).exists():
        with path.open("rb") as file:
            yield number, file
        number += 1


def _path(folder: Path, segment: int) -> Path:
    return folder / f"chunk_{segment:05}.m4s"


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


FIGURES = (
    Figure("P10", "export of a whole recording", "1,000 times real time, 25 MB of memory an hour, index included", p10),
)
