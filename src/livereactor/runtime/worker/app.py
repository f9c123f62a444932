"""What a Worker's Slot answers over the link: a runtime's local mode, and what only a coordinator may ask."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from livereactor.base.errors import NotFoundError
from livereactor.media.thumbnail import thumbnail
from livereactor.protocol.http import AnnouncedUpload, read_body
from livereactor.runtime.http import observation_routes, session_routes, signalling_routes
from livereactor.runtime.session.service import Runtime
from livereactor.web.asgi import App
from livereactor.web.problems import handle_errors
from livereactor.web.traced import Traced


def relayed_app(runtime: Runtime) -> App:
    """The ASGI app of one Slot. No guard: whoever reaches it holds the worker secret and has checked its clients."""
    api = FastAPI(title="livereactor worker", docs_url=None, redoc_url=None, openapi_url=None)
    for routes in (signalling_routes, session_routes, _coordinators, observation_routes):
        api.include_router(routes(runtime))
    handle_errors(api, otherwise="this is a worker")
    return Traced(api)


def _coordinators(runtime: Runtime) -> APIRouter:
    routes = APIRouter()

    @routes.post("/sessions/{sid}/uploads", status_code=201)
    async def announce(sid: str, request: Request) -> dict[str, Any]:
        runtime.must_be_open(sid)
        announced = read_body(AnnouncedUpload, await request.body())
        runtime.uploads.announce(announced)
        return {"upload_id": announced.upload_id}

    @routes.post("/sessions/{sid}/uploads/{upload}/landed", status_code=204)
    async def landed(sid: str, upload: str) -> None:
        runtime.must_be_open(sid)
        runtime.uploads.landed(upload)

    @routes.get("/thumbnail")
    async def picture() -> Response:
        pixels = runtime.newest_picture()
        if pixels is None:
            raise NotFoundError("the model has made no picture in this session yet; ask again later")
        return Response(await asyncio.to_thread(thumbnail, pixels), media_type="image/jpeg")

    return routes
