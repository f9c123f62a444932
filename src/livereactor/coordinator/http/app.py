"""The coordinator's ASGI app: its routes, behind the guard and the rate limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import HTTPConnection
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livereactor.blobs.port import Blobs
from livereactor.blobs.signing import Signer
from livereactor.coordinator.auth.authenticator import Authenticator
from livereactor.coordinator.auth.secrets import Secrets
from livereactor.coordinator.http.dependencies import relayed
from livereactor.coordinator.http.routes import (
    admin,
    clips,
    internal,
    models,
    observation,
    sessions,
    signalling,
    tokens,
    uploads,
    workers,
)
from livereactor.coordinator.http.routes.models import Preview
from livereactor.coordinator.moderation import Moderation
from livereactor.coordinator.service import Service
from livereactor.coordinator.uploads import Uploads, WorkerRefusedError
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.protocol.http import IceServerBody
from livereactor.protocol.moderated import ROUTE_END
from livereactor.store.port import Store
from livereactor.web.access import Access
from livereactor.web.clips import ClipShelf
from livereactor.web.documents import asked_by, documented
from livereactor.web.guard import SIGNALLING, Guard
from livereactor.web.problems import handle_errors
from livereactor.web.rates import RateGate
from livereactor.web.traced import Traced

PAGE: Final = "page"  # the files of the page, and paths without a route
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})  # no client sends others


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a coordinator that its routes depend on, each under its name (`dependencies.app_part`).

    Attributes:
        ice_servers: those of a session, by its id.
        page: folder of the web page, served at `/`.
        previews: preview films, by the model's name.
        moderation: judges what clients send; None = nobody is asked.
    """

    service: Service
    authenticator: Authenticator
    secrets: Secrets
    sockets: WorkerSockets
    store: Store
    blobs: Blobs
    uploads: Uploads
    ice_servers: Callable[[str], Sequence[IceServerBody]]
    unix_us: Callable[[], int]
    page: Path | None = None
    previews: Mapping[str, Preview] = field(default_factory=dict[str, Preview])
    moderation: Moderation | None = None


def create_app(parts: Parts) -> ASGIApp:
    """Return the app. It answers any origin: tokens carry rights, cookies never do."""
    options = parts.service.options
    api = FastAPI(
        title="livereactor coordinator",
        version=version("livereactor"),
        description="Sessions of real-time models: tokens, queue, signalling, uploads, clips.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    shelf = ClipShelf(parts.blobs, Signer(*parts.secrets.blobs), unix_us=parts.unix_us)
    for each in fields(parts):
        setattr(api.state, each.name, getattr(parts, each.name))
    api.state.options, api.state.shelf = options, shelf
    api.state.events = observation.EventFeed(parts.service, parts.store)
    for routes in (
        tokens.routes,
        tokens.key_routes,
        sessions.routes,
        signalling.routes,
        uploads.routes,
        clips.routes,
        models.routes,
        observation.routes,
        admin.routes,
        workers.routes,
        internal.routes,
    ):
        api.include_router(routes)
    _document(api, parts.authenticator.serves_guests)
    if parts.page is not None:
        api.mount("/", StaticFiles(directory=parts.page, html=True))
    handle_errors(api, otherwise="GET /openapi.json lists them")

    @api.exception_handler(WorkerRefusedError)
    async def refused(_: Request, error: WorkerRefusedError) -> Response:
        return relayed(error.reply)

    async def recognises(request: HTTPConnection) -> bool:
        return shelf.is_granted(request.url.path, request.query_params) or await parts.authenticator.recognises(request)

    counter = RequestCounter(Traced(api), parts.service.metrics.request)
    gate = RateGate(counter, recognises, anonymous=options.rates.anonymous, creating=options.rates.creating)
    return Guard(
        gate,
        Access(any_host=True),
        options.limits,
        streamed=("/uploads/", internal.PREFIX),
        large=(*SIGNALLING, internal.REQUESTS, ROUTE_END),
    )


class RequestCounter:
    """ASGI middleware that counts requests by the route that answered them. Streams pass through unbuffered.

    Args:
        count: called with method, pattern of the route (`/sessions/{sid}`) and status of each answer.
    """

    def __init__(self, app: ASGIApp, count: Callable[[str, str, int], None]) -> None:
        self._app, self._count = app, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in _METHODS else "other"
                route = getattr(scope.get("route"), "path", PAGE)
                self._count(method, route, message["status"])
            await send(message)

        await self._app(scope, receive, counted)


def _document(api: FastAPI, serves_guests: Callable[[], Awaitable[bool]]) -> None:
    made: dict[bool, dict[str, Any]] = {}

    @api.get(
        "/openapi.json",
        tags=["observation"],
        summary="Get API Description",
        response_class=JSONResponse,
        responses={200: {"description": "This document."}},
        openapi_extra=asked_by(),
    )
    async def get_api_description() -> JSONResponse:
        """Return this OpenAPI document, which describes every operation of the coordinator."""
        guests = await serves_guests()
        if guests not in made:
            made[guests] = documented(api, guests=guests)
        return JSONResponse(made[guests])
