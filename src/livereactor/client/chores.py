"""Tasks that leave nothing behind: what has to be closed, ended or told is done whatever else happens. Loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from livereactor.client.errors import DisconnectedError

log = structlog.get_logger(__name__)


_T = TypeVar("_T")


class Chores:
    """Those of one client."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin `work`; what it raises is logged."""
        task = asyncio.get_running_loop().create_task(_logged(work), name="livereactor chore")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def others(self) -> None:
        """Wait for all but the one that calls."""
        current = asyncio.current_task()
        if tasks := [task for task in self._tasks if task is not current]:
            await asyncio.wait(tasks)

    async def done(self, timeout: float) -> None:
        """Wait until nothing is left to do; what takes longer is given up."""
        current = asyncio.current_task()
        if tasks := [task for task in self._tasks if task is not current]:
            _, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()


class Calls:
    """What a program waits for that ends with the connection (behaviour 3.6)."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, _T], operation: str) -> _T:
        """The result of `work`; cancelled, it is.

        Raises:
            DisconnectedError: the connection went meanwhile.
        """
        task = asyncio.get_running_loop().create_task(work, name=f"livereactor {operation}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise DisconnectedError("the connection closed meanwhile", operation=operation) from None

    def cut(self) -> None:
        """The connection is gone."""
        for task in self._tasks:
            task.cancel()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("the client could not clear up")
