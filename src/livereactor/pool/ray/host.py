"""Holds one Worker's process on a machine of a Ray cluster: what `driver.py` makes an actor of.

It imports nothing of Ray. Methods run on the actor's one event loop. Where the actor ends, however it ends, all that
the Worker started ends with it: else a GPU that Ray takes for free would not be.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from livereactor.base.tasks import set_within
from livereactor.pool.model_process import kill_group_led_by, start_process
from livereactor.pool.subprocess.logs import LAST_WORDS

# Seconds for which an actor whose process has ended, or has not begun, waits for a coordinator that was killed to come
# back; then it lets go of what Ray reserved for it.
KEPT: Final = 120.0
LAST_OUTPUT: Final = 1.0  # seconds; a process that left the Worker's group may hold its output open
# It waits for the end of its standard input, which no end of the actor, SIGKILL included, can hold back.
_WATCHDOG: Final = ("/bin/sh", "-c", 'read -r _; kill -s KILL -- "-$0"')


class WorkerHost:
    """One Worker's process. What it prints goes to the log that Ray keeps of the actor."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._code: int | None = None
        self._tail = b""
        self._gone = asyncio.Event()
        self._leave = _leaving()

    async def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it; raises OSError.

        Args:
            arguments: of this machine's Python.
            environment: added to the actor's own. It comes here, and not with the actor, whose arguments Ray keeps.
        """
        self._child, watchdog = await asyncio.to_thread(_spawn, arguments, environment)
        self._leave.cancel()
        watching = (self._child, watchdog, asyncio.get_running_loop())
        threading.Thread(target=self._watch, args=watching, name="end of the worker", daemon=True).start()

    async def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL for its group after `grace` seconds (0: at once); returns when it is gone."""
        if self._child is None or self._gone.is_set():
            return
        if grace > 0:
            self._child.send_signal(signal.SIGTERM)
            await set_within(self._gone, grace)
        if not self._gone.is_set():
            kill_group_led_by(self._child.pid)
            await self._gone.wait()

    async def ended(self) -> tuple[int | None, str]:
        """Wait for its end: its code, negative for a signal, and up to `LAST_WORDS` characters of its last words."""
        await self._gone.wait()
        return self._code, self._tail.decode(errors="replace").strip()[-LAST_WORDS:]

    def _watch(
        self, child: subprocess.Popen[bytes], watchdog: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Wait for the process to end and keep its exit code; runs in a thread of its own."""
        reader = threading.Thread(target=self._read, args=(child,), name="output of the worker", daemon=True)
        reader.start()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        kill_group_led_by(child.pid)  # before it is reaped: until then the group's number cannot be another's
        watchdog.kill()
        watchdog.wait()
        self._code = child.wait()
        reader.join(LAST_OUTPUT)
        self._leave = _leaving()
        loop.call_soon_threadsafe(self._gone.set)

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        with suppress(OSError), child.stdout as output:
            while chunk := os.read(output.fileno(), 64 * 1024):
                self._tail = (self._tail + chunk)[-4 * LAST_WORDS :]
                os.write(1, chunk)


def _spawn(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    child = start_process([sys.executable, *arguments], environment, stdout=subprocess.PIPE)
    return child, subprocess.Popen([*_WATCHDOG, str(child.pid)], stdin=subprocess.PIPE, start_new_session=True)


def _leaving() -> threading.Timer:
    timer = threading.Timer(KEPT, os._exit, [0])
    timer.daemon = True
    timer.start()
    return timer
