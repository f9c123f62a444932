"""What a model says on its way out: nothing without a Session, nothing of a Session that is over, and after the reply
where a handler is at work.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final
from weakref import WeakSet

import structlog

from livereactor.runtime.interfaces import MessageOut, MessageSent

log = structlog.get_logger("livereactor.model")


@dataclass(slots=True, eq=False)
class Mark:
    """Which Session a Client, a task or a call belongs to. `number`: as the Session was started with."""

    number: int
    over: bool = False


# Tasks, and threads that asyncio starts for them, inherit it from what started them.
MARK: Final[ContextVar[Mark | None]] = ContextVar("livereactor_session", default=None)


class Voice:
    """Speaks from any thread; `begin`, `end`, `hold` and `release` on the model's.

    Args:
        tell: takes what is said, in order. It is called under a lock, so that nothing is told after `end`.
    """

    def __init__(self, tell: Callable[[MessageSent], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._mark: Mark | None = None  # of the Session that is open
        self._held: list[MessageSent] | None = None
        self._before: WeakSet[threading.Thread] = WeakSet()  # threads older than the Session
        self._stale: WeakSet[threading.Thread] = WeakSet()  # threads of Sessions that are over

    def begin(self, number: int) -> Mark:
        """A Session opens; what it starts from now on carries its mark."""
        self._before = WeakSet(threading.enumerate())
        mark = Mark(number)
        MARK.set(mark)
        with self._lock:
            self._mark = mark
        return mark

    def end(self) -> None:
        """Nothing of this Session is heard any more, whatever of it lives on."""
        with self._lock:
            if self._mark is not None:
                self._mark.over = True
            self._mark = self._held = None
        MARK.set(None)
        self._stale.update(each for each in threading.enumerate() if each not in self._before)

    def say(self, message: MessageOut, client: int | None, mark: Mark | None = None) -> None:
        """Tell it, or hold it while a handler is at work.

        Args:
            mark: of the Session it belongs to; None = that of the caller's task, or any.
        """
        mark = mark or MARK.get()
        if (mark is not None and mark.over) or (mark is None and self._is_left_over()):
            return
        with self._lock:
            if self._mark is None or (mark is not None and mark.over):
                return
            said = MessageSent(message, client, self._mark.number)
            if self._held is not None:
                self._held.append(said)
            else:
                self._tell(said)

    def hold(self) -> None:
        """Keep what is said until `release`: a command's reply goes first (behaviour 7.14)."""
        with self._lock:
            self._held = []

    def release(self) -> None:
        """Tell what was held."""
        with self._lock:
            held, self._held = self._held or [], None
            for said in held:
                self._tell(said)

    def _is_left_over(self) -> bool:
        """The caller is a thread that a Session started and left behind; a pool's worker serves later Sessions too."""
        thread = threading.current_thread()
        if thread not in self._stale or _is_pooled():
            return False
        log.warning("not sent, an earlier session started this thread; end it in close", thread=thread.name)
        return True


def _is_pooled() -> bool:
    """The caller is a job in a `ThreadPoolExecutor`."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "concurrent.futures.thread":
            return True
        frame = frame.f_back
    return False
