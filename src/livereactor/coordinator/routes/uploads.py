"""Uploads (section 8): a slot is reserved with a token, its bytes are written to a signed URL without one."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from livereactor.coordinator.requests import Door, told
from livereactor.coordinator.uploads import Uploads
from livereactor.protocol.http import UploadRequest, UploadSlot, read_body
from livereactor.web.access import base_url
from livereactor.web.documents import asked_by, octets, problems, takes

_EXAMPLE: Final = {"name": "koi.jpg", "size": 48_213, "mime_type": "image/jpeg"}
_SIGNED: Final = [
    {"name": name, "in": "query", "description": "As in `presigned_url`.", "schema": {"type": "string"}}
    for name in ("m", "exp", "max", "size", "type", "kid", "sig")
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
        return told(UploadSlot(presigned_id=upload, presigned_url=base + path, path=path), 201)

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

    return routes
