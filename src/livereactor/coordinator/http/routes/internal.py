"""`/internal/…`: blobs and moderation for workers, and requests of other coordinators to the workers connected here.

Blobs need the worker secret or a worker's credential, which reaches those of its own sessions; other coordinators show
the worker secret itself.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from livereactor.base.errors import NotFoundError
from livereactor.blobs.port import KEY_CHARS, SEGMENT, BlobKey
from livereactor.coordinator.auth.worker_reach import WorkerReach
from livereactor.coordinator.cluster.forwarding import MIN_TIMEOUT, PATH
from livereactor.coordinator.http.dependencies import (
    JSON,
    AnyWorker,
    BlobsPart,
    Clock,
    ServicePart,
    StorePart,
    app_part,
    body_response,
    coordinators_only,
    json_body,
    while_connected,
)
from livereactor.coordinator.moderation import Moderation
from livereactor.protocol import link
from livereactor.protocol.moderated import ROUTE as MODERATION
from livereactor.protocol.moderated import JudgedBody, QuestionBody
from livereactor.web.blob_answers import RANGE_HEADER, blob_answer, listing_answer
from livereactor.web.documents import WORKER, asked_by, octets, problems, takes

PREFIX: Final = "/internal/blobs/"
REQUESTS: Final = "/requests"  # the end of `PATH`: bodies hold requests of clients, offers among them
OCTETS: Final = "application/octet-stream"
_WHOLE: Final = {200: {"content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}}
LONGEST: Final = 60.0  # seconds a worker may take; no caller holds a request for longer
_EXAMPLE: Final = {"type": "request", "id": 0, "slot": 0, "method": "GET", "path": "/metrics"}
_QUESTION: Final = {"command": "set_prompt", "texts": [{"field": "prompt", "text": "a koi"}]}
_WORKERS: Final = asked_by(WORKER)
# Described and not validated: `BlobKey.parse` validates, and its error says what a key may be.
Key: TypeAlias = Annotated[
    str, Path(json_schema_extra={"pattern": f"^{SEGMENT}(/{SEGMENT})*$", "maxLength": KEY_CHARS})
]

routes = APIRouter(tags=["internal"], responses=problems(401, 403))


async def _reach(identity: AnyWorker, store: StorePart, blobs: BlobsPart, unix_us: Clock) -> WorkerReach:
    return WorkerReach(identity, store, blobs, unix_us=unix_us)


Reach = Annotated[WorkerReach, Depends(_reach)]


@routes.get(
    PREFIX + "{key:path}",
    response_class=Response,
    responses={
        **_WHOLE,
        206: {"description": "The requested range."},
        416: {"description": "The range begins after the last byte."},
        **problems(404),
    },
    openapi_extra={**_WORKERS, "parameters": [RANGE_HEADER]},
)
async def get_blob(key: Key, request: Request, reach: Reach, blobs: BlobsPart) -> Response:
    """Return a blob or a range of it; with `?prefix=1`, list the blobs below the key, one JSON line each."""
    await reach.must_read(BlobKey.parse(key))
    if request.query_params.get("prefix"):
        return await listing_answer(blobs, BlobKey.parse(key))
    return await blob_answer(blobs, BlobKey.parse(key), request, OCTETS)


@routes.head(
    PREFIX + "{key:path}",
    operation_id="size_of_blob",
    response_class=Response,
    responses={200: {"description": "`Content-Length` is the size."}, **problems(404)},
    openapi_extra=_WORKERS,
)
async def get_blob_size(key: Key, request: Request, reach: Reach, blobs: BlobsPart) -> Response:
    """Return the size of a blob in `Content-Length`."""
    await reach.must_read(BlobKey.parse(key))
    return await blob_answer(blobs, BlobKey.parse(key), request, OCTETS)


@routes.put(
    PREFIX + "{key:path}",
    status_code=201,
    response_class=Response,
    responses=problems(408, 409),
    openapi_extra={**octets("The blob, which is written once."), **_WORKERS},
)
async def write_blob(key: Key, request: Request, reach: Reach, blobs: BlobsPart) -> Response:
    """Write a blob. A blob is never overwritten: a second write answers 409."""
    parsed = BlobKey.parse(key)
    await blobs.put(parsed, await reach.checked(parsed, request.stream()))
    return Response(status_code=201)


@routes.delete(PREFIX + "{key:path}", status_code=204, response_class=Response, openapi_extra=_WORKERS)
async def delete_blobs(key: Key, reach: Reach, blobs: BlobsPart) -> Response:
    """Delete every blob below a prefix."""
    reach.must_erase()
    await blobs.delete_prefix(BlobKey.parse(key))
    return Response(status_code=204)


@routes.post(
    PATH,
    dependencies=[Depends(coordinators_only)],
    response_class=JSONResponse,
    responses={200: {"model": link.Reply}, **problems(404, 408, 413)},
    openapi_extra={**takes(link.Request, example=_EXAMPLE, required=True), **_WORKERS},
)
async def ask_worker(
    worker: str,
    request: Request,
    frame: Annotated[link.Request, json_body(link.Request, limit=link.FRAME_BYTES)],
    timeout: Annotated[float, Query(ge=MIN_TIMEOUT, le=LONGEST)],
    service: ServicePart,
) -> Response:
    """Send a request to a worker that is connected here and return its reply; 404 if it is not connected here."""
    reply = await while_connected(request, service.forwarder.ask_here(worker, frame, timeout=timeout))
    if reply is None:
        raise NotFoundError(f"worker {worker[:64]!r} is not connected to this coordinator; ask another one")
    return Response(link.write(reply), media_type=JSON)


@routes.post(
    MODERATION,
    response_class=Response,
    responses={200: {"model": JudgedBody}, **problems(404, 408, 413)},
    openapi_extra={**takes(QuestionBody, example=_QUESTION, required=True), **_WORKERS},
)
async def judge_content(
    sid: str,
    request: Request,
    reach: Reach,
    asked: Annotated[QuestionBody, json_body(QuestionBody)],
    moderation: Annotated[Moderation | None, app_part("moderation")],
) -> Response:
    """Ask the operator's moderator about texts or an upload of a session that the worker holds."""
    session = await reach.must_hold(sid)
    if moderation is None:
        raise NotFoundError("this coordinator has no moderator; set [moderation] url or callable")
    judged = await while_connected(request, moderation.judge(session, asked))
    return body_response(
        JudgedBody(
            action=judged.action.value, message=judged.message, categories=list(judged.categories), code=judged.code
        )
    )
