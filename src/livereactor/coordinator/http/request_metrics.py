"""Counts HTTP requests by the route that answered them. Plain ASGI, so that streams pass through unbuffered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from livereactor.web.asgi import App, Message, Receive, Scope, Send

PAGE: Final = "page"  # the files of the page, and paths that are no route
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})  # others come from nobody's client


class Counting:
    """ASGI middleware around the app that routes.

    Args:
        told: method, pattern of the route (`/sessions/{sid}`) and status of each answer.
    """

    def __init__(self, app: App, told: Callable[[str, str, int], None]) -> None:
        self._app, self._told = app, told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in _METHODS else "other"
                route = getattr(scope.get("route"), "path", PAGE)
                self._told(method, route, message["status"])
            await send(message)

        await self._app(scope, receive, counted)
