"""Tasks that leave nothing behind: what has to be closed, ended or told is done whatever else happens. Loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from livereactor.base.tasks import TaskSet
from livereactor.client.errors import DisconnectedError

log = structlog.get_logger(__name__)


_T = TypeVar("_T")


class Chores(TaskSet):
    """The background work of one client."""

    def add(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin `work`; what it raises is logged."""
        self.start(_logged(work), name="livereactor chore")


class Calls:
    """What a program waits for that ends with the connection (behaviour 3.6)."""

    def __init__(self) -> None:
        self._tasks = TaskSet()

    async def run(self, work: Coroutine[Any, Any, _T], operation: str) -> _T:
        """The result of `work`; cancelled, it is.

        Raises:
            DisconnectedError: the connection went meanwhile.
        """
        try:
            return await self._tasks.start(work, name=f"livereactor {operation}")
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise DisconnectedError("the connection closed meanwhile", operation=operation) from None

    def cut(self) -> None:
        """Cancel the calls: the connection is gone."""
        self._tasks.cancel()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("the client could not clear up")
