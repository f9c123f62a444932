"""`/internal/workers/{worker}/requests`: other coordinators on the same database ask the workers connected here."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from livereactor.base.errors import NotFoundError
from livereactor.coordinator.cluster.relay import MIN_TIMEOUT, PATH
from livereactor.coordinator.http.dependencies import JSON, ServicePart, json_body, while_connected, workers_only
from livereactor.protocol import link
from livereactor.web.documents import WORKER, asked_by, problems, takes

LONGEST: Final = 60.0  # seconds a worker may take; no caller holds a request for longer
_EXAMPLE: Final = {"type": "request", "id": 0, "slot": 0, "method": "GET", "path": "/metrics"}

routes = APIRouter(tags=["internal"], dependencies=[Depends(workers_only)])


@routes.post(
    PATH,
    response_class=JSONResponse,
    responses={200: {"model": link.Reply}, **problems(401, 404, 408, 413)},
    openapi_extra={**takes(link.Request, example=_EXAMPLE, required=True), **asked_by(WORKER)},
)
async def ask(
    worker: str,
    request: Request,
    frame: Annotated[link.Request, json_body(link.Request, limit=link.FRAME_BYTES)],
    timeout: Annotated[float, Query(ge=MIN_TIMEOUT, le=LONGEST)],
    service: ServicePart,
) -> Response:
    """A frame for a worker whose socket is here, and its reply; 404 where it is not."""
    reply = await while_connected(request, service.ask_here(worker, frame, timeout=timeout))
    if reply is None:
        raise NotFoundError(f"worker {worker[:64]!r} is not connected here; look where it is, and ask there")
    return Response(link.write(reply), media_type=JSON)
