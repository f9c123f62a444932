"""One key for all of a stand-alone runtime, where it can be reached from elsewhere. Plain ASGI, behind the guard."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from livereactor.base.errors import UnauthorizedError
from livereactor.web.clips import CHUNKS
from livereactor.web.rates import FailedAttempts, network

_HEADERS: Final = (b"reactor-api-key", b"x-api-key")
_REMEMBERED: Final = 1024  # networks; past them the one that has not come for longest counts as a stranger's again


class ApiKeyGate:
    """ASGI middleware: without the key there is the page, which asks for it, and `/health`.

    Args:
        key: what has to be shown as `Authorization: Bearer`, `Reactor-API-Key` or `X-API-Key`.
        page: folder whose files anybody may read.
    """

    def __init__(self, app: ASGIApp, key: str, page: Path | None) -> None:
        self._app, self._key = app, key.encode()
        files = [each for each in page.rglob("*") if each.is_file()] if page is not None else []
        self._open = {"/", "/health", *(f"/{each.relative_to(page).as_posix()}" for each in files if page is not None)}
        self._failed = FailedAttempts()
        self._let_in: OrderedDict[str, None] = OrderedDict()  # networks that have shown the key, longest ago first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" or (scope["type"] == "http" and not self._is_open(scope)):
            self._must_be_shown(scope)
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        method, path = scope["method"], scope["path"]
        if method in ("PUT", "PATCH", "HEAD", "DELETE") and path.startswith("/uploads/"):
            return True  # its URL is signed: who has it was given it
        return method in ("GET", "HEAD") and (path in self._open or path.startswith(CHUNKS))  # as well

    def _must_be_shown(self, scope: Scope) -> None:
        peer = scope["client"][0] if scope.get("client") else None
        origin, shown = network(peer), _shown(scope)
        # Before the comparison, which tells whether a guess is right. Whoever came in is not shut out by a neighbour.
        if origin not in self._let_in or shown is None:
            self._failed.must_not_be_too_many(peer)
        if shown is None:
            raise UnauthorizedError(
                "this runtime requires its key; send it as Authorization: Bearer, Reactor-API-Key or X-API-Key, "
                "or open its page with #key=… after the address"
            )
        if hmac.compare_digest(shown, self._key):
            self._remember(origin)
            return
        self._failed.must_not_be_too_many(peer)
        self._failed.count(peer)
        raise UnauthorizedError("this is not the key of this runtime; use the key with which it was started")

    def _remember(self, origin: str) -> None:
        self._let_in[origin] = None
        self._let_in.move_to_end(origin)
        if len(self._let_in) > _REMEMBERED:
            self._let_in.popitem(last=False)


def _shown(scope: Scope) -> bytes | None:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    for name in _HEADERS:
        if value := headers.get(name, b"").strip():
            return value
    kind, _, value = headers.get(b"authorization", b"").strip().partition(b" ")
    value = value.strip()
    return value if kind.lower() == b"bearer" and value not in (b"", b"local") else None
