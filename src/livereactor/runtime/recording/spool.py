"""The files of a recording on this machine: its newest Segments, for Clips to be cut from and to be stored from.

Appended on the recording's thread, read and released on others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from livereactor.base.scratch import Scratch
from livereactor.blobs.clips import chunk
from livereactor.media.segments import Append

MOST_PARTS: Final = 512  # of one writev; Linux takes 1,024


class Spool:
    """A temporary folder of one recording; `close` removes it."""

    def __init__(self) -> None:
        self._scratch = Scratch("recording")
        self.folder = self._scratch.folder
        self._file: int | None = None
        self._lock = threading.Lock()
        self._expired: set[int] = set()
        self._released: set[int] = set()

    def path(self, segment: int) -> Path:
        """Return the path of a Segment."""
        return self.folder / chunk(segment)

    def read(self, segment: int, offset: int, size: int) -> bytes:
        """Bytes of a Segment; raises `OSError` where it is gone."""
        with self.path(segment).open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read(size)

    def append(self, append: Append) -> int:
        """Write at the end of a Segment; returns how many bytes. Raises `OSError`: the disk is full, or gone."""
        if append.begins:
            self._close_file()
            self._file = os.open(self.path(append.segment), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        assert self._file is not None
        for begin in range(0, len(append.parts), MOST_PARTS):
            _write_all(self._file, append.parts[begin : begin + MOST_PARTS])
        return sum(map(len, append.parts))

    def expire(self, segment: int) -> None:
        """Mark a Segment as needed by no Clip; it is removed once it is released too."""
        self._go(segment, self._expired)

    def release(self, segment: int) -> None:
        """Mark a Segment as stored, or given up; it is removed once it is expired too."""
        self._go(segment, self._released)

    def end(self) -> None:
        """Close the file: nothing is appended any more."""
        self._close_file()

    def close(self) -> None:
        """Remove all of it; may be called twice."""
        self._close_file()
        self._scratch.close()

    def _go(self, segment: int, wish: set[int]) -> None:
        with self._lock:
            wish.add(segment)
            if segment not in self._expired or segment not in self._released:
                return
            self._expired.discard(segment)
            self._released.discard(segment)
        self.path(segment).unlink(missing_ok=True)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _write_all(file: int, parts: Sequence[bytes]) -> None:
    written = os.writev(file, parts)
    rest = b"".join(parts)[written:] if written < sum(map(len, parts)) else b""
    while rest:  # a disk that fills up writes a part first, and raises then
        rest = rest[os.write(file, rest) :]
