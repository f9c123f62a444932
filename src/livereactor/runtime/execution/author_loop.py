"""The event loop of an async model, and the tasks its author starts in it. On the model's thread only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import Context
from typing import Any, Final
from weakref import WeakSet

import structlog

from livereactor.runtime.execution.outbox import MARK

GRACE: Final = 1.0  # seconds that a cancelled task has to tidy up

log = structlog.get_logger("livereactor.model")


class AuthorLoop:
    """Made when something async is run first; runs only while it is run.

    Attributes:
        loop: None while nothing of the model was async.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._of_session: WeakSet[asyncio.Task[Any]] = WeakSet()

    def run(self, awaitable: Any) -> Any:
        """Run it to its end."""
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            self.loop.set_task_factory(self._task)
        return self.loop.run_until_complete(_finished(awaitable))

    def end_session(self) -> None:
        """Cancel what the Session has started and left running: it must not reach the next."""
        self.cancel(self._of_session)

    def tasks(self) -> set[asyncio.Task[Any]]:
        """Every task that is not done."""
        return asyncio.all_tasks(self.loop) if self.loop is not None else set()

    def cancel(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel tasks and let them tidy up for a moment."""
        running = [task for task in tasks if not task.done()]
        if self.loop is None or not running:
            return
        for task in running:
            task.cancel()
        _, late = self.loop.run_until_complete(asyncio.wait(running, timeout=GRACE))
        for task in late:
            log.error("a task goes on after it was cancelled; let CancelledError pass", task=task.get_name())

    def close(self) -> None:
        """Nothing is run any more."""
        if self.loop is None:
            return
        self.cancel(self.tasks())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        self.loop = None

    def _task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
        context: Context | None = options.get("context")
        if (MARK.get() if context is None else context.get(MARK)) is not None:
            self._of_session.add(task)
        return task


async def _finished(awaitable: Any) -> Any:
    return await awaitable
