"""One HTTP request: bounded in time and size, its errors ours. The only file of the client that knows the HTTP library.

The library is imported with the first request: to load it takes longer than to connect.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import urlsplit

from livereactor.base.limits import MIB
from livereactor.client.errors import error_of

if TYPE_CHECKING:
    import httpx2

    from livereactor.client.error import ReactorError

TO_CONNECT: Final = 5.0  # seconds for TCP and TLS; a dead address must not eat the time of a whole connect()
PATIENCE: Final = 10.0  # seconds for an answer that comes at once
SILENCE: Final = 30.0  # seconds of a transfer without a byte
# Servers close a connection that idles after five seconds and more (uvicorn and Node: 5); to use it then is a race.
KEPT: Final = 4.0
ANSWER_BYTES: Final = 8 * MIB  # a schema with thousands of commands fits

Origin = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered; `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def is_ok(self) -> bool:
        """A status of success."""
        return 200 <= self.status < 300


class Http:
    """Requests to any server, over connections that are kept for a moment; those of a loop that ended are forgotten.

    Args:
        home: the server that is asked most; on this machine it is asked without a proxy.
        direct: likewise wherever it is.
        client: asks instead of clients made here; it stays open.
    """

    def __init__(self, home: str, *, direct: bool, client: httpx2.AsyncClient | None = None) -> None:
        self._home = origin_of(home)
        self._direct = direct or is_near(self._home[1])
        self._given = client
        self._clients: dict[bool, httpx2.AsyncClient] = {}  # ours, and that for all other servers
        self._loop: asyncio.AbstractEventLoop | None = None  # theirs

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | AsyncIterator[bytes] | None = None,
        timeout: float | None = PATIENCE,
        limit: int = ANSWER_BYTES,
        again: bool = True,
        into: BinaryIO | None = None,
    ) -> HttpAnswer:
        """One request and its whole answer, of whatever status.

        Args:
            url: absolute.
            timeout: seconds for all of it; None = as long as bytes move (transfers).
            limit: bytes of an answer's body.
            again: send it once more where a kept connection turns out to have been closed; not for what must not be
                done twice.
            into: takes the body of a success, of any size, from its own beginning; the answer then has none.

        Raises:
            ReactorError: `NETWORK_ERROR`, `REQUEST_TIMEOUT`, or `DECODE_FAILED` for an answer above the limit.
        """
        import httpx2

        place = _place(url)
        again = again and not isinstance(content, AsyncIterator)
        try:
            async with asyncio.timeout(timeout):
                try:
                    return await self._once(method, url, headers, content, limit, into)
                except (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError):
                    if not again:
                        raise
                return await self._once(method, url, headers, content, limit, into)
        except (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout) as error:
            raise error_of(
                "REQUEST_TIMEOUT",
                f"no answer from {place} in {timeout or SILENCE:g} s; check that it is well, then retry",
                component="api",
            ) from error
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, ValueError, OSError) as error:
            raise _unreachable(place, error) from error

    async def aclose(self) -> None:
        """Close all connections; may be called twice, and a later request opens new ones."""
        clients, self._clients = list(self._clients.values()), {}
        if self._loop is asyncio.get_running_loop():
            for client in clients:
                await client.aclose()

    async def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | AsyncIterator[bytes] | None,
        limit: int,
        into: BinaryIO | None,
    ) -> HttpAnswer:
        client = self._client(origin_of(url) == self._home)
        async with client.stream(method, url, headers=headers, content=content) as response:
            body, sink = bytearray(), into if response.is_success else None
            if sink is not None:  # a first try may have written to it
                sink.seek(0)
                sink.truncate()
            async for part in response.aiter_bytes():
                if sink is not None:
                    sink.write(part)
                    continue
                body += part
                if len(body) > limit:
                    raise error_of("DECODE_FAILED", f"the answer of {_place(url)} has more than {limit} bytes")
            return HttpAnswer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))

    def _client(self, at_home: bool) -> httpx2.AsyncClient:
        if self._given is not None:
            return self._given
        if self._loop is not (loop := asyncio.get_running_loop()):
            self._clients, self._loop = {}, loop
        if (client := self._clients.get(at_home)) is None:
            import httpx2

            # To load the authorities takes 100 ms, and plain HTTP has no use for them. Without any, TLS would fail.
            plain = at_home and self._home[0] == "http"
            client = self._clients[at_home] = httpx2.AsyncClient(
                verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True,
                trust_env=not (at_home and self._direct),
                timeout=httpx2.Timeout(SILENCE, connect=TO_CONNECT),
                limits=httpx2.Limits(keepalive_expiry=KEPT),
                # Answers are small, and one that unfolds to gigabytes is no answer.
                headers={"Accept-Encoding": "identity"},
            )
        return client


def origin_of(url: str) -> Origin:
    """Scheme, host and port: what a token may be sent to."""
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def is_near(host: str) -> bool:
    """This machine, as far as the name tells."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _place(url: str) -> str:
    """`host:port` for a sentence: paths may hold ids, and queries signatures."""
    try:
        _, host, port = origin_of(url)
    except ValueError:
        return "an address that is none"
    return f"{host}:{port}"


def _unreachable(place: str, error: Exception) -> ReactorError:
    return error_of("NETWORK_ERROR", f"could not reach {place} ({_why(error)}); check the address and the network")


def _why(error: BaseException) -> str:
    """The cause in a word or two: of the chain that the library wraps it in, the first that says something."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ConnectionRefusedError):
            return "refused"
        if isinstance(seen, ssl.SSLError):
            return f"TLS: {(seen.reason or 'failed').lower().replace('_', ' ')}"
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
        seen = seen.__cause__ or seen.__context__
    if type(error).__name__ in ("ConnectTimeout", "PoolTimeout"):
        return "timed out"
    return (str(error) or type(error).__name__).split("\n", 1)[0][:120].lower()
