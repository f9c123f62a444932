"""Blobs in a folder of this machine, through obstore's LocalStore. The only file that knows obstore's errors.

A streamed blob is written to `.staging/` (no BlobKey starts with a dot) and then moved to its key by a hard link,
which fails where the key exists: readers see a whole blob or none, and of two writers exactly one wins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import obstore
import structlog
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from livereactor.base.errors import ConflictError
from livereactor.base.ids import uuid7
from livereactor.blobs.port import BlobExistsError, BlobKey, BlobMissingError, BlobsUnavailableError
from livereactor.blobs.ranges import PIECE_BYTES, pieces

log = structlog.get_logger("livereactor.blobs")


class _InTheWayError(ConflictError):
    """A folder cannot hold what an object store could: a blob `a` and blobs below `a/`."""


@contextmanager
def _translated(root: Path, key: BlobKey) -> Generator[None]:
    """The one place where obstore's errors become ours; what a caller's own stream raises passes unchanged."""
    try:
        yield
    except AlreadyExistsError as error:
        raise BlobExistsError(key) from error
    except BaseError as error:
        if (root / key.path).is_dir() or any((root / each).is_file() for each in _above(key)):
            raise _InTheWayError(f"{key.path!r} is a folder of blobs, or below a blob; take a new key") from error
        # Keys and paths of this machine are the operator's: the sentence may reach a client.
        log.error("blob cannot be reached", key=key.path, reason=str(error).partition("\n")[0])
        raise BlobsUnavailableError("uploads cannot be stored or read now; the log of the runtime says why") from error


def _above(key: BlobKey) -> Sequence[Path]:
    """The folders of a key below the root, which is none of them: a file in its place is the operator's matter."""
    return Path(key.path).parents[:-1]


@contextmanager
def _reading(root: Path, key: BlobKey) -> Generator[None]:
    """As `_translated`; obstore says "not there" by the built-in error, which a caller's stream may raise as well."""
    try:
        with _translated(root, key):
            yield
    except (FileNotFoundError, _InTheWayError) as error:
        raise BlobMissingError(key) from error


class _Counted:
    """Chunks as they pass, and how many bytes they were."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.size_bytes = 0

    def __aiter__(self) -> _Counted:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        self.size_bytes += len(chunk)
        return chunk


class FolderBlobs:
    """Fits `Blobs` by shape.

    Args:
        root: the folder; made if it is not there.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._store = LocalStore(root, automatic_cleanup=True)

    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        """Write once; returns the size in bytes. A stream takes at most two pieces of 1 MiB of memory."""
        if isinstance(chunks, bytes):
            with _translated(self._root, key):
                await obstore.put_async(self._store, key.path, chunks, mode="create")
            return len(chunks)
        return await self._put_streamed(key, chunks)

    async def _put_streamed(self, key: BlobKey, chunks: AsyncIterator[bytes]) -> int:
        counted = _Counted(chunks)
        staged = f".staging/{uuid7().hex}"
        with _translated(self._root, key):
            # A put that fails or is cancelled removes its own partial file; from here on the staged one is whole.
            await obstore.put_async(self._store, staged, counted, chunk_size=PIECE_BYTES, max_concurrency=1)
            try:
                await obstore.rename_async(self._store, staged, key.path, overwrite=False)
            except BaseException:
                await obstore.delete_async(self._store, staged)
                raise
        return counted.size_bytes

    async def get(self, key: BlobKey) -> bytes:
        """The whole blob."""
        with _reading(self._root, key):
            result = await obstore.get_async(self._store, key.path)
            return bytes(await result.bytes_async())

    async def stream(self, key: BlobKey, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The blob from `start`, in pieces of at most 1 MiB."""
        for offset, size in pieces(await self.size(key), start, length):
            with _reading(self._root, key):
                piece = await obstore.get_range_async(self._store, key.path, start=offset, length=size)
            yield bytes(piece)

    async def size(self, key: BlobKey) -> int:
        """Bytes of the blob."""
        with _reading(self._root, key):
            return (await obstore.head_async(self._store, key.path))["size"]

    async def delete_prefix(self, prefix: BlobKey) -> None:
        """Remove every blob below `prefix`."""
        with suppress(_InTheWayError), _translated(self._root, prefix):
            batches = obstore.list(self._store, prefix.path)  # pyright: ignore[reportUnknownMemberType]  (its Arrow form)
            async for batch in batches:
                for entry in batch:
                    with suppress(FileNotFoundError):  # somebody else was faster
                        await obstore.delete_async(self._store, entry["path"])
