"""A blob, or a range of it (RFC 9110, 14.2), as the answer to GET and HEAD."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from livereactor.blobs.port import BlobKey, Blobs
from livereactor.web.ranges import byte_range


async def blob_answer(blobs: Blobs, key: BlobKey, request: Request, media_type: str) -> Response:
    """200, 206 or 416; streamed, so memory does not grow with its size.

    Raises:
        BlobMissingError: it is not there.
        BlobsUnavailableError: the store is away.
    """
    size = await blobs.size(key)
    headers = {"Content-Length": str(size), "Accept-Ranges": "bytes"}
    if request.method == "HEAD":
        return Response(headers=headers, media_type=media_type)
    span = byte_range(request.headers.get("range", ""), size)
    if span is None:
        return StreamingResponse(_piped(blobs, key, 0, size), 200, headers, media_type)
    start, end = span
    if start >= end:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"}, media_type=media_type)
    headers |= {"Content-Length": str(end - start), "Content-Range": f"bytes {start}-{end - 1}/{size}"}
    return StreamingResponse(_piped(blobs, key, start, end - start), 206, headers, media_type)


async def _piped(blobs: Blobs, key: BlobKey, start: int, length: int) -> AsyncIterator[bytes]:
    async for piece in blobs.stream(key, start=start, length=length):
        yield piece
