"""A file on its way out: opened, measured, hashed and read on a thread, handed over piece by piece."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, cast

from livereactor.base.limits import KIB, MIB
from livereactor.client.errors import error_of

READ: Final = MIB  # a thread reads so much at a time
# Handed to the network at a time: little where it is slow, as each piece has to leave within its patience; much where
# it is quick, as each has its price (5 MiB over loopback: 14 ms of CPU in the smallest pieces, 10 in the largest).
SMALLEST, LARGEST, QUICK = 64 * KIB, 512 * KIB, 0.05  # bytes, bytes, seconds

Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
Progress: TypeAlias = Callable[[int, int], object]
"""Called on the loop with the bytes sent so far and all there are."""


@dataclass(slots=True)
class Content:
    """Bytes to be read, from `start` of a file on; `close` is for what we opened."""

    name: str
    size: int
    file: BinaryIO
    is_ours: bool
    start: int = 0

    def close(self) -> None:
        if self.is_ours:
            self.file.close()


class Stream:
    """A content on its way: read in a thread, handed over piece by piece, `sent` bytes so far.

    Attributes:
        failure: what the file, or the program's `on_progress`, raised.
        moved_at: when a piece was last taken by the network, monotonic seconds.
    """

    def __init__(self, content: Content, on_progress: Progress | None) -> None:
        self._content, self._on_progress = content, on_progress
        self.sent = self._told = 0
        self.moved_at = 0.0
        self.failure: Exception | None = None

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self._content.size

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """Exactly as many bytes as were announced, less the first `start`."""
        with self._noting():
            await asyncio.to_thread(self._content.file.seek, self._content.start + start)
        total, size, self.sent = self._content.size, SMALLEST, start
        while left := total - self.sent:
            block = await self._read(min(READ, left))
            begin = 0
            while piece := block[begin : begin + size]:
                handed_at = time.monotonic()
                yield piece
                self.moved_at = time.monotonic()
                is_quick = self.moved_at - handed_at < QUICK
                size = min(size * 2, LARGEST) if is_quick else max(size // 2, SMALLEST)
                begin += len(piece)
                self.sent += len(piece)
                if self.sent < total:  # the last is told once the server has it
                    self.tell(self.sent)

    def tell(self, sent: int) -> None:
        """Say how far it is, unless it has been further: what is sent again is not told again."""
        if self._on_progress is not None and sent > self._told:
            self._told = sent
            with self._noting():
                self._on_progress(sent, self._content.size)

    async def _read(self, size: int) -> bytes:
        with self._noting():
            block = await asyncio.to_thread(self._content.file.read, size)
            if not block:
                ended = f"the file ended at {self.sent} of {self._content.size} bytes"
                text = f"{ended}: it changed while it was sent; upload it again"
                raise error_of("UPLOAD_FAILED", text, component="client")
        return block

    @contextmanager
    def _noting(self) -> Generator[None]:
        try:
            yield
        except Exception as error:
            self.failure = error
            raise


class Digest:
    """SHA-256 of a content, taken while something else is waited for; nobody else may read the file meanwhile."""

    def __init__(self, content: Content) -> None:
        self._content, self._is_wanted = content, True

    async def __aenter__(self) -> Digest:
        self._taking = asyncio.create_task(asyncio.to_thread(self._take), name="upload digest")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_wanted = False
        await asyncio.wait([self._taking])  # what it raised, who reads the file next meets again

    async def text(self) -> str:
        """As RFC 9530 writes it; raises what reading the file raised."""
        return f"sha-256=:{base64.b64encode(await self._taking).decode()}:"

    def _take(self) -> bytes:
        file, left, taken = self._content.file, self._content.size, hashlib.sha256()
        while left and self._is_wanted and (block := file.read(min(READ, left))):
            taken.update(block)
            left -= len(block)
        return taken.digest()


def open_content(file: Source) -> Content:
    """On a thread: files may lie on slow disks."""
    if isinstance(file, bytes | bytearray | memoryview):
        content = Content("", memoryview(file).nbytes, io.BytesIO(file), is_ours=True)
    elif isinstance(file, str | os.PathLike):
        opened = Path(file).open("rb")  # noqa: SIM115  (closed after the last byte)
        content = _measured(opened, Path(file).name, is_ours=True)
    elif hasattr(file, "read") and not isinstance(file, io.TextIOBase):
        own: Any = getattr(file, "name", "")
        content = _measured(file, Path(own).name if isinstance(own, str) else "", is_ours=False)
    else:
        raise TypeError(f"want a path, bytes or a file opened with 'rb', got {type(file).__name__}")
    if content.size == 0:
        content.close()
        raise ValueError("the file is empty; there is nothing to upload")
    return content


def _measured(file: BinaryIO, name: str, *, is_ours: bool) -> Content:
    """How much there is to read; what cannot be measured, such as a pipe, is read to a file first."""
    with suppress(OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        here = file.tell()
        size = file.seek(0, io.SEEK_END) - here
        file.seek(here)
        return Content(name, size, file, is_ours, here)
    copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  (closed after the last byte)
    shutil.copyfileobj(file, copy)
    size = copy.tell()
    copy.seek(0)
    if is_ours:
        file.close()
    return Content(name, size, copy, is_ours=True)
