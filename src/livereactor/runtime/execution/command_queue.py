"""The jobs that wait for the model's thread, in the order they came, and its wake-up call. No polling.

A model with async hooks waits inside its own event loop, so that tasks its author started go on meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar, cast

from livereactor.base.limits import MIB
from livereactor.base.tasks import set_within

WAITING_BYTES: Final = 64 * MIB  # a command may have 256 KiB, and 4096 may wait
LOOP_GRAIN: Final = 0.002  # seconds; a selector rounds up to whole milliseconds, so the rest is waited without it


class JobKind(Enum):
    """The times at which a job may run."""

    COMMAND = "command"  # counted against the bound; dropped when its Session ends
    HOOK = "hook"  # joined, left, uploaded; runs even while the model waits for input inside a step
    SESSION = "session"  # open, close, step: between steps only


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do on the model's thread.

    Attributes:
        run: does it; never raises.
        fail: gives it its outcome without running it.
        size: bytes it keeps in memory while it waits; counted for commands.
    """

    kind: JobKind
    run: Callable[[], None]
    fail: Callable[[Exception], None]
    size: int = 0


class Inbox:
    """FIFO of jobs and a wake-up call. `put`, `wake` and `stop` from any thread; the rest on the model's.

    Args:
        limit: commands that may wait.
        limit_bytes: what they may keep in memory.
    """

    def __init__(self, limit: int, limit_bytes: int = WAITING_BYTES) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._limit, self._commands = limit, 0
        self._limit_bytes, self._bytes = limit_bytes, 0
        self._woken = False
        self._stopped = False
        self._wake_loop: Callable[[], object] | None = None  # ends a wait inside an event loop

    def put(self, job: Job) -> bool:
        """Queue a job; False when the queue of commands is full or the thread has ended."""
        with self._changed:
            if self._stopped or (job.kind is JobKind.COMMAND and self._is_full()):
                return False
            self._count(job, 1)
            self._jobs.append(job)
            self._notify()
            return True

    def wake(self) -> None:
        """End the current or next `wait`."""
        with self._changed:
            self._woken = True
            self._notify()

    def stop(self) -> None:
        """Take no more jobs; those waiting stay for `drain`."""
        with self._changed:
            self._stopped = self._woken = True
            self._notify()

    @property
    def stopped(self) -> bool:
        return self._stopped

    def next(self, *kinds: JobKind) -> Job | None:
        """The oldest job if it is of one of `kinds` (of any without); None otherwise."""
        with self._changed:
            if not self._jobs or (kinds and self._jobs[0].kind not in kinds):
                return None
            job = self._jobs.popleft()
            self._count(job, -1)
            return job

    def drain(self) -> list[Job]:
        """All jobs that wait, taken out."""
        with self._changed:
            jobs = list(self._jobs)
            self._jobs.clear()
            self._commands = self._bytes = 0
            return jobs

    def __len__(self) -> int:
        return len(self._jobs)

    def wait(self, seconds: float | None, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Wait until a job or a wake-up comes, or `seconds` pass; None = without end.

        With a `loop` its tasks go on meanwhile, and the wait may end a little early.
        """
        if loop is not None and (seconds is None or seconds > 2 * LOOP_GRAIN):
            self._wait_in(loop, None if seconds is None else seconds - LOOP_GRAIN)
            return
        with self._changed:
            if not self._jobs and not self._woken:
                self._changed.wait(seconds)
            self._woken = False

    def _wait_in(self, loop: asyncio.AbstractEventLoop, seconds: float | None) -> None:
        event = asyncio.Event()
        with self._changed:
            if not self._jobs and not self._woken:
                self._wake_loop = lambda: loop.call_soon_threadsafe(event.set)
        if self._wake_loop is not None:
            loop.run_until_complete(set_within(event, seconds))
        with self._changed:
            self._wake_loop, self._woken = None, False

    def _is_full(self) -> bool:
        # What waits is compared, not what it would become: one large command must pass an empty queue.
        return self._commands >= self._limit or self._bytes >= self._limit_bytes

    def _count(self, job: Job, sign: int) -> None:
        if job.kind is JobKind.COMMAND:
            self._commands += sign
            self._bytes += sign * job.size

    def _notify(self) -> None:
        self._changed.notify()
        if self._wake_loop is not None:
            self._wake_loop()


def size_of(arguments: Mapping[str, Any]) -> int:
    """Bytes that a command's arguments keep; an uploaded file's are not counted, since all commands share them."""
    size, left = 0, [cast(object, arguments)]
    while left:
        value = left.pop()
        size += sys.getsizeof(value)
        if isinstance(value, Mapping):
            mapping = cast(Mapping[object, object], value)
            left.extend(mapping.keys())
            left.extend(mapping.values())
        elif isinstance(value, list | tuple):
            left.extend(cast(list[object], value))
    return size


Outcome = TypeVar("Outcome")


def work_into(future: Future[Outcome], work: Callable[[], Outcome]) -> None:
    """Do it, unless nobody waits any more; what it returns or raises is the outcome."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        succeed(future, work())
    except Exception as error:
        fail(future, error)


def succeed(future: Future[Outcome], outcome: Outcome) -> None:
    """Set the result of a future, unless it has one already."""
    try:
        future.set_result(outcome)
    except InvalidStateError:  # it got its outcome when the runtime stopped without this thread
        return


def fail(future: Future[Any], error: Exception) -> None:
    """Set the error of a future, unless it has its result already."""
    try:
        future.set_exception(error)
    except InvalidStateError:
        return
