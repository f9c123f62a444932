"""The guard before every route: Origin and Host, CORS, the size of a body, a request id, page headers.

Plain ASGI, so that streams pass through unbuffered.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from contextlib import suppress
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livereactor.base.errors import ForbiddenError, LivereactorError, TooLargeError
from livereactor.base.limits import MIB, Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.web.access import Access
from livereactor.web.problems import ANSWERED, REQUEST_ID, BodyLateError, problem_response, unexpected
from livereactor.web.proxies import DIALLED
from livereactor.web.refusals import AuditLog, reason_of

_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_HEADERS: Final = (
    b"Authorization, Content-Type, Reactor-API-Version, Reactor-API-Accept-Version, Reactor-WebRTC-Version, "
    b"Reactor-API-Key, X-API-Key, X-Request-Id, Idempotency-Key, Last-Event-ID, "
    b"Upload-Offset, Repr-Digest, Tus-Resumable, Traceparent, Tracestate"
)
_REQUEST_ID: Final = re.compile(r"[\w.\-]{1,64}", re.ASCII)
# The page talks to whichever runtime it was given and shows pictures it made itself; nothing else may load.
_POLICY: Final = (
    b"default-src 'self'; connect-src *; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; "
    b"frame-ancestors 'self'; base-uri 'none'"
)
SIGNALLING: Final = ("/sdp_params", "/ice_candidates")
BODY_WAIT: Final = 30.0  # seconds for a whole body; an upload's may take longer, but not without a byte
# Of a body that was refused, and did not say how long it is: a sender who is cut off in the middle reads no answer.
REST_BYTES: Final = 16 * MIB
REST_WAIT: Final = 1.0  # seconds

log = structlog.get_logger("livereactor.http")


class Guard:
    """ASGI middleware.

    Args:
        app: what is guarded.
        access: who may ask.
        limits: bytes of a body, but for what is PUT or PATCHed below `streamed`, which has limits of its own.
        body_wait: seconds for a whole body; for a streamed one, seconds without a byte.
        streamed: beginnings of the paths whose PUT and PATCH bodies are of any size.
        large: ends of the paths whose bodies have `body_bytes`; all others have `json_body_bytes`.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        limits: Limits,
        body_wait: float = BODY_WAIT,
        *,
        streamed: tuple[str, ...] = ("/uploads/",),
        large: tuple[str, ...] = SIGNALLING,
    ) -> None:
        self._app, self._access = app, access
        self._limits, self._body_wait, self._streamed, self._large = limits, body_wait, streamed, large
        self._troubles, self._audit = SparseLog(log), AuditLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._shake_hands(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = secrets.token_hex(8)
        body = _Body(receive, is_measured="transfer-encoding" not in headers)
        began, answer = time.monotonic(), _Answer(send, request_id, body)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._guarded(scope, body, answer, headers)
            self._log(scope, answer, time.monotonic() - began)
        self._audit.refused(_address(scope), answer.status, reason_of(answer.status, answer.error, headers))

    async def _shake_hands(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        errors: list[LivereactorError] = []

        async def heard(message: Message) -> None:
            if message["type"] == "websocket.http.response.start":
                status = message["status"]
                self._audit.refused(_address(scope), status, reason_of(status, errors[-1] if errors else None, headers))
            await send(message)

        try:
            await self._app({**scope, ANSWERED: errors.append}, receive, heard)
        except LivereactorError as error:  # of what stands between the guard and the routes, before any handshake
            errors.append(error)
            await problem_response(error)(scope, receive, heard)

    async def _guarded(self, scope: Scope, receive: Receive, answer: _Answer, headers: dict[str, str]) -> None:
        # A page that points its own name at this machine can send what only proxies should: Host counts as it came.
        # A request may have several of it, of which each reader behind takes another.
        dialled: list[str] = [*scope.get(DIALLED, []), *_values(scope, b"host")]
        refusals = (self._access.refusal(each) for each in (*({"host": host} for host in dialled), headers))
        if (origins := len(_values(scope, b"origin"))) > 1:  # each reader behind might believe another
            await answer.refuse(ForbiddenError(f"this request has {origins} Origin headers; send one, or none"))
        elif (refusal := next(filter(None, refusals), None)) is not None:
            await answer.refuse(refusal)
        elif scope["method"] == "OPTIONS":
            await answer.preflight(headers)
        elif (limit := self._limit(scope)) is not None and _announced(headers) > limit:
            await answer.refuse(self._too_large(limit))
        else:
            known = {"path": _plain(scope["path"]), REQUEST_ID: answer.id, ANSWERED: answer.is_of}
            await self._serve({**scope, **known}, receive, answer, limit)

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
                raise self._too_large(limit)
            return message

        try:
            await self._app(scope, counted, answer.send)
        except ClientDisconnect:
            return
        except Exception as error:
            if not isinstance(error, LivereactorError):
                fields = {"method": scope["method"], "path": scope["path"][:128], "request_id": answer.id}
                self._troubles.exception("request failed", apart=type(error).__name__, **fields)
                error = unexpected(answer.id)
            if not answer.started:  # otherwise the server sees it unfinished and hangs up
                await answer.refuse(error)

    def _limit(self, scope: Scope) -> int | None:
        path = _plain(scope["path"])
        if scope["method"] in ("PUT", "PATCH") and path.startswith(self._streamed):
            return None
        return self._limits.body_bytes if path.endswith(self._large) else self._limits.json_body_bytes

    def _too_large(self, limit: int) -> TooLargeError:
        name = "json_body_bytes" if limit == self._limits.json_body_bytes else "body_bytes"
        return TooLargeError(f"the body exceeds {limit} bytes ({name}); upload large content instead")

    def _log(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        """Paths name no secret: keys and tokens are in headers, signatures in queries."""
        fields = {"method": scope["method"], "path": scope["path"][:128], "status": answer.status}
        log.debug("request", **fields, ms=round(seconds * 1000, 1), request_id=answer.id)
        if answer.status >= 500:
            self._troubles.warning("request not served", apart=str(answer.status), **fields, request_id=answer.id)


class _Body:
    """A request's body on its way to the application; `is_measured`: its length was announced."""

    def __init__(self, receive: Receive, *, is_measured: bool) -> None:
        self._receive, self._is_known = receive, is_measured

    async def __call__(self) -> Message:
        message = await self._receive()
        self._is_known |= not message.get("more_body", False)
        return message

    async def ends(self) -> bool:
        """Read what nobody wants of it, so that its sender reads the answer; False = it goes on and on."""
        left = REST_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_WAIT):
                while not self._is_known and left > 0:
                    left -= len((await self()).get("body", b""))
        return self._is_known


class _Answer:
    """One response; adds the headers that every response has, errors included."""

    def __init__(self, send: Send, request_id: str, body: _Body) -> None:
        self._send, self.id, self._body = send, request_id, body
        self.status = 0  # until it has started
        self.error: LivereactorError | None = None

    @property
    def started(self) -> bool:
        return self.status > 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # The server would else read the rest of a body that nobody wants for as long as it is sent.
            hang_up = [] if await self._body.ends() else [(b"connection", b"close")]
            message = {**message, "headers": [*message.get("headers", []), *self._headers(), *hang_up]}
        await self._send(message)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"access-control-allow-origin", b"*"),
            (b"access-control-expose-headers", b"Retry-After, X-Request-Id, Upload-Offset, Upload-Length"),
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

    def is_of(self, error: LivereactorError) -> None:
        """Note the error that this response tells."""
        self.error = error

    async def refuse(self, error: LivereactorError) -> None:
        self.is_of(error)
        response = problem_response(error)
        await self.send(
            {"type": "http.response.start", "status": response.status_code, "headers": [*response.raw_headers]}
        )
        await self._send({"type": "http.response.body", "body": response.body})


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _values(scope: Scope, header: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == header]


def _address(scope: Scope) -> str | None:
    return scope["client"][0] if scope.get("client") else None


def _plain(path: str) -> str:
    """JS 2.9.0 with a base URL that ends in a slash asks for `//sessions`."""
    return "/" + path.lstrip("/") if path.startswith("//") else path


def _announced(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdecimal() else 0
