"""HTTP requests, bounded in time and size, that raise our errors. No other file of the client uses the HTTP library.

The library is imported with the first request: loading it takes longer than connecting.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from livereactor.base.limits import MIB
from livereactor.client.errors import error_of
from livereactor.client.http.urls import is_near

if TYPE_CHECKING:
    import httpx2

    from livereactor.client.errors import ReactorError

TO_CONNECT: Final = 5.0  # seconds for TCP and TLS; a dead address must not eat the time of a whole connect()
PATIENCE: Final = 10.0  # seconds for an answer that needs no waiting
SILENCE: Final = 30.0  # seconds of a transfer without a byte
# Servers close a connection that idles after five seconds and more (uvicorn and Node: 5); to use it then is a race.
KEPT: Final = 4.0
USER_AGENT: Final = "livereactor"
ANSWER_BYTES: Final = 8 * MIB  # a schema with thousands of commands fits

Origin: TypeAlias = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer of a server; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def is_ok(self) -> bool:
        """True for a 2xx status."""
        return 200 <= self.status < 300


class Http:
    """Requests to any server, over connections that are kept for a moment and belong to one loop.

    Args:
        home: the server of most requests; on this machine it is reached without a proxy.
        direct: reach `home` without a proxy wherever it is.
        transport: used in place of transports made here; it stays open.
    """

    def __init__(self, home: str, *, direct: bool, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._home = origin_of(home)
        self._direct = direct or is_near(self._home[1])
        self._given = transport
        # By proxy, and whether without TLS.
        self._transports: dict[tuple[str | None, bool], httpx2.AsyncBaseTransport] = {}
        self._loop: asyncio.AbstractEventLoop | None = None  # the loop of the transports

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
        """Send one request, and return its whole answer, whatever its status.

        Args:
            url: absolute.
            timeout: seconds for all of it; None = as long as bytes of `content` or `into` move, with at most `SILENCE`
                between two of them and for the answer after the last. The time to read `content` does not count: it is
                the program's, not the server's.
            limit: bytes of an answer's body.
            again: send the request once more if a kept connection turns out to be closed; False for a request that
                must not be done twice.
            into: takes the body of a success, of any size, from the start of the file; the answer then has no body.

        Raises:
            ReactorError: `NETWORK_ERROR`, `REQUEST_TIMEOUT`, or `DECODE_FAILED` for an answer above the limit.
            OSError: `into` could not be written.
        """
        import httpx2

        place = _place(url)
        again = again and not isinstance(content, AsyncIterator)
        try:
            # The library bounds each step of a transfer, but not their number: an answer may come a byte at a time.
            async with asyncio.timeout(SILENCE if timeout is None else timeout) as bound:
                moves = bound if timeout is None else None
                if moves is not None and isinstance(content, AsyncIterator):
                    content = _timed(content, moves)
                try:
                    return await self._once(method, url, headers, content, limit, into, moves)
                except (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError):
                    if not again:
                        raise
                return await self._once(method, url, headers, content, limit, into, moves)
        except (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout) as error:
            raise error_of(
                "REQUEST_TIMEOUT",
                f"no answer from {place} in {timeout or SILENCE:g} s; check that it is running, then retry",
                component="api",
            ) from error
        except OSError as error:
            if into is not None:  # a full disk, say: errors of the network are the library's own classes by then
                raise
            raise _unreachable(place, error) from None  # the cause is forty lines of the library that say no more
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, ValueError, ImportError) as error:
            raise _unreachable(place, error) from None  # the cause is forty lines of the library that say no more

    async def aclose(self) -> None:
        """Close all connections; may be called twice, and a later request opens new ones."""
        transports, self._transports = list(self._transports.values()), {}
        if self._loop is asyncio.get_running_loop():
            for transport in transports:
                await transport.aclose()

    async def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | AsyncIterator[bytes] | None,
        limit: int,
        into: BinaryIO | None,
        moves: asyncio.Timeout | None,
    ) -> HttpAnswer:
        import httpx2

        transport = self._transport(origin_of(url))
        # No compression: answers are small, and a hostile one could unfold to gigabytes.
        sent = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": USER_AGENT, **headers}
        patience = httpx2.Timeout(SILENCE, connect=TO_CONNECT).as_dict()
        request = httpx2.Request(method, url, headers=sent, content=content, extensions={"timeout": patience})
        response = await transport.handle_async_request(request)
        parts = response.stream
        assert isinstance(parts, httpx2.AsyncByteStream)
        try:
            body, sink = bytearray(), into if response.is_success else None
            if sink is not None:  # a first try may have written to it
                sink.seek(0)
                sink.truncate()
            async for part in parts:
                if sink is not None:
                    sink.write(part)
                    if moves is not None:
                        _moved(moves)
                    continue
                body += part
                if len(body) > limit:
                    raise error_of("DECODE_FAILED", f"the answer of {_place(url)} has more than {limit} bytes")
            return HttpAnswer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))
        finally:
            await parts.aclose()

    def _transport(self, to: Origin) -> httpx2.AsyncBaseTransport:
        """Return a transport of the library, as its client takes a third longer for features that are not used here."""
        if self._given is not None:
            return self._given
        if self._loop is not (loop := asyncio.get_running_loop()):
            self._transports, self._loop = {}, loop
        proxy = None if (self._direct and to == self._home) else _proxy_to(to)
        # Loading the certificate authorities takes 100 ms, and plain HTTP needs none.
        is_plain = to[0] == "http" and (proxy is None or proxy.startswith("http:"))
        if (transport := self._transports.get((proxy, is_plain))) is None:
            import httpx2

            transport = self._transports[proxy, is_plain] = httpx2.AsyncHTTPTransport(
                verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_plain else True,
                proxy=proxy,
                limits=httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEPT),
            )
        return transport


def origin_of(url: str) -> Origin:
    """Return scheme, host and port, the origin that a token may be sent to."""
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _proxy_to(to: Origin) -> str | None:
    """Return the proxy that the environment sets (`HTTPS_PROXY`, `NO_PROXY`, …)."""
    scheme, host, port = to
    if is_near(host) or proxy_bypass(f"{host}:{port}"):
        return None
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


async def _timed(content: AsyncIterator[bytes], bound: asyncio.Timeout) -> AsyncIterator[bytes]:
    """Yield `content`; each piece puts `bound` off, and reading the next piece suspends it."""
    bound.reschedule(None)
    async for piece in content:
        _moved(bound)
        yield piece
        bound.reschedule(None)
    _moved(bound)


def _moved(bound: asyncio.Timeout) -> None:
    bound.reschedule(asyncio.get_running_loop().time() + SILENCE)


def _place(url: str) -> str:
    """Return `host:port` for a sentence: paths may hold ids, and queries signatures."""
    try:
        _, host, port = origin_of(url)
    except ValueError:
        return "an invalid address"
    return f"{host}:{port}"


def _unreachable(place: str, error: Exception) -> ReactorError:
    why = _why(error)
    remedy = "check the address and the network"
    if "certificate" in why:
        remedy = "use the name in its certificate, and set SSL_CERT_FILE if an authority of your own signed it"
    return error_of("NETWORK_ERROR", f"could not reach {place} ({why}); {remedy}")


def _why(error: BaseException) -> str:
    """Return the cause in a word or two: the first in the library's chain of causes that says something."""
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
    return (str(error) or type(error).__name__).split("\n", 1)[0][:120].lower().rstrip(".")
