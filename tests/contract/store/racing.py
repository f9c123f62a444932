"""Transactions that run beside each other, and meet where a test wants them to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from sqlalchemy.exc import DBAPIError

from livereactor.store.port import Store, Tx

T = TypeVar("T")
WAIT: Final = 20.0  # seconds, for what takes none


class Racers:
    """Transactions of several coordinators at once, each in a thread with a loop and a store of its own.

    Attributes:
        broken: what the database ended by force, though whoever asked never heard of it: it was begun anew.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open = open_store
        self._threads = ThreadPoolExecutor(8)
        self._own = threading.local()
        self._all: list[tuple[asyncio.Runner, Store]] = []
        self.broken: list[DBAPIError] = []

    def open(self, count: int) -> None:
        """Have so many coordinators ready, so that a work begins as soon as it is started."""
        together = threading.Barrier(count)

        def ready() -> None:
            self._opened()
            together.wait(WAIT)

        for each in [self._threads.submit(ready) for _ in range(count)]:
            each.result(WAIT)

    def start(self, work: Callable[[Tx], T]) -> Future[T]:
        """By a coordinator that does nothing else at this time."""
        return self._threads.submit(self._run, work)

    def _opened(self) -> None:
        if not hasattr(self._own, "store"):
            self._own.runner, self._own.store = asyncio.Runner(), self._open()
            self._all.append((self._own.runner, self._own.store))

    def _run(self, work: Callable[[Tx], T]) -> T:
        self._opened()
        return self._own.runner.run(self._own.store.transact(lambda tx: self._watched(work, tx)))

    def _watched(self, work: Callable[[Tx], T], tx: Tx) -> T:
        try:
            return work(tx)
        except DBAPIError as error:
            self.broken.append(error)
            raise

    async def aclose(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._threads.shutdown()
        for runner, store in self._all:
            runner.run(store.aclose())
            runner.close()


class Pause:
    """Where a work waits in the middle of its transaction, until it is let go."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.go_on.wait(WAIT)

    def let_go_once(self, other: Future[Any]) -> None:
        """When that other one has ended, or is seen to wait for this."""
        try:
            other.exception(timeout=0.1)
        except TimeoutError:
            pass
        self.go_on.set()
