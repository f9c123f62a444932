"""`/admin/…`: what operators see and do (behaviour 18.11). All of it wants the scope `admin`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from livereactor.coordinator.caller import Caller
from livereactor.coordinator.operating import overview
from livereactor.coordinator.requests import Door, relayed
from livereactor.coordinator.service import Service
from livereactor.protocol.http import Body
from livereactor.store.port import Store
from livereactor.web.documents import problems

THUMBNAIL_TIMEOUT: Final = 5.0  # seconds; the next one is asked for soon


class Overview(Body):
    """Answer of `GET /admin/overview`."""

    now_at: float = Field(description="Unix seconds on the coordinator's clock.")
    sessions: list[dict[str, Any]] = Field(description="The open ones, then the last that ended; newest first.")
    queue: list[dict[str, Any]] = Field(description="Tickets in the order in which they are served, by model.")
    workers: list[dict[str, Any]] = Field(description="Workers that live.")


def admin(door: Door, service: Service, store: Store, unix_us: Callable[[], int]) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/admin", tags=["admin"])

    async def operator(request: Request) -> Caller:
        caller = await door.caller(request)
        caller.need("admin")
        await request.body()
        return caller

    @routes.get("/overview", response_class=JSONResponse, responses={200: {"model": Overview}, **problems(401, 403)})
    async def looked(request: Request) -> Response:
        """Sessions, queue and workers, as of one moment."""
        await operator(request)
        return JSONResponse(await store.read(lambda tx: overview(tx, unix_us())))

    @routes.post("/sessions/{sid}/prefer", status_code=204, responses=problems(401, 403, 404))
    async def prefer(sid: str, request: Request) -> None:
        """Serve a queued session before all others of its model."""
        await operator(request)
        await service.prefer(sid)

    @routes.get(
        "/sessions/{sid}/thumbnail",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}, **problems(401, 403, 404, 409)},
    )
    async def thumbnail(sid: str, request: Request) -> Response:
        """The newest frame of a session, at most 320 pixels wide."""
        caller = await operator(request)
        return relayed(await service.relay(caller, sid, "GET", "/thumbnail", timeout=THUMBNAIL_TIMEOUT))

    @routes.post("/workers/{worker}/drain", status_code=204, responses=problems(401, 403, 404))
    async def drain(worker: str, request: Request) -> None:
        """Let a worker finish what it has and end."""
        await operator(request)
        await service.drain(worker)

    return routes
