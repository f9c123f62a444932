"""Notices within one process: for tests, and for a coordinator that is alone, whom nobody listens to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

Receive: TypeAlias = Callable[[Sequence[str] | None], None]


class MemoryNotices:
    """One coordinator's.

    Args:
        others: where those on the same records meet; None = it is alone.
    """

    def __init__(self, others: set[MemoryNotices] | None = None) -> None:
        self._others: set[MemoryNotices] = set() if others is None else others
        self._receive: Receive | None = None

    def notify(self, notices: Collection[str]) -> None:
        """Tell the others."""
        for other in self._others - {self}:
            if other._receive is not None:
                other._receive(list(dict.fromkeys(notices)))

    async def listen(self, receive: Receive) -> None:
        """Listen until cancelled."""
        self._others.add(self)
        self._receive = receive
        try:
            receive(None)
            await asyncio.Event().wait()
        finally:
            self._receive = None
            self._others.discard(self)
