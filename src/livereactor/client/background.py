"""Background tasks of a client, and calls of the program that end with the connection. Loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from livereactor.base.tasks import TaskSet
from livereactor.client.errors import DisconnectedError

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class BackgroundTasks(TaskSet):
    """The background work of one client, such as closing transports, which is done whatever else happens."""

    def add(self, work: Coroutine[Any, Any, None]) -> None:
        """Start `work`; an error of it is logged."""
        self.start(_logged(work), name="livereactor background")


class ConnectionCalls:
    """Calls of the program that are cancelled when the connection closes."""

    def __init__(self) -> None:
        self._tasks = TaskSet()

    async def run(self, work: Coroutine[Any, Any, _T], operation: str) -> _T:
        """Run `work`, and return its result.

        Raises:
            DisconnectedError: the connection was closed in the meantime.
        """
        try:
            return await self._tasks.start(work, name=f"livereactor {operation}")
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise DisconnectedError("the connection was closed in the meantime", operation=operation) from None

    def cut(self) -> None:
        """Cancel the calls: the connection is gone."""
        self._tasks.cancel()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("background work of the client failed")
