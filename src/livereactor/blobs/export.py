"""Export of a Recording from the blobs as one ordinary MP4, also where its Worker was killed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

from livereactor.blobs.clips import INIT, chunk, part_key
from livereactor.blobs.port import BlobKey, BlobMissingError, Blobs
from livereactor.media.clip import NothingRecordedError
from livereactor.media.recovery import recover
from livereactor.media.whole import whole_film, write

_SEGMENT: Final = re.compile(r"recordings/[^/]+/chunk_([0-9]+)\.m4s")


@dataclass(frozen=True, slots=True)
class Exported:
    """The outcome of an export.

    Attributes:
        seconds: length of the film.
        segments: number of Segments in the film.
        left_out: number of Segments that are kept and not in it: they follow one that is torn or missing.
    """

    seconds: float
    segments: int
    left_out: int


async def export(blobs: Blobs, recording: str, target: Path) -> Exported:
    """Write a Recording to `target`, whole or not at all. Needs twice its size on the disk meanwhile.

    Raises:
        NothingRecordedError: no picture of the Recording is kept.
        DamagedError: not a Recording of ours.
        OSError: the film cannot be written.
    """
    found = [_SEGMENT.fullmatch(each.key.path) async for each in blobs.list(BlobKey(f"recordings/{recording}"))]
    numbers = sorted(int(each[1]) for each in found if each is not None)
    with TemporaryDirectory(prefix=".film-", dir=target.parent) as name:
        folder = Path(name)
        try:
            init = await blobs.get(part_key("recordings", recording, INIT))
            for number in numbers:
                await _fetch(blobs, part_key("recordings", recording, chunk(number)), folder / chunk(number))
        except BlobMissingError as error:
            raise NothingRecordedError("its pictures are missing or expired; export another session") from error
        exported = await asyncio.to_thread(_write, init, folder, numbers)
        (folder / "film.mp4").replace(target)
    return exported


async def _fetch(blobs: Blobs, key: BlobKey, path: Path) -> None:
    with path.open("wb") as file:
        async for piece in blobs.stream(key):
            file.write(piece)


def _write(init: bytes, folder: Path, numbers: Sequence[int]) -> Exported:
    def opened() -> Iterator[tuple[int, BinaryIO]]:
        for number in numbers:
            with (folder / chunk(number)).open("rb") as file:
                yield number, file

    def read(segment: int, offset: int, size_bytes: int) -> bytes:
        with (folder / chunk(segment)).open("rb") as file:
            file.seek(offset)
            return file.read(size_bytes)

    found = recover(init, opened())
    film = whole_film(found.excerpt(0, found.end, read))
    with (folder / "film.mp4").open("wb") as file:
        write(film, file, read)
    used = sum(1 for size in found.sizes.values() if size)
    return Exported(film.duration, used, len(numbers) - used)
