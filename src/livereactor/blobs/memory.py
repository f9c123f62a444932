"""Blobs in this process's memory: for tests, ours and our users'. Gone with the process."""

from __future__ import annotations

from collections.abc import AsyncIterator

from livereactor.blobs.port import BlobExistsError, BlobKey, BlobMissingError
from livereactor.blobs.ranges import pieces


class MemoryBlobs:
    """Fits `Blobs` by shape. What is streamed in is kept whole, so memory is the only limit."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        """Write once; returns the size in bytes."""
        data = chunks if isinstance(chunks, bytes) else b"".join([chunk async for chunk in chunks])
        if key.path in self._blobs:
            raise BlobExistsError(key)
        self._blobs[key.path] = data
        return len(data)

    async def get(self, key: BlobKey) -> bytes:
        """The whole blob."""
        return self._found(key)

    async def stream(self, key: BlobKey, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The blob from `start`, in pieces of at most 1 MiB."""
        data = self._found(key)
        for offset, size in pieces(len(data), start, length):
            yield data[offset : offset + size]

    async def size(self, key: BlobKey) -> int:
        """Bytes of the blob."""
        return len(self._found(key))

    async def delete_prefix(self, prefix: BlobKey) -> None:
        """Remove every blob below `prefix`."""
        for path in [path for path in self._blobs if path.startswith(f"{prefix.path}/")]:
            del self._blobs[path]

    def _found(self, key: BlobKey) -> bytes:
        try:
            return self._blobs[key.path]
        except KeyError:
            raise BlobMissingError(key) from None
