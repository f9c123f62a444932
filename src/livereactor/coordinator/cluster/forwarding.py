"""The way of a client's request to the Worker of its Session, and back. Loop only.

A Worker whose socket another coordinator holds is asked through that one. One whose socket is away for a moment (its
coordinator was just restarted) is waited for: it dials in again by itself, and its first frames wake whoever waits.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Final

from livereactor.base.errors import UnavailableError
from livereactor.coordinator.cluster.relay import PeerRelay
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.protocol import link

RETURN: Final = 3.0  # seconds; a Worker tries again within one, and a client waits for its answer for ten
BODY_BYTES: Final = 256 * 1024  # of signalling; an SDP has some 20 KiB, and no escaping makes a frame too large of it
WAITING: Final = 1_000  # requests that wait for Workers to come back, of all clients
LOOK: Final = 0.5  # seconds between two looks at whether it came to another coordinator, whose word of that was lost


def is_fenced(reply: link.Reply) -> bool:
    """The Worker says that it does not hold the Session of the request."""
    if reply.status != 409:
        return False
    with suppress(ValueError):
        return json.loads(reply.body or "").get("code") == link.FENCED
    return False


class Forwarder:
    """Requests to Workers.

    Args:
        peers: the other coordinators; None = there are none.
    """

    def __init__(self, sockets: WorkerSockets, peers: PeerRelay | None = None) -> None:
        self._sockets, self._peers = sockets, peers
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._count = 0

    def arrived(self, worker: str) -> None:
        """It said something: its socket is here, or is about to be registered in this turn of the loop."""
        if worker in self._waiting:
            asyncio.get_running_loop().call_soon(self._wake, worker)

    async def ask(self, worker: str, request: link.Request, *, timeout: float) -> link.Reply:
        """Send it and wait for the reply, `timeout` seconds for both the Worker and its answer.

        Raises:
            UnavailableError: the Worker's socket is away, or it does not answer in time.
            TooLargeError: no socket takes it.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        until, away_until = began + timeout, began + min(RETURN, timeout)
        while not self._sockets.is_here(worker):
            left = max(0.0, until - loop.time())
            if (reply := await self._ask_elsewhere(worker, request, left)) is not None:
                return reply
            await self._wait_for(worker, away_until - loop.time())
        return await self._sockets.ask(worker, request, timeout=max(0.0, until - loop.time()))

    async def ask_here(self, worker: str, request: link.Request, *, timeout: float) -> link.Reply | None:
        """For a coordinator that believes that its socket is here; None where it is not.

        Raises:
            as `ask`.
        """
        return await self._sockets.ask(worker, request, timeout=timeout) if self._sockets.is_here(worker) else None

    async def _ask_elsewhere(self, worker: str, request: link.Request, timeout: float) -> link.Reply | None:
        return None if self._peers is None else await self._peers.ask(worker, request, timeout=timeout)

    async def _wait_for(self, worker: str, left: float) -> None:
        if self._sockets.is_here(worker):  # it came while the others were asked
            return
        if left <= 0 or self._count >= WAITING:
            raise UnavailableError(
                "the worker of this session is not connected at the moment; the stream goes on, retry in 1 s"
            )
        await self._wait(worker, left if self._peers is None else min(left, LOOK))

    async def _wait(self, worker: str, seconds: float) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(worker, set()).add(waiter)
        self._count += 1
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            return
        finally:
            self._count -= 1
            waiters = self._waiting.get(worker, set())
            waiters.discard(waiter)
            if not waiters:
                self._waiting.pop(worker, None)

    def _wake(self, worker: str) -> None:
        for waiter in self._waiting.pop(worker, ()):
            if not waiter.done():
                waiter.set_result(None)
