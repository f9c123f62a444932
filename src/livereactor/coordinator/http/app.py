"""The coordinator's ASGI app: its routes put together, behind the guard and the bounds of floods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import HTTPConnection
from starlette.staticfiles import StaticFiles

from livereactor.blobs.port import Blobs
from livereactor.blobs.signing import Signer
from livereactor.coordinator.auth.authenticator import Auth
from livereactor.coordinator.auth.secrets import Secrets
from livereactor.coordinator.cluster.worker_links import Links
from livereactor.coordinator.http.previews import Loop
from livereactor.coordinator.http.request_metrics import Counting
from livereactor.coordinator.http.requests import Door, relayed
from livereactor.coordinator.http.routes.admin import admin
from livereactor.coordinator.http.routes.clips import clips
from livereactor.coordinator.http.routes.internal import PREFIX, internal
from livereactor.coordinator.http.routes.keys import keys
from livereactor.coordinator.http.routes.models import models
from livereactor.coordinator.http.routes.observation import observation
from livereactor.coordinator.http.routes.relay import neighbours
from livereactor.coordinator.http.routes.sessions import sessions
from livereactor.coordinator.http.routes.signalling import signalling
from livereactor.coordinator.http.routes.tokens import tokens
from livereactor.coordinator.http.routes.uploads import uploads
from livereactor.coordinator.http.routes.workers import workers
from livereactor.coordinator.service import Service
from livereactor.coordinator.uploads import Uploads, WorkerRefusedError
from livereactor.protocol.http import IceServerBody
from livereactor.store.port import Store
from livereactor.web.access import Access
from livereactor.web.asgi import App
from livereactor.web.clips import ClipShelf
from livereactor.web.documents import asked_by, documented
from livereactor.web.guard import Guard
from livereactor.web.problems import handle_errors
from livereactor.web.rates import RateGate
from livereactor.web.traced import Traced


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes call.

    Attributes:
        ice_servers: those of a Session, by its id.
        page: folder of the web page, served at `/`.
        loops: short films of models' pictures, by the model's name.
    """

    service: Service
    auth: Auth
    secrets: Secrets
    links: Links
    store: Store
    blobs: Blobs
    uploads: Uploads
    ice_servers: Callable[[str], Sequence[IceServerBody]]
    unix_us: Callable[[], int]
    page: Path | None = None
    loops: Mapping[str, Loop] = field(default_factory=dict[str, Loop])


def create_app(parts: Parts) -> App:
    """The app. Any origin is answered: tokens carry rights, never cookies (behaviour 32.2)."""
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
    door = Door(parts.auth, parts.secrets)
    shelf = ClipShelf(parts.blobs, Signer(parts.secrets.blobs), unix_us=parts.unix_us)
    for routes in (
        tokens(parts.auth, public_url=options.public_url),
        keys(parts.auth),
        sessions(door, parts.service),
        signalling(door, parts.service, parts.ice_servers, options.limits),
        uploads(door, parts.uploads, public_url=options.public_url),
        clips(door, shelf, parts.blobs, parts.store),
        models(door, parts.store, lambda model: parts.service.capacity(model), parts.loops),
        observation(door, parts.service, parts.store),
        admin(door, parts.service, parts.store, parts.unix_us),
        workers(door, parts.service, parts.links),
        internal(door, parts.blobs),
        neighbours(door, parts.service),
    ):
        api.include_router(routes)
    _document(api, guests=options.guests)
    if parts.page is not None:
        api.mount("/", StaticFiles(directory=parts.page, html=True))
    handle_errors(api, otherwise="GET /openapi.json lists them")

    @api.exception_handler(WorkerRefusedError)
    async def refused(_: Request, error: WorkerRefusedError) -> Response:
        return relayed(error.reply)

    async def knows(request: HTTPConnection) -> bool:
        return shelf.is_granted(request.url.path, request.query_params) or await door.knows(request)

    counting = Counting(Traced(api), parts.service.metrics.request)
    gate = RateGate(counting, knows, anonymous=options.rates.anonymous, creating=options.rates.creating)
    return Guard(gate, Access(any_host=True), options.limits.body_bytes, streamed=("/uploads/", PREFIX))


def _document(api: FastAPI, *, guests: bool) -> None:
    made: dict[str, Any] = {}

    @api.get(
        "/openapi.json",
        tags=["observation"],
        response_class=JSONResponse,
        responses={200: {"description": "This document."}},
        openapi_extra=asked_by(),
    )
    async def document() -> JSONResponse:
        """All that can be asked here."""
        if not made:
            made.update(documented(api, guests=guests))
        return JSONResponse(made)
