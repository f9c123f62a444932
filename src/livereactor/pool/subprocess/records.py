"""Records of a subprocess pool's processes, a small file each, so that the next pool finds them.

A process is known by its number and by when it began, which no later process with the same number shares.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A Worker's process.

    Attributes:
        pid: 0 = it was about to be started when this was written.
        born: its `birth`.
    """

    worker: str
    model: str
    target: str
    pid: int = 0
    born: str = ""


class Records:
    """The records in a folder, `<worker>.json` each, whole or not there. Raises OSError where it cannot write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, record: ProcessRecord) -> None:
        """Write or replace one."""
        path = self._path(record.worker)
        draft = path.with_suffix(".draft")
        # No fsync: what a power failure takes from the file, it takes from the process too.
        draft.write_text(json.dumps(asdict(record)), encoding="utf-8")
        draft.replace(path)

    def forget(self, worker: str) -> None:
        """Delete one; none there is fine."""
        self._path(worker).unlink(missing_ok=True)

    def read(self) -> Sequence[ProcessRecord]:
        """All of them, each with its process found; one that was never started, or cannot be read, is deleted."""
        found: list[ProcessRecord] = []
        for path in sorted(self._folder.glob("*.json")):
            record = _read(path)
            if record is not None and record.pid == 0:
                record = self._found(record)
            if record is None:
                with suppress(OSError):  # the next pool may
                    path.unlink()
            else:
                found.append(record)
        return found

    def _found(self, record: ProcessRecord) -> ProcessRecord | None:
        """The pool was killed between starting a process and writing its number: it is looked for by its arguments."""
        pid = _with_argument(record.worker)
        born = birth(pid) if pid is not None else None
        if pid is None or born is None:
            return None
        record = replace(record, pid=pid, born=born)
        self.write(record)
        return record

    def _path(self, worker: str) -> Path:
        return self._folder / f"{worker}.json"


def birth(pid: int) -> str | None:
    """Return when the process with this number began, also of a dead but unreaped one; None without a process.

    On Linux ticks since a boot, whose id is part of it; elsewhere what `ps` says, to the second.
    """
    if not _PROC.is_dir():
        return _ps(pid, "lstart")
    stat = _stat(pid)
    return f"{_boot()}:{stat[19]}" if stat is not None else None


def is_living(record: ProcessRecord) -> bool:
    """The process with its number is still the recorded one, and has not ended."""
    if birth(record.pid) != record.born:
        return False
    if not _PROC.is_dir():
        return not (_ps(record.pid, "stat") or "Z").startswith("Z")
    stat = _stat(record.pid)
    return stat is not None and stat[0] not in ("Z", "X")


def _read(path: Path) -> ProcessRecord | None:
    try:
        return ProcessRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on; the second is a name, which may hold anything."""
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _boot() -> str:
    with suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def _ps(pid: int, column: str) -> str | None:
    done = subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    )
    return done.stdout.strip() or None


def _with_argument(argument: str) -> int | None:
    for path in _PROC.glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if argument.encode() in path.read_bytes().split(b"\0"):
                return int(path.parent.name)
    return None
