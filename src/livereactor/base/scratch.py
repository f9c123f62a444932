"""Temporary folders that are held by a lock: what a killed process left of them, the next one that starts removes."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows, where the folders of a killed process stay
    fcntl = None

PREFIX: Final = "livereactor-"
_HELD: Final = ".held"


class Scratch:
    """A folder of this process's own, empty but for its lock.

    Args:
        purpose: part of its name, for an operator who looks for what fills the disk.

    Attributes:
        folder: the folder.
    """

    def __init__(self, purpose: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-"))
        # It gets its name once it is locked: a folder without one is just being made.
        self._lock = os.open(self.folder / ".new", os.O_CREAT | os.O_RDWR, 0o600)
        if fcntl is not None:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.folder / ".new").rename(self.folder / _HELD)

    def close(self) -> None:
        """Remove it with all that is in it; may be called twice."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            os.close(self._lock)
        self._lock = -1


def remove_left_over() -> int:
    """Remove the folders whose processes are gone; returns how many. Others' and those in use are not touched."""
    return sum(_remove(folder) for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def _remove(folder: Path) -> bool:
    if fcntl is None:
        return False
    try:
        lock = os.open(folder / _HELD, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # none of ours, or somebody else's
        return False
    try:
        if os.fstat(lock).st_uid != os.geteuid():
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        return True
    except OSError:  # it is in use
        return False
    finally:
        os.close(lock)
