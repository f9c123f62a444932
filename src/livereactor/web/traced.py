"""A span for each request of a Session's life, part of the client's own trace where it sends one. Plain ASGI."""

from __future__ import annotations

from typing import Final

from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livereactor.base import spans

# What makes, joins, feeds and ends Sessions. Looking on (metrics, health, the page, tables) tells nothing of where time
# goes, and happens all the time.
_TRACED: Final = ("/sessions", "/start_session", "/stop_session", "/uploads", "/tokens")
_HEADER: Final = spans.HEADER.encode()
_LOOKING: Final = "/stages"


class Traced:
    """ASGI middleware around the app that routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracer = spans.tracer()
        if tracer is None or scope["type"] != "http" or not _is_traced(scope):
            await self._app(scope, receive, send)
            return
        parent = next((value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER), "")
        span = tracer.start_span(scope["method"], spans.parsed(parent), SpanKind.SERVER)
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with spans.within(spans.inside(span)):
                await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "")
            found = {"http.request.method": scope["method"], "http.route": route, "http.response.status_code": status}
            failed = "" if 0 < status < 500 else str(status or "no answer")
            span.update_name(f"{scope['method']} {route}".strip())
            span.set_attributes(found)
            span.set_status(spans.failure(failed))
            span.end()


def _is_traced(scope: Scope) -> bool:
    path = scope["path"]
    # Polls are held and come again: they are traced where the client traces itself.
    is_poll = scope["method"] in ("GET", "HEAD") and "/transport/" not in path
    if not path.startswith(_TRACED) or path.endswith(_LOOKING):
        return False
    return not is_poll or any(name == _HEADER for name, _ in scope["headers"])
