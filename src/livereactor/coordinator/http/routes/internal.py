"""`/internal/blobs/{key}`: how Workers elsewhere read and write what lies in the coordinator's blobs."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from livereactor.blobs.port import KEY_CHARS, SEGMENT, BlobKey, Blobs
from livereactor.coordinator.http.requests import Door
from livereactor.web.blob_answers import blob_answer
from livereactor.web.blob_listing import listing_answer
from livereactor.web.documents import WORKER, asked_by, octets, problems
from livereactor.web.ranges import RANGE_HEADER

PREFIX: Final = "/internal/blobs/"
OCTETS: Final = "application/octet-stream"
_WHOLE: Final = {200: {"content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}}
_WORKERS: Final = asked_by(WORKER)
# Told, not checked: `BlobKey.parse` does, and says what a key may be.
Key: TypeAlias = Annotated[
    str, Path(json_schema_extra={"pattern": f"^{SEGMENT}(/{SEGMENT})*$", "maxLength": KEY_CHARS})
]


def internal(door: Door, blobs: Blobs) -> APIRouter:
    """The routes; all of them want the worker secret."""
    routes = APIRouter(tags=["internal"])

    @routes.get(
        PREFIX + "{key:path}",
        response_class=Response,
        responses={
            **_WHOLE,
            206: {"description": "The range that was asked for."},
            416: {"description": "The range begins behind the end."},
            **problems(401, 404),
        },
        openapi_extra={**_WORKERS, "parameters": [RANGE_HEADER]},
    )
    async def get(key: Key, request: Request) -> Response:
        """A blob, or a range of it; with `?prefix=1` what lies below, a line of JSON for each blob."""
        door.worker(request)
        if request.query_params.get("prefix"):
            return await listing_answer(blobs, BlobKey.parse(key))
        return await blob_answer(blobs, BlobKey.parse(key), request, OCTETS)

    @routes.head(
        PREFIX + "{key:path}",
        operation_id="size_of_blob",
        response_class=Response,
        responses={200: {"description": "`Content-Length` is the size."}, **problems(401, 404)},
        openapi_extra=_WORKERS,
    )
    async def head(key: Key, request: Request) -> Response:
        """The size of a blob."""
        door.worker(request)
        return await blob_answer(blobs, BlobKey.parse(key), request, OCTETS)

    @routes.put(
        PREFIX + "{key:path}",
        status_code=201,
        response_class=Response,
        responses=problems(401, 408, 409),
        openapi_extra={**octets("The blob, which is written once."), **_WORKERS},
    )
    async def put(key: Key, request: Request) -> Response:
        """Write a blob, once."""
        door.worker(request)
        await blobs.put(BlobKey.parse(key), request.stream())
        return Response(status_code=201)

    @routes.delete(
        PREFIX + "{key:path}",
        status_code=204,
        response_class=Response,
        responses=problems(401),
        openapi_extra=_WORKERS,
    )
    async def delete(key: Key, request: Request) -> Response:
        """Remove every blob below a prefix."""
        door.worker(request)
        await blobs.delete_prefix(BlobKey.parse(key))
        return Response(status_code=204)

    return routes
