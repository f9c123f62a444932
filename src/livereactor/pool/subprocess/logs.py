"""Logs of workers, in a bounded file each. Files, not pipes: workers outlive the pool that started them.

A Worker appends to `<worker>.log` by itself. When that has grown too large, its end is kept as `<worker>.log.1` and the
file is emptied under the Worker's hands (it appends, so it goes on at the start); what it prints between the two is
lost. So a Worker takes at most two limits of disk, and what it can print between two visits.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

LOG_BYTES: Final = 4 * 1024 * 1024  # some 40,000 lines: a day of a talkative model
KEPT_LOGS: Final = 20  # of Workers that have ended: enough to see why the last ones did
LAST_WORDS: Final = 2_000  # characters


class WorkerLogs:
    """The logs in a folder.

    Args:
        limit_bytes: size from which on a log is emptied.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = LOG_BYTES) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes

    def open(self, worker: str) -> int:
        """A file descriptor that appends to its log; raises OSError."""
        return os.open(self._path(worker), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def rename(self, worker: str, becomes: str) -> None:
        """Rename a worker's log; the process goes on writing into it. Raises OSError."""
        self._path(worker).replace(self._path(becomes))

    def trim(self, worker: str) -> None:
        """Empty its log if it is too large; a disk that refuses is no reason to end anything."""
        path = self._path(worker)
        with suppress(OSError):
            if path.stat().st_size <= self._limit_bytes:
                return
            with suppress(OSError):  # no room to keep the end: emptying matters more
                path.with_suffix(".log.1").write_bytes(_tail(path, self._limit_bytes))
            os.truncate(path, 0)

    def last_words(self, worker: str) -> str:
        """The end of what it printed, up to `LAST_WORDS` characters."""
        with suppress(OSError):
            return _tail(self._path(worker), 4 * LAST_WORDS).decode(errors="replace").strip()[-LAST_WORDS:]
        return ""

    def prune(self, living: Collection[str]) -> None:
        """Keep the last `KEPT_LOGS` logs of the workers that have ended, none of them too large."""
        ended = sorted((path for path in self._folder.glob("*.log") if path.stem not in living), key=_modified)
        for path in ended[:-KEPT_LOGS]:
            for each in (path, path.with_suffix(".log.1")):
                with suppress(OSError):  # tried again at the next visit
                    each.unlink()
        for path in ended[-KEPT_LOGS:]:
            self.trim(path.stem)

    def _path(self, worker: str) -> Path:
        return self._folder / f"{worker}.log"


def _tail(path: Path, size_bytes: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size_bytes))
        return file.read(size_bytes)


def _modified(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
