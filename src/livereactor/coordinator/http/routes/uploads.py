"""Uploads: a slot is reserved with a token, its bytes are written to a signed URL without one."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from livereactor.coordinator.http.dependencies import AnyCaller, PublicBase, app_part, body_response, json_body
from livereactor.coordinator.uploads import Uploads
from livereactor.protocol.http import UploadRequest, UploadSlot
from livereactor.web.blob_answers import OFFSETS, RESUMABLE, digest_of, offset_of, progress
from livereactor.web.documents import asked_by, octets, problems, signed, takes

_EXAMPLE: Final = {"name": "koi.jpg", "size": 48_213, "mime_type": "image/jpeg"}
_SIGNED: Final = signed("`presigned_url`")
_RESUMED: Final = [
    *_SIGNED,
    {
        "name": "Upload-Offset",
        "in": "header",
        "required": True,
        "description": "The byte of the file at which the body begins: the number of bytes received so far.",
        "schema": {"type": "integer", "minimum": 0, "exclusiveMaximum": OFFSETS},
    },
    {
        "name": "Repr-Digest",
        "in": "header",
        "description": "`sha-256=:<base64>:` of the whole file (RFC 9530): a different file is refused.",
        "schema": {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
    },
]


UploadsPart = Annotated[Uploads, app_part("uploads")]

routes = APIRouter(tags=["uploads"], responses=problems(403, 404))


@routes.post(
    "/sessions/{sid}/uploads",
    status_code=201,
    response_class=Response,
    responses={201: {"model": UploadSlot}, **problems(401, 408, 409, 413, 415)},
    openapi_extra=takes(UploadRequest, example=_EXAMPLE, required=True),
)
async def reserve_upload(
    sid: str,
    caller: AnyCaller,
    asked: Annotated[UploadRequest, json_body(UploadRequest)],
    uploads: UploadsPart,
    public_base: PublicBase,
) -> Response:
    """Reserve a signed URL for one file of the announced size and type."""
    upload, path = await uploads.reserve(caller, sid, asked)
    slot = UploadSlot(presigned_id=upload, presigned_url=public_base.rstrip("/") + path, path=path)
    answer = body_response(slot, 201)
    answer.headers.update(RESUMABLE)
    return answer


@routes.put(
    "/uploads/{upload}",
    status_code=204,
    response_class=Response,
    responses=problems(408, 409, 410),
    openapi_extra={**octets("Exactly the announced bytes."), **asked_by(), "parameters": _SIGNED},
)
async def write_upload(upload: str, request: Request, uploads: UploadsPart) -> Response:
    """Write the whole file in one request. The signed URL is the credential."""
    await uploads.write(upload, dict(request.query_params), request.stream())
    return Response(status_code=204)


@routes.patch(
    "/uploads/{upload}",
    status_code=204,
    response_class=Response,
    responses=problems(408, 409, 410),
    openapi_extra={**octets("The bytes from `Upload-Offset` on."), **asked_by(), "parameters": _RESUMED},
)
async def append_to_upload(upload: str, request: Request, uploads: UploadsPart) -> Response:
    """Append the next bytes of the file (tus 1.0.0). An interrupted request keeps the bytes that arrived."""
    offset, digest = offset_of(request.headers), digest_of(request.headers)
    query = dict(request.query_params)
    received, size = await uploads.append(upload, query, request.stream(), offset=offset, digest=digest)
    return Response(status_code=204, headers=progress(received, size))


@routes.head(
    "/uploads/{upload}",
    response_class=Response,
    responses=problems(410),
    openapi_extra={**asked_by(), "parameters": _SIGNED},
)
async def get_upload_progress(upload: str, request: Request, uploads: UploadsPart) -> Response:
    """Report in `Upload-Offset` how many bytes have arrived. A request that is still writing ends."""
    return Response(headers=progress(*await uploads.progress(upload, dict(request.query_params))))


@routes.delete(
    "/uploads/{upload}",
    status_code=204,
    response_class=Response,
    responses=problems(409, 410),
    openapi_extra={**asked_by(), "parameters": _SIGNED},
)
async def discard_upload(upload: str, request: Request, uploads: UploadsPart) -> Response:
    """Delete the bytes that were written; 409 once the file is complete."""
    await uploads.discard(upload, dict(request.query_params))
    return Response(status_code=204)
