"""Blobs in an object store, through obstore: the part that a folder and S3 share. Their modules translate its errors.

A stream that is longer than one part is written below `staging/` and then copied to its key, which fails where the key
exists: readers see a whole blob or none, and of two writers exactly one wins. `retention.py` removes what a killed
process leaves there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, suppress

import obstore
from obstore.exceptions import BaseError, GenericError
from obstore.store import LocalStore, S3Store

from livereactor.base.errors import UsageError
from livereactor.base.ids import uuid7
from livereactor.blobs.port import PIECE_BYTES, STAGING, BlobEntry, BlobKey

# How a folder and a bucket report a range that begins beyond the end; obstore has no class for that error.
_BEHIND = ("StartTooLarge", "416 Range Not Satisfiable")


class ObjectBlobs:
    """The `Blobs` of this store.

    Args:
        store: of obstore.
        part_bytes: size of the parts that a stream is written in; two are in memory at once.
        writing, reading: translate obstore's errors, for the key that is being written or read; an error of the
            caller's own stream passes unchanged.
    """

    def __init__(
        self,
        store: LocalStore | S3Store,
        *,
        part_bytes: int,
        writing: Callable[[BlobKey], AbstractContextManager[None]],
        reading: Callable[[BlobKey], AbstractContextManager[None]],
    ) -> None:
        self._store, self._part_bytes = store, part_bytes
        self._writing, self._reading = writing, reading

    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        """Write once; return the size in bytes. A stream takes at most three parts of memory."""
        if isinstance(chunks, bytes):
            return await self._put_whole(key, chunks)
        head, is_all = await _head(chunks, self._part_bytes)
        if is_all:
            return await self._put_whole(key, head)
        return await self._put_staged(key, _Counted(head, chunks))

    async def _put_whole(self, key: BlobKey, data: bytes) -> int:
        with self._writing(key):
            await obstore.put_async(self._store, key.path, data, mode="create", use_multipart=False)
        return len(data)

    async def _put_staged(self, key: BlobKey, counted: _Counted) -> int:
        staged = f"{STAGING.path}/{uuid7().hex}/content"
        with self._writing(key):
            # A put that fails or is cancelled removes its own parts; from here on the staged blob is whole.
            await obstore.put_async(self._store, staged, counted, chunk_size=self._part_bytes, max_concurrency=1)
            # Two copies at once may both succeed (SeaweedFS 4.48), so a conditional PUT decides between them.
            turn = f"{STAGING.path}/turns/{key.path}"
            try:
                await obstore.put_async(self._store, turn, b"", mode="create", use_multipart=False)
                try:
                    await obstore.copy_async(self._store, staged, key.path, overwrite=False)
                finally:
                    await self._sweep(turn)
            finally:
                await self._sweep(staged)
        return counted.size_bytes

    async def _sweep(self, path: str) -> None:
        with suppress(BaseError, FileNotFoundError):  # the retention loop removes it within a day
            await obstore.delete_async(self._store, path)

    async def get(self, key: BlobKey) -> bytes:
        """Return the whole blob."""
        with self._reading(key):
            result = await obstore.get_async(self._store, key.path)
            return bytes(await result.bytes_async())

    async def stream(self, key: BlobKey, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the blob from `start`, in pieces of at most 1 MiB: no request stays open for a slow reader."""
        if length == 0:
            await self.size(key)  # an empty range of a missing blob is still an error
            return
        at, end = start, None if length is None else start + length
        while end is None or at < end:
            most = at + PIECE_BYTES
            with self._reading(key):
                piece, size = await self._piece(key, at, most if end is None else min(most, end))
            if piece:
                yield piece
            at += len(piece)
            end = size if end is None else min(end, size)

    async def _piece(self, key: BlobKey, start: int, end: int) -> tuple[bytes, int]:
        """Return the bytes of a range that is not empty, as far as the blob has them, and the size of the blob."""
        try:
            result = await obstore.get_async(self._store, key.path, options={"range": (start, end)})
        except GenericError as error:
            if not any(each in str(error) for each in _BEHIND):
                raise
            return b"", 0
        return bytes(await result.bytes_async()), result.meta["size"]

    async def size(self, key: BlobKey) -> int:
        """Return the size of the blob."""
        with self._reading(key):
            return (await obstore.head_async(self._store, key.path))["size"]

    async def list(self, prefix: BlobKey) -> AsyncIterator[BlobEntry]:
        """Yield every blob below `prefix`; files with other names are left out."""
        with self._writing(prefix):
            batches = obstore.list(self._store, prefix.path)  # pyright: ignore[reportUnknownMemberType]  (its Arrow form)
            async for batch in batches:
                for entry in batch:
                    with suppress(UsageError):
                        key = BlobKey.parse(entry["path"])
                        yield BlobEntry(key, entry["size"], entry["last_modified"].timestamp())

    async def delete_prefix(self, prefix: BlobKey) -> None:
        """Remove every blob below `prefix`."""
        with self._writing(prefix):
            batches = obstore.list(self._store, prefix.path)  # pyright: ignore[reportUnknownMemberType]  (its Arrow form)
            async for batch in batches:
                await self._delete([entry["path"] for entry in batch])

    async def _delete(self, paths: list[str]) -> None:
        try:
            await obstore.delete_async(self._store, paths)
        except FileNotFoundError:  # another process has removed one of them
            for path in paths:
                with suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, path)


class _Counted:
    """Chunks, counted as they pass."""

    def __init__(self, head: bytes, chunks: AsyncIterator[bytes]) -> None:
        self._head, self._chunks = head, chunks
        self.size_bytes = 0

    def __aiter__(self) -> _Counted:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._head = self._head or await anext(self._chunks), b""
        self.size_bytes += len(chunk)
        return chunk


async def _head(chunks: AsyncIterator[bytes], part_bytes: int) -> tuple[bytes, bool]:
    """Return the first bytes, a part or more, and whether they are all."""
    held, size = list[bytes](), 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size > part_bytes:
            return b"".join(held), False
    return b"".join(held), True
