"""The Messages of a model on their way out.

A Message leaves only while its Session is open, and after the reply where a command handler sends it.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final
from weakref import WeakSet

import structlog

from livereactor.runtime.authoring.host import SessionMark
from livereactor.runtime.interfaces import MessageOut, MessageSent

log = structlog.get_logger("livereactor.model")


# Tasks, and threads that asyncio starts for them, inherit it from what started them.
MARK: Final[ContextVar[SessionMark | None]] = ContextVar("livereactor_session", default=None)


class Outbox:
    """Sends from any thread; call `begin`, `end`, `hold` and `release` on the model's thread.

    Args:
        publish: takes each Message, in order. It is called under a lock, so that no Message is published after `end`.
    """

    def __init__(self, publish: Callable[[MessageSent], None]) -> None:
        self._publish = publish
        self._lock = threading.Lock()
        self._mark: SessionMark | None = None  # of the Session that is open
        self._held: list[MessageSent] | None = None
        self._before: WeakSet[threading.Thread] = WeakSet()  # threads older than the Session
        self._stale: WeakSet[threading.Thread] = WeakSet()  # threads of Sessions that are over

    def begin(self, number: int) -> SessionMark:
        """Open a Session. Each task that it starts from now on carries the returned mark."""
        self._before = WeakSet(threading.enumerate())
        mark = SessionMark(number)
        MARK.set(mark)
        with self._lock:
            self._mark = mark
        return mark

    def end(self) -> None:
        """Close the Session. Whatever of it lives on can send nothing any more."""
        with self._lock:
            if self._mark is not None:
                self._mark.over = True
            self._mark = self._held = None
        MARK.set(None)
        self._stale.update(each for each in threading.enumerate() if each not in self._before)

    def send(self, message: MessageOut, client: int | None, mark: SessionMark | None = None) -> None:
        """Publish a Message, or hold it while a command handler runs.

        Args:
            mark: the Session that it belongs to; None = the Session of the caller's task, or any.
        """
        mark = mark or MARK.get()
        if (mark is not None and mark.over) or (mark is None and self._is_left_over()):
            return
        with self._lock:
            if self._mark is None or (mark is not None and mark.over):
                return
            sent = MessageSent(message, client, self._mark.number)
            if self._held is not None:
                self._held.append(sent)
            else:
                self._publish(sent)

    def hold(self) -> None:
        """Keep Messages until `release`, since the reply of a command goes first."""
        with self._lock:
            self._held = []

    def release(self) -> None:
        """Publish the Messages that were held."""
        with self._lock:
            held, self._held = self._held or [], None
            for sent in held:
                self._publish(sent)

    def _is_left_over(self) -> bool:
        """Return whether the caller is a thread that an earlier Session started and left running.

        A worker of a thread pool is not: it serves later Sessions too.
        """
        thread = threading.current_thread()
        if thread not in self._stale or _is_pooled():
            return False
        log.warning("not sent, an earlier session started this thread; end it in close", thread=thread.name)
        return True


def _is_pooled() -> bool:
    """Return whether the caller is a job in a `ThreadPoolExecutor`."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "concurrent.futures.thread":
            return True
        frame = frame.f_back
    return False
