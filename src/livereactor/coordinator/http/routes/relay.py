"""Where other coordinators on the same database ask the Workers whose sockets are here."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from livereactor.base.errors import NotFoundError
from livereactor.coordinator.cluster.relay import LEAST, PATH
from livereactor.coordinator.http.requests import JSON, Door, while_connected
from livereactor.coordinator.service import Service
from livereactor.protocol import link
from livereactor.protocol.http import read_body
from livereactor.web.documents import WORKER, asked_by, problems, takes

LONGEST: Final = 60.0  # seconds that a Worker may take; nobody holds a request for longer


def neighbours(door: Door, service: Service) -> APIRouter:
    """The route; it wants the worker secret."""
    routes = APIRouter(tags=["internal"])
    example = {"type": "request", "id": 0, "slot": 0, "method": "GET", "path": "/metrics"}

    @routes.post(
        PATH,
        response_class=JSONResponse,
        responses={200: {"model": link.Reply}, **problems(401, 404, 408, 413)},
        openapi_extra={**takes(link.Request, example=example, required=True), **asked_by(WORKER)},
    )
    async def ask(worker: str, request: Request, timeout: Annotated[float, Query(ge=LEAST, le=LONGEST)]) -> Response:
        """A frame for a worker whose socket is here, and its reply; 404 where it is not."""
        door.worker(request)
        frame = read_body(link.Request, await request.body(), limit=link.FRAME_BYTES)
        reply = await while_connected(request, service.ask_here(worker, frame, timeout=timeout))
        if reply is None:
            raise NotFoundError(f"worker {worker[:64]!r} is not connected here; look where it is, and ask there")
        return Response(link.write(reply), media_type=JSON)

    return routes
