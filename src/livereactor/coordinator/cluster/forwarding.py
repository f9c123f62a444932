"""Forwarding of a client's request to the worker of its session, and of the reply. Loop only.

A Worker whose socket another coordinator holds is asked through that one. One whose socket is away for a moment (its
coordinator was just restarted) is waited for: it dials in again by itself, and its first frames wake what waits.

The store says which coordinator holds a socket (`WorkerRecord.home`). That one is asked by HTTP, with the secret that
Workers show, for the very frame that it would write itself. It asks no other in turn, so no request goes in circles.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import httpx2

from livereactor.base.errors import PeerError, UnavailableError
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.protocol import link
from livereactor.store.port import Notices, StoreUnavailableError

PATH: Final = "/internal/workers/{worker}/requests"
NOT_HERE: Final = 404  # the answer of a coordinator that does not hold that Worker's socket (any more)
MIN_TIMEOUT: Final = 1.0  # seconds that a Worker is given at another coordinator
CONNECT_WAIT: Final = 1.0  # seconds; it is in the same data centre, or dead
ON_THE_WAY: Final = 1.0  # seconds beyond the Worker's own time for the answer to arrive
CONNECTIONS: Final = 256  # to all of them together; more requests wait for one


@dataclass(frozen=True, slots=True)
class ClusterPeers:
    """The addresses and the secret by which a coordinator and the others on its database reach each other.

    Attributes:
        url: as the others reach this one; `CoordinatorOptions.peer_url`.
        notices: what they tell each other.
        secret: what Workers show.
    """

    url: str
    notices: Notices
    secret: str = field(repr=False)


class PeerRelay:
    """The other coordinators on one database.

    Args:
        own: the URL that they know this one by.
        home: gives the URL of the coordinator that holds a Worker's socket, as the store knows it; "" = none is known.
        secret: what Workers show.
    """

    def __init__(self, own: str, home: Callable[[str], Awaitable[str]], *, secret: str) -> None:
        self._own, self._home = own, home
        limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        headers = {"Authorization": f"Bearer {secret}"}
        # No proxy of the environment's: these are addresses within the deployment.
        self._client = httpx2.AsyncClient(limits=limits, headers=headers, follow_redirects=False, trust_env=False)

    async def ask(self, worker: str, request: link.Request, *, timeout: float) -> link.Reply | None:
        """Return the worker's reply; None if no other coordinator is known to hold its socket.

        Raises:
            UnavailableError: it went away, or did not answer in time; the worker may have got the request.
        """
        try:
            home = await self._home(worker)
        except StoreUnavailableError:
            return None
        if not home or home == self._own:
            return None
        return await self._post(home + PATH.format(worker=worker), request, timeout)

    async def _post(self, url: str, request: link.Request, timeout: float) -> link.Reply | None:
        patience = httpx2.Timeout(timeout + ON_THE_WAY, connect=CONNECT_WAIT)
        try:
            answer = await self._client.post(
                url,
                content=link.write(request),
                params={"timeout": f"{max(MIN_TIMEOUT, timeout):.3f}"},
                timeout=patience,
            )
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            return None  # it ended; its Workers come to another
        except httpx2.TransportError as error:
            raise UnavailableError(
                f"the coordinator of this session's worker went away ({type(error).__name__}); try again"
            ) from error
        if answer.status_code == NOT_HERE:
            return None
        if answer.status_code != 200:
            raise UnavailableError(f"the coordinator of this session's worker says {answer.status_code}; try again")
        return _reply(answer.content)

    async def aclose(self) -> None:
        """Close the connections to them."""
        await self._client.aclose()


def _reply(content: bytes) -> link.Reply:
    try:
        frame = link.read_from_worker(content)
    except PeerError as error:
        raise UnavailableError("the coordinator of this session's worker sent an invalid answer; try again") from error
    if not isinstance(frame, link.Reply):
        raise UnavailableError(f"the coordinator of this session's worker answers {frame.type!r}; try again")
    return frame


RETURN: Final = 3.0  # seconds; a Worker tries again within one, and a client waits for its answer for ten
WAITING: Final = 1_000  # requests that wait for Workers to come back, of all clients
LOOK: Final = 0.5  # seconds between two checks whether the worker came to another coordinator, whose notice may be lost


def is_fenced(reply: link.Reply) -> bool:
    """Return whether the worker says that it does not hold the session of the request."""
    if reply.status != 409:
        return False
    with suppress(ValueError):
        return json.loads(reply.body or "").get("code") == link.FENCED
    return False


class Forwarder:
    """Requests to Workers.

    Args:
        peers: the other coordinators; None = this is the only one.
    """

    def __init__(self, sockets: WorkerSockets, peers: PeerRelay | None = None) -> None:
        self._sockets, self._peers = sockets, peers
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._count = 0

    def arrived(self, worker: str) -> None:
        """Wake requests to a worker that sent a frame: its socket is here, or will be in this turn of the loop."""
        if worker in self._waiting:
            asyncio.get_running_loop().call_soon(self._wake, worker)

    async def ask(self, worker: str, request: link.Request, *, timeout: float) -> link.Reply:
        """Send a request and wait for the reply; `timeout` seconds for the worker to appear and to answer.

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
        """Return the reply of a worker whose socket is here, for another coordinator; None if it is not here.

        Raises:
            as `ask`.
        """
        return await self._sockets.ask(worker, request, timeout=timeout) if self._sockets.is_here(worker) else None

    async def _ask_elsewhere(self, worker: str, request: link.Request, timeout: float) -> link.Reply | None:
        return None if self._peers is None else await self._peers.ask(worker, request, timeout=timeout)

    async def _wait_for(self, worker: str, left: float) -> None:
        if self._sockets.is_here(worker):  # it arrived while the others were asked
            return
        if left <= 0 or self._count >= WAITING:
            raise UnavailableError(
                "the worker of this session is not connected now; the stream continues, retry in 1 s"
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
