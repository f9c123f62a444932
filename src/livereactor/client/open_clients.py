"""Clients that have a Session when the interpreter ends: it is ended within five seconds (behaviour 1.12)."""

from __future__ import annotations

import asyncio
import atexit
import socket
from typing import Any, Final, Protocol

AT_EXIT: Final = 5.0  # seconds


class OpenClient(Protocol):
    """Has a Session."""

    async def end_at_exit(self) -> None:
        """End it; the loop it was used on may be gone."""
        ...


OPEN: Final[set[OpenClient]] = set()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs on this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _resolved(host: Any, port: Any, **options: Any) -> Any:
    return socket.getaddrinfo(host, port, **options)


async def _end_all() -> None:
    # Executors, on which asyncio resolves names, take no work any more.
    asyncio.get_running_loop().getaddrinfo = _resolved
    ending = [asyncio.ensure_future(client.end_at_exit()) for client in OPEN]
    await asyncio.wait(ending, timeout=AT_EXIT)


@atexit.register
def _at_exit() -> None:
    if OPEN:
        asyncio.run(_end_all())
