"""Asking a Worker through the coordinator that holds its socket. Loop only.

The store says which one that is (`WorkerRecord.home`), and it is asked by HTTP, with the secret that Workers show, for
the very frame that it would write itself. It asks nobody in turn, so no request goes round in circles.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import httpx2

from livereactor.base.errors import PeerError, UnavailableError
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
        """The Worker's reply; None where no other coordinator is known to hold its socket.

        Raises:
            UnavailableError: it went away, or did not answer in time: nobody knows whether the Worker was asked.
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
        raise UnavailableError("the coordinator of this session's worker cannot be understood; try again") from error
    if not isinstance(frame, link.Reply):
        raise UnavailableError(f"the coordinator of this session's worker answers {frame.type!r}; try again")
    return frame
