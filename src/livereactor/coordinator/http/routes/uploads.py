"""Uploads (section 8): a slot is reserved with a token, its bytes are written to a signed URL without one."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from livereactor.coordinator.http.requests import Door, told
from livereactor.coordinator.uploads import Uploads
from livereactor.protocol.http import UploadRequest, UploadSlot, read_body
from livereactor.web.access import base_url
from livereactor.web.documents import asked_by, octets, problems, signed, takes
from livereactor.web.resuming import OFFSETS, RESUMABLE, digest_of, offset_of, progress

_EXAMPLE: Final = {"name": "koi.jpg", "size": 48_213, "mime_type": "image/jpeg"}
_SIGNED: Final = signed("`presigned_url`")
_RESUMED: Final = [
    *_SIGNED,
    {
        "name": "Upload-Offset",
        "in": "header",
        "required": True,
        "description": "At which byte of the file the body begins: how many are there.",
        "schema": {"type": "integer", "minimum": 0, "exclusiveMaximum": OFFSETS},
    },
    {
        "name": "Repr-Digest",
        "in": "header",
        "description": "`sha-256=:<base64>:` of the whole file (RFC 9530): another file is not taken.",
        "schema": {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
    },
]


def uploads(door: Door, kept: Uploads, *, public_url: str | None) -> APIRouter:
    """The routes; `public_url` is where clients reach us, where requests do not tell."""
    routes = APIRouter(tags=["uploads"])

    @routes.post(
        "/sessions/{sid}/uploads",
        status_code=201,
        response_class=Response,
        responses={201: {"model": UploadSlot}, **problems(401, 403, 404, 408, 409, 413, 415)},
        openapi_extra=takes(UploadRequest, example=_EXAMPLE, required=True),
    )
    async def reserve(sid: str, request: Request) -> Response:
        """A place for one file of the announced size."""
        caller = await door.caller(request)
        asked = read_body(UploadRequest, await request.body())
        upload, path = await kept.reserve(caller, sid, asked)
        base = (public_url or base_url(request)).rstrip("/")
        answer = told(UploadSlot(presigned_id=upload, presigned_url=base + path, path=path), 201)
        answer.headers.update(RESUMABLE)
        return answer

    @routes.put(
        "/uploads/{upload}",
        status_code=204,
        response_class=Response,
        responses=problems(403, 404, 408, 409, 410),
        openapi_extra={**octets("Exactly the announced bytes."), **asked_by(), "parameters": _SIGNED},
    )
    async def write(upload: str, request: Request) -> Response:
        """The bytes of a slot, once; the URL is the credential."""
        await kept.write(upload, dict(request.query_params), request.stream())
        return Response(status_code=204)

    @routes.patch(
        "/uploads/{upload}",
        status_code=204,
        response_class=Response,
        responses=problems(403, 404, 408, 409, 410),
        openapi_extra={**octets("The bytes from `Upload-Offset` on."), **asked_by(), "parameters": _RESUMED},
    )
    async def append(upload: str, request: Request) -> Response:
        """The next bytes of a slot (tus 1.0.0): what breaks off keeps what came, and goes on from there."""
        offset, digest = offset_of(request.headers), digest_of(request.headers)
        query = dict(request.query_params)
        reached, size = await kept.append(upload, query, request.stream(), offset=offset, digest=digest)
        return Response(status_code=204, headers=progress(reached, size))

    @routes.head(
        "/uploads/{upload}",
        response_class=Response,
        responses=problems(403, 404, 410),
        openapi_extra={**asked_by(), "parameters": _SIGNED},
    )
    async def reached(upload: str, request: Request) -> Response:
        """How many bytes of a slot are there, in `Upload-Offset`; a request that still writes ends."""
        return Response(headers=progress(*await kept.progress(upload, dict(request.query_params))))

    @routes.delete(
        "/uploads/{upload}",
        status_code=204,
        response_class=Response,
        responses=problems(403, 404, 409, 410),
        openapi_extra={**asked_by(), "parameters": _SIGNED},
    )
    async def discard(upload: str, request: Request) -> Response:
        """Keep nothing of what was written; 409 once all bytes have landed."""
        await kept.discard(upload, dict(request.query_params))
        return Response(status_code=204)

    return routes
