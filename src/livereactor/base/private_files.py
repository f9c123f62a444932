"""Files and folders that no other user of the machine can read. Without POSIX modes, no change."""

from __future__ import annotations

import errno
import os
import stat
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
    return _close(folder)


def private_file(path: Path) -> int | None:
    """Make an empty file with mode 0600, or take the rights of others from one that is there.

    Returns:
        The mode of a file that stays open to others, because it is somebody else's; None = it is closed.

    Raises:
        OSError: it cannot be made, or is no file.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return close_file(path)
    return None


def close_file(path: Path) -> int | None:
    """Take the rights of others from a file that is there; as `private_file`.

    The file is not opened: to close it would take the locks of this process, such as SQLite's, from it.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a file", str(path))
    return _close(path)


def _close(path: Path) -> int | None:
    if os.name != "posix":
        return None
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & _OTHERS:
        return None
    try:
        path.chmod(mode & ~_OTHERS)
    except PermissionError:
        return mode
    return None
