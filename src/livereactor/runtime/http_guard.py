"""What stands before every route: who may ask (Origin, Host), CORS, the size of a body, a request id, page headers.

Plain ASGI, so that streams pass through unbuffered.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import structlog
from starlette.requests import ClientDisconnect

from livereactor.base.errors import ForbiddenError, LivereactorError, PeerError, TooLargeError
from livereactor.protocol.http import problem

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_METHODS: Final = b"GET, POST, PUT, DELETE, OPTIONS"
_HEADERS: Final = (
    b"Authorization, Content-Type, Reactor-API-Version, Reactor-API-Accept-Version, Reactor-WebRTC-Version, "
    b"Reactor-API-Key, X-Request-Id"
)
_REQUEST_ID: Final = re.compile(r"[\w.\-]{1,64}")
# The page talks to whichever runtime it was given and shows pictures it made itself; nothing else may load.
_POLICY: Final = (
    b"default-src 'self'; connect-src *; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; "
    b"frame-ancestors 'self'; base-uri 'none'"
)


_OPEN_UP: Final = "add its origin to [runtime] origins, or serve everybody with --insecure"
REQUEST_ID: Final = "livereactor.request_id"  # key of a scope
BODY_WAIT: Final = 30.0  # seconds for a whole body; an upload's may take longer, but not without a byte

log = structlog.get_logger("livereactor.http")


class BodyLateError(PeerError):
    """The body did not come in time."""

    http_status = 408


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask.

    Attributes:
        origins: web origins beside loopback ones, such as `https://studio.example`.
        any_host: serve every Host and Origin; for a runtime that is meant to be reached (`--insecure`).
    """

    origins: tuple[str, ...] = ()
    any_host: bool = False


class Guard:
    """ASGI middleware.

    Args:
        app: what is guarded.
        access: who may ask.
        body_bytes: largest body, but for uploads, which have limits of their own.
        body_wait: seconds for a whole body; for an upload, seconds without a byte.
    """

    def __init__(self, app: App, access: Access, body_bytes: int, body_wait: float = BODY_WAIT) -> None:
        self._app, self._access = app, access
        self._body_bytes, self._body_wait = body_bytes, body_wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = secrets.token_hex(8)
        answer = _Answer(send, headers.get("origin"), request_id)
        if (refusal := self._refusal(headers)) is not None:
            await answer.refuse(refusal)
        elif scope["method"] == "OPTIONS":
            await answer.preflight(headers)
        elif (limit := self._limit(scope)) is not None and _announced(headers) > limit:
            await answer.refuse(_too_large(limit))
        else:
            await self._serve({**scope, REQUEST_ID: request_id}, receive, answer, limit)

    async def _serve(self, scope: Scope, receive: Receive, answer: _Answer, limit: int | None) -> None:
        loop = asyncio.get_running_loop()
        seen, whole, until = 0, False, loop.time() + self._body_wait

        async def counted() -> Message:
            nonlocal seen, whole
            if whole:  # who waits now waits for the client to leave
                return await receive()
            try:
                async with asyncio.timeout_at(loop.time() + self._body_wait if limit is None else until):
                    message = await receive()
            except TimeoutError:
                raise BodyLateError(f"no body within {self._body_wait:g} s; send it at once") from None
            whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if limit is not None and seen > limit:  # a chunked body that announced nothing
                raise _too_large(limit)
            return message

        try:
            await self._app(scope, counted, answer.send)
        except ClientDisconnect:
            return
        except Exception as error:
            if not isinstance(error, LivereactorError):
                log.exception("request failed", method=scope["method"], path=scope["path"][:128], request_id=answer.id)
                error = unexpected(answer.id)
            if not answer.started:  # otherwise the server sees it unfinished and hangs up
                await answer.refuse(error)

    def _limit(self, scope: Scope) -> int | None:
        is_upload = scope["method"] == "PUT" and scope["path"].startswith("/uploads/")
        return None if is_upload else self._body_bytes

    def _refusal(self, headers: dict[str, str]) -> ForbiddenError | None:
        """A page of somebody else's must not steer a model on this machine, nor reach it by a name it points here."""
        if self._access.any_host:
            return None
        origin = headers.get("origin")
        if origin is not None and not is_loopback(_hostname(origin)) and origin not in self._access.origins:
            return ForbiddenError(f"origin {origin[:128]!r} may not use this runtime; {_OPEN_UP}")
        host = headers.get("host", "")
        name = _hostname(f"//{host}")
        known = {_hostname(each) for each in self._access.origins}
        if name is None or (not is_loopback(name) and name not in known):
            return ForbiddenError(f"host {host[:128]!r} is not this runtime's; use localhost, or {_OPEN_UP}")
        return None


class _Answer:
    """One response; adds the headers that every response has, errors included."""

    def __init__(self, send: Send, origin: str | None, request_id: str) -> None:
        self._send, self._origin, self.id = send, origin, request_id
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": [*message.get("headers", []), *self._headers()]}
        await self._send(message)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"access-control-allow-origin", b"*"),
            (b"access-control-expose-headers", b"Retry-After, X-Request-Id"),
            (b"x-request-id", self.id.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", _POLICY),
        ]

    async def preflight(self, headers: dict[str, str]) -> None:
        allowed = [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _HEADERS),
            (b"access-control-max-age", b"600"),
        ]
        if headers.get("access-control-request-private-network") == "true":
            allowed.append((b"access-control-allow-private-network", b"true"))
        await self.send({"type": "http.response.start", "status": 204, "headers": allowed})
        await self._send({"type": "http.response.body", "body": b""})

    async def refuse(self, error: LivereactorError) -> None:
        body = json.dumps(problem(error)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": error.http_status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def unexpected(request_id: str) -> LivereactorError:
    """What a client reads of an error of ours that nobody foresaw."""
    return LivereactorError(f"unexpected error; quote request id {request_id} to whoever runs this, its log says why")


def _announced(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdecimal() else 0


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"the body exceeds {limit} bytes; upload large content instead")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # such as a bracket that is never closed
        return None


def is_loopback(host: str | None) -> bool:
    """A name or an address that reaches this machine only."""
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
