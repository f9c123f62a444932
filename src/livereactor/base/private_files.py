"""Files and folders that no other user of the machine can read. Without POSIX modes, no change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_OTHERS: Final = 0o077


def private_folder(folder: Path) -> int | None:
    """Make a folder with mode 0700, or take the rights of others from one that is there.

    Returns:
        The mode of a folder that stays open to others, because it is somebody else's; None = it is closed.

    Raises:
        OSError: it cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _closed(folder, os.O_RDONLY)


def private_file(path: Path) -> int | None:
    """Make an empty file with mode 0600, or take the rights of others from one that is there.

    Returns:
        The mode of a file that stays open to others, because it is somebody else's; None = it is closed.

    Raises:
        OSError: it cannot be made.
    """
    return _closed(path, os.O_RDWR | os.O_CREAT)


def _closed(path: Path, flags: int) -> int | None:
    if os.name != "posix":
        return None
    end = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        mode = os.fstat(end).st_mode & 0o7777
        if not mode & _OTHERS:
            return None
        try:
            os.fchmod(end, mode & ~_OTHERS)
        except PermissionError:
            return mode
        return None
    finally:
        os.close(end)
