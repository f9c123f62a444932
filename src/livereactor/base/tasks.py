"""Tasks that nobody awaits where they start, and waiting, without polling, for events and conditions. Loop only.

Where the lifetime of tasks is that of a block of code, `asyncio.TaskGroup` is the better choice; a `TaskSet` is for
tasks that an object starts at any time and ends with itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


class TaskSet:
    """Tasks that run in the background, each kept until it has ended: the loop itself holds tasks only weakly."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, _T], *, name: str | None = None) -> asyncio.Task[_T]:
        """Run `work` in the background."""
        return self.keep(asyncio.get_running_loop().create_task(work, name=name))

    def keep(self, task: asyncio.Task[_T]) -> asyncio.Task[_T]:
        """Keep a task that something else started, until it has ended."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Cancel every task, without waiting for its end."""
        for task in self._tasks:
            task.cancel()

    async def wait(self, timeout: float | None = None) -> set[asyncio.Task[Any]]:
        """Wait for the tasks that there are now, but for the one that calls; return those that have not ended."""
        others = self._tasks - {asyncio.current_task()}
        return (await asyncio.wait(others, timeout=timeout))[1] if others else set()

    async def finish(self, timeout: float) -> None:
        """Wait for the tasks that there are now, and cancel those that take longer."""
        for task in await self.wait(timeout):
            task.cancel()

    async def aclose(self) -> None:
        """Cancel every task and wait until all have ended."""
        self.cancel()
        await self.wait()


async def set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event at most `seconds` (None = for good); return whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return event.is_set()  # it may have come with the timeout, in the same turn of the loop


class Changes:
    """A condition on what the loop owns is checked again whenever something changed."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Let all that wait check their conditions again."""
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()

    async def until(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """Wait until it holds, `timeout` seconds at most (None = for good); the caller looks at what came of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not condition():
                    await self._changed.wait()
