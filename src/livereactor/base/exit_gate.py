"""A gate before native code on daemon threads: closed before the interpreter is finalized.

Python before 3.14 ends a daemon thread that takes the interpreter lock during finalization by unwinding its stack.
Where OpenCV, PyAV or another C++ library has released the lock, that unwinding goes through C++ frames, which abort the
process: "FATAL: exception not rethrown", or "terminate called without an active exception". A call longer than
`PATIENCE` is not waited for, and may still end that way.
"""

from __future__ import annotations

import atexit
import threading
from typing import Final

PATIENCE: Final = 2.0  # seconds for the calls under way at exit; one that hangs must not keep the process


class ExitGate:
    """A context for calls of daemon threads that may run native code. Cheap: a lock is taken twice."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self._is_closed = False

    def __enter__(self) -> None:
        with self._changed:
            if self._is_closed:
                raise SystemExit  # ends the thread, silently
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            if self._is_closed:
                self._changed.notify_all()

    def close(self, patience: float = PATIENCE) -> bool:
        """Let no further call in and wait for those inside; return whether all have ended."""
        with self._changed:
            self._is_closed = True
            return self._changed.wait_for(lambda: not self._inside, patience)


EXIT_GATE: Final = ExitGate()
# Registered when first imported, so it runs after the clients' own handlers, which register later.
atexit.register(EXIT_GATE.close)
