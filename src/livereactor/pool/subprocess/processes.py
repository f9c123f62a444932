"""The processes of a subprocess pool: a record of each, so that the next pool finds it, its end, and signals to it.

A process is known by its number and by when it began, which no later process with the same number shares. Its end is
learned, and it is signalled, by pidfd where the system has them (Linux). Elsewhere a child's end is learned at once by
a thread that waits for it, an adopted process's by asking twice a second. Loop only, but for that thread.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from livereactor.pool.model_process import kill_group_led_by

POLL_EVERY: Final = 0.5  # seconds; an end is promised to be known within one second


class ProcessWatch(Protocol):
    """Calls back once, on the loop, when its process has ended."""

    def signal(self, number: int) -> None:
        """Send a signal to this process and to no later one of its number; one that has ended is no error."""
        ...

    def close(self) -> None:
        """Watch no more; may be called twice."""
        ...


def watch(record: ProcessRecord, child: subprocess.Popen[bytes] | None, gone: Callable[[], None]) -> ProcessWatch:
    """Watch a child of ours, or (None) an adopted process; `gone` may be called as soon as the loop runs on."""
    try:
        return _PidfdWatch(record, gone)
    except (AttributeError, OSError):  # no pidfds on this system, or none left
        return _ChildWatch(child, gone) if child is not None else _PollWatch(record, gone)


def kill_group(record: ProcessRecord) -> None:
    """SIGKILL for all that a Worker started and left in its group, and for itself."""
    if birth(record.pid) in (None, record.born):  # else its number, and with it the group's, is another's by now
        kill_group_led_by(record.pid)


class _PidfdWatch:
    def __init__(self, record: ProcessRecord, gone: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = os.pidfd_open(record.pid)
        # Looked at after opening: that the number is the recorded process's now proves whose the descriptor is.
        if birth(record.pid) != record.born:
            self.close()
            raise ProcessLookupError(record.pid)
        self._loop.add_reader(self._fd, gone)

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, number)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class _ChildWatch:
    def __init__(self, child: subprocess.Popen[bytes], gone: Callable[[], None]) -> None:
        self._child, self._gone, self._is_open = child, gone, True
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._wait, name=f"end of {child.pid}", daemon=True).start()

    def signal(self, number: int) -> None:
        self._child.send_signal(number)

    def close(self) -> None:
        self._is_open = False

    def _wait(self) -> None:
        self._child.wait()
        with suppress(RuntimeError):  # the loop has ended before the process did
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if self._is_open:
            self._gone()


class _PollWatch:
    def __init__(self, record: ProcessRecord, gone: Callable[[], None]) -> None:
        self._record, self._gone = record, gone
        self._task = asyncio.create_task(self._poll(), name=f"end of {record.worker}")

    def signal(self, number: int) -> None:
        if is_living(self._record):
            with suppress(ProcessLookupError):
                os.kill(self._record.pid, number)

    def close(self) -> None:
        self._task.cancel()

    async def _poll(self) -> None:
        while await asyncio.to_thread(is_living, self._record):  # noqa: ASYNC110  nothing tells of a stranger's end
            await asyncio.sleep(POLL_EVERY)
        asyncio.get_running_loop().call_soon(self._gone)


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
        """Find a process by its arguments: the pool was killed before it wrote the number of the process."""
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
