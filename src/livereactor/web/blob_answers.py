"""Blobs over HTTP: a blob or a range of it (RFC 9110, 14.2), the listing of a prefix, and an upload that is resumed.

The headers of an upload are the core of tus 1.0.0, and the digest of RFC 9530.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from livereactor.base.errors import PeerError
from livereactor.blobs.port import BlobEntry, BlobKey, Blobs

NDJSON: Final = "application/x-ndjson"
_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")
RANGE_HEADER: Final[dict[str, Any]] = {
    "name": "Range",
    "in": "header",
    "description": "`bytes=FIRST-LAST` or `bytes=FIRST-`; anything else gets the whole.",
    "schema": {"type": "string"},
}  # for the OpenAPI document


async def blob_answer(blobs: Blobs, key: BlobKey, request: Request, media_type: str) -> Response:
    """Answer 200, 206 or 416; streamed, so memory does not grow with the blob's size.

    Raises:
        BlobMissingError: the blob is not there.
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


def byte_range(text: str, size: int) -> tuple[int, int] | None:
    """Return the start and end of the range in `size` bytes; None = no range was asked for, or it cannot be read."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    end = size if match[2] is None else min(size, int(match[2]) + 1)
    return int(match[1]), end


async def listing_answer(blobs: Blobs, prefix: BlobKey) -> Response:
    """Answer 200 with one JSON line `[key, bytes, Unix seconds]` for each blob below a prefix.

    Raises:
        BlobsUnavailableError: the store is away from the beginning.
    """
    entries = blobs.list(prefix)
    first = await anext(entries, None)
    return StreamingResponse(_lines(first, entries), media_type=NDJSON)


async def _lines(first: BlobEntry | None, entries: AsyncIterator[BlobEntry]) -> AsyncIterator[str]:
    if first is not None:
        yield _line(first)
    async for entry in entries:
        yield _line(entry)


def _line(entry: BlobEntry) -> str:
    return json.dumps([entry.key.path, entry.size_bytes, entry.modified_at]) + "\n"


TUS: Final = {"Tus-Resumable": "1.0.0", "Cache-Control": "no-store"}
RESUMABLE: Final = {"Upload-Offset": "0"}  # of the answer that gives a slot: its address takes PATCH
_DIGEST: Final = r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):"  # of RFC 9530's list, which may name others
OFFSETS: Final = 10**15  # above any file


def offset_of(headers: Mapping[str, str]) -> int:
    """Return where the bytes of a PATCH begin; raises `PeerError` if its `Upload-Offset` is not a number."""
    text = headers.get("upload-offset", "")
    if not (text.isascii() and text.isdecimal() and len(text) < len(str(OFFSETS))):
        raise PeerError("Upload-Offset must be the byte at which the body begins; HEAD returns how many have arrived")
    return int(text)


def digest_of(headers: Mapping[str, str]) -> bytes | None:
    """SHA-256 of the whole file, where `Repr-Digest` tells it; one that cannot be read counts as none (RFC 8941)."""
    found = re.search(_DIGEST, headers.get("repr-digest", ""))
    return base64.b64decode(found[1]) if found else None


def progress(offset: int, size: int) -> dict[str, str]:
    """Headers that tell how far an upload has come."""
    return {**TUS, "Upload-Offset": str(offset), "Upload-Length": str(size)}
