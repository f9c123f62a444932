"""Blobs in a coordinator's store, over its HTTP: for Workers on other machines. Translates httpx's errors.

`/internal/blobs/{key}` with the worker secret: PUT creates (409 where the key exists), GET takes a Range, HEAD tells
the size, GET with `?prefix=1` lists what is below, as lines of JSON, and DELETE with it removes that.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Final

import httpx2
import structlog

from livereactor.blobs.port import (
    PIECE_BYTES,
    BlobEntry,
    BlobExistsError,
    BlobKey,
    BlobMissingError,
    BlobsUnavailableError,
)

PATH: Final = "/internal/blobs/"
TIMEOUT: Final = httpx2.Timeout(30.0, connect=5.0, pool=10.0)  # seconds; of each read and write, not of a whole blob
_BEYOND: Final = 416  # the range is not satisfiable
CONNECTIONS: Final = 8  # at once; a Session reads one file after another

log = structlog.get_logger("livereactor.blobs")


@contextmanager
def _translated(key: BlobKey) -> Generator[None]:
    """Translate httpx's errors; an error of the caller's own stream passes unchanged."""
    try:
        yield
    except httpx2.HTTPError as error:
        log.error("blob cannot be reached", key=key.path, reason=str(error) or type(error).__name__)
        raise BlobsUnavailableError("files cannot be stored or read now: the coordinator is away; try again") from error


class HttpBlobs:
    """The `Blobs` of this store.

    Args:
        base_url: of the coordinator.
        secret: the worker secret.
    """

    def __init__(self, base_url: str, secret: str) -> None:
        self._http = httpx2.AsyncClient(
            base_url=base_url.rstrip("/"),
            headers={"Authorization": f"Bearer {secret}"},
            timeout=TIMEOUT,
            limits=httpx2.Limits(max_connections=CONNECTIONS),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        """Write once; return the size in bytes."""
        counted = _Counted(chunks)
        with _translated(key):
            answer = await self._http.put(PATH + key.path, content=chunks if isinstance(chunks, bytes) else counted)
        _check(answer, key)
        return len(chunks) if isinstance(chunks, bytes) else counted.size_bytes

    async def get(self, key: BlobKey) -> bytes:
        """Return the whole blob."""
        with _translated(key):
            answer = await self._http.get(PATH + key.path)
        _check(answer, key)
        return answer.content

    async def stream(self, key: BlobKey, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the blob from `start`, in pieces of at most 1 MiB."""
        if length == 0:
            await self.size(key)  # an empty range of a missing blob is still an error
            return
        end = "" if length is None else str(start + length - 1)
        with _translated(key):
            async with self._http.stream("GET", PATH + key.path, headers={"Range": f"bytes={start}-{end}"}) as answer:
                if answer.status_code == _BEYOND:  # the range begins beyond the end
                    return
                _check(answer, key)
                async for piece in answer.aiter_raw(PIECE_BYTES):
                    yield piece

    async def size(self, key: BlobKey) -> int:
        """Return the size of the blob."""
        with _translated(key):
            answer = await self._http.head(PATH + key.path)
        _check(answer, key)
        return int(answer.headers["content-length"])

    async def list(self, prefix: BlobKey) -> AsyncIterator[BlobEntry]:
        """Yield every blob below `prefix`."""
        with _translated(prefix):
            async with self._http.stream("GET", PATH + prefix.path, params={"prefix": "1"}) as answer:
                _check(answer, prefix)
                async for line in answer.aiter_lines():
                    path, size_bytes, modified_at = json.loads(line)
                    yield BlobEntry(BlobKey.parse(path), size_bytes, modified_at)

    async def delete_prefix(self, prefix: BlobKey) -> None:
        """Remove every blob below `prefix`."""
        with _translated(prefix):
            answer = await self._http.delete(PATH + prefix.path, params={"prefix": "1"})
        _check(answer, prefix)


class _Counted:
    """Chunks, counted as they pass."""

    def __init__(self, chunks: AsyncIterator[bytes] | bytes) -> None:
        self._chunks = chunks
        self.size_bytes = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert not isinstance(self._chunks, bytes)
        async for chunk in self._chunks:
            self.size_bytes += len(chunk)
            yield chunk


def _check(answer: httpx2.Response, key: BlobKey) -> None:
    match answer.status_code:
        case 200 | 201 | 204 | 206:
            return
        case 404:
            raise BlobMissingError(key)
        case 409:
            raise BlobExistsError(key)
        case 401 | 403:
            raise BlobsUnavailableError("the coordinator rejects this worker's secret; restart the worker")
        case status:
            log.error("blob refused", key=key.path, status=status)
            raise BlobsUnavailableError(f"the coordinator cannot store or read files now (HTTP {status}); try again")
