"""What happened to a client, in order, for tests to wait for and look at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from livereactor import Reactor

PATIENCE = 15.0
LATE = 0.3  # seconds that a poll may come late on a machine that is busy


def are_apart(gaps: Sequence[float], *waits: float) -> bool:
    """Whether these gaps are those waits, a little late at most."""
    return len(gaps) == len(waits) and all(
        wait - 0.02 <= gap <= wait + LATE for gap, wait in zip(gaps, waits, strict=True)
    )


class Noted:
    """Every event of these names, with when it came (monotonic seconds).

    Attributes:
        events: (name, arguments) in order.
    """

    def __init__(self, reactor: Reactor, *names: str) -> None:
        self.events: list[tuple[str, tuple[Any, ...]]] = []
        self.at: list[float] = []
        self._changed = asyncio.Event()
        for name in names or ("status_changed", "error", "session_ended"):
            reactor.on(name, self._handler(name))

    def _handler(self, name: str) -> Callable[..., None]:
        def note(*args: Any) -> None:
            self.events.append((name, args))
            self.at.append(time.monotonic())
            self._changed.set()

        return note

    def of(self, name: str) -> list[Any]:
        """The first argument of each event of this name."""
        return [args[0] if args else None for each, args in self.events if each == name]

    @property
    def statuses(self) -> list[str]:
        return [str(status) for status in self.of("status_changed")]

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Wait until it holds, looked at after every event; raises `TimeoutError`."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def status(self, wanted: str, timeout: float = PATIENCE) -> None:
        """Wait for a status as the newest one."""
        await self.until(lambda: self.statuses[-1:] == [wanted], timeout)
