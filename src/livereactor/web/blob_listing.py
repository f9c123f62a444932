"""What lies below a prefix, as an answer: a line of JSON for each blob, `[key, bytes, Unix seconds]`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final

from fastapi.responses import Response, StreamingResponse

from livereactor.blobs.port import BlobEntry, BlobKey, Blobs

NDJSON: Final = "application/x-ndjson"


async def listing_answer(blobs: Blobs, prefix: BlobKey) -> Response:
    """200, streamed; raises `BlobsUnavailableError` where the store is away from the beginning."""
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
