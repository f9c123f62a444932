"""ICE servers of a Session: fetched ahead of time, and reused while their credentials last. Loop only."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from livereactor.client.errors import ReactorError
from livereactor.engine.port import IceServer

FRESH: Final = 30.0  # seconds that servers fetched ahead are used
LASTING: Final = 600.0  # seconds that credentials must still last to be reused: the relay ends with them
# A relay's user name says when its credentials end, Unix seconds (draft-uberti-behave-turn-rest-00, 2.2).
_ENDS: Final = re.compile(r"(\d{9,11})(:.*)?", re.DOTALL)

Servers: TypeAlias = tuple[IceServer, ...]


@dataclass(frozen=True, slots=True)
class _Ahead:
    session_id: str
    servers: asyncio.Task[Servers]
    asked_at: float


class IceServers:
    """The ICE servers of one client.

    Args:
        ask: fetches those of a Session; raises `ReactorError`.
    """

    def __init__(self, ask: Callable[[str], Coroutine[Any, Any, Servers]]) -> None:
        self._ask = ask
        self._ahead: _Ahead | None = None
        self._known: tuple[str, Servers] = ("", ())

    def ask_ahead(self, session_id: str) -> None:
        """Fetch them while the Session is being prepared: the server gives them from its first moment on."""
        asking = asyncio.get_running_loop().create_task(self._ask(session_id), name="ice servers")
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._ahead = _Ahead(session_id, asking, time.monotonic())

    async def get(self, session_id: str, *, again: bool) -> Servers:
        """Return the servers to gather with.

        Args:
            again: the Session was connected to before: reuse its servers while their credentials last.
        """
        if again and self._known[0] == session_id and are_lasting(self._known[1], time.time()):
            return self._known[1]
        self._known = session_id, await self._new(session_id)
        return self._known[1]

    def cancel(self) -> None:
        """Cancel a request that is under way."""
        if self._ahead is not None:
            self._ahead.servers.cancel()

    async def _new(self, session_id: str) -> Servers:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.session_id == session_id and time.monotonic() < ahead.asked_at + FRESH:
            try:
                return await ahead.servers
            except ReactorError:
                pass  # perhaps it was asked too early
        return await self._ask(session_id)


def are_lasting(servers: Iterable[IceServer], now_at: float) -> bool:
    """Return whether all credentials last long enough, at `now_at` in Unix seconds."""
    return all(not each.username or _ends_at(each.username) > now_at + LASTING for each in servers)


def _ends_at(username: str) -> float:
    found = _ENDS.fullmatch(username)
    return float(found[1]) if found else 0.0
