"""Waiting for a condition on what the loop owns: looked at again whenever something changed. No polling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Changes:
    """Loop only."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def stir(self) -> None:
        """Something changed: whoever waits looks again."""
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()

    async def until(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """Wait until it holds, `timeout` seconds at most (None = for good); the caller looks at what came of it."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            return
