"""Blobs in the memory of this process, for tests: ours and our users'."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence

from livereactor.blobs.port import BlobEntry, BlobExistsError, BlobKey, BlobMissingError, pieces


class MemoryBlobs:
    """The `Blobs` of this store. A stream is kept whole, so memory is the only limit.

    Args:
        now: Unix seconds.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._blobs: dict[str, bytes] = {}
        self._modified: dict[str, float] = {}
        self._now = now

    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        """Write once; return the size in bytes."""
        data = chunks if isinstance(chunks, bytes) else b"".join([chunk async for chunk in chunks])
        if key.path in self._blobs:
            raise BlobExistsError(key)
        self._blobs[key.path], self._modified[key.path] = data, self._now()
        return len(data)

    async def get(self, key: BlobKey) -> bytes:
        """Return the whole blob."""
        return self._found(key)

    async def stream(self, key: BlobKey, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the blob from `start`, in pieces of at most 1 MiB."""
        data = self._found(key)
        for offset, size in pieces(len(data), start, length):
            yield data[offset : offset + size]

    async def size(self, key: BlobKey) -> int:
        """Return the size of the blob."""
        return len(self._found(key))

    async def list(self, prefix: BlobKey) -> AsyncIterator[BlobEntry]:
        """Yield every blob below `prefix`."""
        for path in self._below(prefix):
            if path in self._blobs:
                yield BlobEntry(BlobKey(path), len(self._blobs[path]), self._modified[path])

    async def delete_prefix(self, prefix: BlobKey) -> None:
        """Remove every blob below `prefix`."""
        for path in self._below(prefix):
            del self._blobs[path], self._modified[path]

    def paths(self) -> list[str]:
        """Return the keys of all blobs, in the order of their writes."""
        return list(self._blobs)

    def _below(self, prefix: BlobKey) -> Sequence[str]:
        return [path for path in self._blobs if path.startswith(f"{prefix.path}/")]

    def _found(self, key: BlobKey) -> bytes:
        try:
            return self._blobs[key.path]
        except KeyError:
            raise BlobMissingError(key) from None
