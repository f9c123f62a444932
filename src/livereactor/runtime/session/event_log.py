"""The last transitions of the Session, for operators: `GET /events`, server-sent events with ids to resume from."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from livereactor.base.tasks import set_within

KEPT: Final = 256  # transitions; a reader that comes later than that misses the oldest
HEARTBEAT: Final = 15.0  # seconds; proxies close what is silent for longer


class EventLog:
    """Transitions, numbered from 1. Loop only.

    Attributes:
        followers: the number of readers that follow now.
    """

    def __init__(self) -> None:
        self._entries: deque[tuple[int, dict[str, Any]]] = deque(maxlen=KEPT)
        self._number = 0
        self._grown = asyncio.Event()
        self._closed = False
        self.followers = 0

    def record(self, before: str, after: str, reason: str) -> None:
        """Record a transition."""
        self._number += 1
        entry = {
            "type": "transition",
            "event": f"{before} to {after}",
            "from": before,
            "to": after,
            "ts": int(time.time() * 1000),
            "detail": {"reason": reason},
        }
        self._entries.append((self._number, entry))
        self._wake()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The transitions that are kept, oldest first."""
        return [entry for _, entry in self._entries]

    def close(self) -> None:
        """End all followers: nothing more comes."""
        self._closed = True
        self._wake()

    async def follow(self, since: int) -> AsyncIterator[str]:
        """Yield the transitions after number `since`, then new ones; a comment line while there is nothing new."""
        self.followers += 1
        try:
            while True:
                grown = self._grown
                for number, entry in [each for each in self._entries if each[0] > since]:
                    since = number
                    yield f"id: {number}\ndata: {json.dumps(entry)}\n\n"
                if self._closed:
                    return
                if not await set_within(grown, HEARTBEAT):
                    yield ": nothing new\n\n"
        finally:
            self.followers -= 1

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()
