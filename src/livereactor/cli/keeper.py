"""The keeper of a Worker that no pool started: starts it as a child, tells its death at once, starts it again.

It imports no model and holds no GPU, so what a model does to its process cannot end the keeper with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Final

from livereactor.pool.port import Ended

BACK_OFF: Final = 0.5  # seconds before the first restart, doubled with each
BACK_OFF_MAX: Final = 30.0
HEALTHY: Final = 60.0  # seconds after which a crash is the first one again
TELL_TIMEOUT: Final = 5.0  # seconds; the lease tells the same after 15
# Drained, called wrongly or with a wrong secret, interrupted: starting it again would change nothing.
FINAL_CODES: Final = frozenset({0, 2, 130})
MODEL_FAILED: Final = 3


class Restarts:
    """When a Worker that ended is started again. Pure."""

    def __init__(self) -> None:
        self._crashes, self._served = 0, False

    def after(self, code: int, *, lived: float) -> float | None:
        """Seconds until the next start; None = it is not started again.

        Args:
            code: its exit code, negative for a signal.
            lived: seconds between its start and its end.
        """
        if lived >= HEALTHY:
            self._crashes, self._served = 0, True
        # A model that never loaded is its author's to mend; one that did may load again when its GPU is back.
        if code in FINAL_CODES or (code == MODEL_FAILED and not self._served):
            return None
        self._crashes += 1
        return min(BACK_OFF * 2 ** (self._crashes - 1), BACK_OFF_MAX)


class Keeper:
    """One Worker's, process after process. Main thread only.

    Args:
        command: the arguments of a process that serves under this id; it ends when its stdin does (`end_with_stdin`).
        new_id: gives the id of each process.
        tell: told how each ended that did not end in order.
        grace: seconds that a process gets to finish its Sessions when we are asked to end.
    """

    def __init__(
        self,
        command: Callable[[str], Sequence[str]],
        new_id: Callable[[], str],
        tell: Callable[[Ended], None],
        *,
        grace: float,
    ) -> None:
        self._command, self._new_id, self._tell, self._grace = command, new_id, tell, grace
        self._child: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()

    def run(self) -> int:
        """Until the Worker ends for good, or we are asked to; its exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)
        restarts = Restarts()
        while True:
            worker, began = self._new_id(), time.monotonic()
            code = self._one(worker)
            if code not in FINAL_CODES:
                self._tell(Ended(worker, code))
            pause = restarts.after(code, lived=time.monotonic() - began)
            if pause is None or self._ending.is_set():
                return code if code >= 0 else 128 - code
            print(f"livereactor: {Ended(worker, code).reason}; another is started in {pause} s", file=sys.stderr)
            if self._ending.wait(pause):
                return 0

    def _one(self, worker: str) -> int:
        """Start a process and wait for its end."""
        # A group of its own: Ctrl-C in the terminal reaches us, and we ask it once. Its stdin ends when we do.
        with subprocess.Popen(list(self._command(worker)), stdin=subprocess.PIPE, process_group=0) as child:
            self._child = child
            if self._ending.is_set():
                child.terminate()
            code = child.wait()
            _kill_group(child.pid)
        return code

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        child = self._child
        if self._ending.is_set():  # asked twice: nobody waits any more
            if child is not None:
                _kill_group(child.pid)
            os._exit(130)
        self._ending.set()
        if child is not None:
            child.terminate()
            timer = threading.Timer(self._grace, _kill_group, [child.pid])
            timer.daemon = True
            timer.start()


def teller(coordinator: str, secret: str) -> Callable[[Ended], None]:
    """Tells a coordinator of a Worker's death; what does not reach it in time, the lease tells."""

    def tell(ended: Ended) -> None:
        asked = urllib.request.Request(
            f"{coordinator.rstrip('/')}/workers/{ended.worker}/died",
            data=json.dumps({"reason": ended.reason}).encode(),
            headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
            method="POST",
        )
        with suppress(OSError), urllib.request.urlopen(asked, timeout=TELL_TIMEOUT):
            pass

    return tell


def end_with_stdin() -> None:
    """In the kept process: ask ourselves to end when the keeper is gone."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="keeper", daemon=True).start()


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
