"""The WebSocket of a Worker's link: dialling a coordinator, and the meaning of its refusals. Wraps `websockets`.

Errors that stay (a wrong secret, a URL without a coordinator) end a Worker that was never registered. Errors that pass
(the coordinator is away, or restarting) are tried again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI

from livereactor.base.errors import PeerError, UnauthorizedError, UnavailableError, UsageError
from livereactor.protocol import link
from livereactor.web.access import is_loopback

OPEN_WAIT: Final = 5.0  # seconds for TCP, TLS and the handshake
# A path that swallows packets is known after ten seconds, so that another socket can be up before the lease of 15 ends.
PING_EVERY: Final = 4.0  # seconds
PONG_WAIT: Final = 6.0  # seconds
CLOSE_WAIT: Final = 1.0  # seconds
OUTBOX_BYTES: Final = 8 * 1024 * 1024  # waiting to leave; a coordinator that reads slower than that is given up


class WrongPlaceError(UsageError):
    """The URL answers, but not as a coordinator."""

    code = "no_coordinator"


def link_url(coordinator: str) -> str:
    """Return the URL of the link, from the URL that clients use; raises `UsageError` for no URL."""
    parts = urlsplit(coordinator.strip())
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if scheme is None or not parts.hostname or port == -1:
        raise UsageError(f"{coordinator[:128]!r} is not the URL of a coordinator; write it as http://host:8080")
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}{link.PATH}"


class LinkSocket:
    """One open socket. Frames leave in order, without waiting; `frames` ends when either side closes it."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self._waiting = 0
        self._closing: asyncio.Task[None] | None = None
        self._writer = asyncio.create_task(self._write(), name="link writer")

    def send(self, text: str) -> None:
        """Send a frame; the socket closes when the other side reads too slowly."""
        self._waiting += len(text)
        if self._waiting > OUTBOX_BYTES:
            self._connection.transport.abort()
        else:
            self._outbox.put_nowait(text)

    async def frames(self) -> AsyncIterator[link.FromCoordinator | PeerError]:
        """Yield the coordinator's frames, and an error for each frame that cannot be read."""
        try:
            async for text in self._connection:
                try:
                    frame = link.read_from_coordinator(text)
                except PeerError as error:
                    yield error
                else:
                    yield frame
        except ConnectionClosed:
            return

    async def flush(self, patience: float) -> None:
        """Wait until all frames have left, `patience` seconds at most."""
        try:
            async with asyncio.timeout(patience):
                await self._outbox.join()
        except TimeoutError:
            return

    def close_soon(self) -> None:
        """Close the socket in the background: `frames` ends."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._connection.close(), name="link closing")

    async def aclose(self) -> None:
        """Close the socket; may be called twice."""
        self._writer.cancel()
        await self._connection.close()

    async def _write(self) -> None:
        try:
            while True:
                text = await self._outbox.get()
                await self._connection.send(text)
                self._waiting -= len(text)
                self._outbox.task_done()
        except ConnectionClosed:
            return


async def dial(coordinator: str, secret: str) -> LinkSocket:
    """Open a socket.

    Raises:
        UnauthorizedError: the secret is not the coordinator's.
        WrongPlaceError: the URL answers, but not as a coordinator.
        UsageError: no URL.
        UnavailableError: the coordinator does not answer now.
    """
    url = link_url(coordinator)
    try:
        connection = await connect(
            url,
            additional_headers={"Authorization": f"Bearer {secret}"},
            proxy=None if is_loopback(urlsplit(url).hostname) else True,
            compression=None,  # a frame is small, and waiting for it costs more than its bytes
            open_timeout=OPEN_WAIT,
            ping_interval=PING_EVERY,
            ping_timeout=PONG_WAIT,
            close_timeout=CLOSE_WAIT,
            max_size=link.FRAME_BYTES,
        )
    except InvalidStatus as error:
        raise _refused(coordinator, error.response.status_code) from error
    except InvalidMessage as error:
        if isinstance(error.__cause__, EOFError | OSError):
            raise UnavailableError(f"{coordinator} closed the connection before it answered") from error
        raise WrongPlaceError(f"{coordinator} does not speak HTTP; check the URL") from error
    except (InvalidURI, ssl.SSLCertVerificationError) as error:
        said = str(error) or type(error).__name__
        raise WrongPlaceError(
            f"{coordinator} is not a livereactor coordinator ({said[:200]}); check the URL"
        ) from error
    except (OSError, TimeoutError, InvalidHandshake) as error:
        said = str(error) or "no answer in time"
        raise UnavailableError(f"the coordinator at {coordinator} cannot be reached ({said[:200]})") from error
    return LinkSocket(connection)


async def must_be_welcome(coordinator: str, secret: str) -> None:
    """Raise as `dial` does where trying again would change nothing; a coordinator that is away is no error."""
    try:
        socket = await dial(coordinator, secret)
    except UnavailableError:
        return
    await socket.aclose()


def _refused(coordinator: str, status: int) -> UnauthorizedError | WrongPlaceError | UnavailableError:
    if status in (401, 403):
        text = "it must equal `[coordinator] worker_secret` there (LIVEREACTOR_COORDINATOR__WORKER_SECRET)"
        return UnauthorizedError(f"the coordinator at {coordinator} rejects this worker secret; {text}")
    if status == 429 or status >= 500:
        return UnavailableError(f"the coordinator at {coordinator} cannot take workers now (HTTP {status})")
    text = f"{coordinator} answers HTTP {status} where a coordinator would accept workers"
    return WrongPlaceError(f"{text}; check the URL: `livereactor serve` is one, `livereactor run` is not")
