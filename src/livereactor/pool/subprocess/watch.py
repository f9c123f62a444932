"""Learning of a process's end, and signalling it: by pidfd at once where the system has them (Linux).

Elsewhere a child's end is learned at once by a thread that waits for it, an adopted process's by asking twice a second.
Loop only, but for that thread.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from livereactor.pool.subprocess.records import ProcessRecord, birth, is_living

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
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(record.pid, signal.SIGKILL)


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
