"""Blobs in a folder of this machine, through obstore's LocalStore, which copies by hard links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from livereactor.base.errors import ConflictError
from livereactor.blobs.objects import ObjectBlobs
from livereactor.blobs.port import (
    AWAY,
    PIECE_BYTES,
    BlobEntry,
    BlobExistsError,
    BlobKey,
    BlobMissingError,
    BlobsUnavailableError,
)

log = structlog.get_logger("livereactor.blobs")


class _InTheWayError(ConflictError):
    """A folder cannot hold what an object store could: a blob `a` and blobs below `a/`."""


class FolderBlobs(ObjectBlobs):
    """The `Blobs` of this store.

    Args:
        root: the folder; created if it does not exist.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root
        store = LocalStore(root, automatic_cleanup=True)
        super().__init__(store, part_bytes=PIECE_BYTES, writing=self._translated, reading=self._missing_or_translated)

    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        """Write once, into a file that only its owner may read; return the size in bytes."""
        size = await super().put(key, chunks)
        # obstore takes no mode, and a umask would be the whole process's. Until here, the root's mode hides the file.
        with suppress(FileNotFoundError):  # it was removed at once
            (self._root / key.path).chmod(0o600)
        return size

    async def list(self, prefix: BlobKey) -> AsyncIterator[BlobEntry]:
        """Yield every blob below `prefix`."""
        with suppress(_InTheWayError):
            async for entry in super().list(prefix):
                yield entry

    async def delete_prefix(self, prefix: BlobKey) -> None:
        """Remove every blob below `prefix`."""
        with suppress(_InTheWayError):
            await super().delete_prefix(prefix)

    @contextmanager
    def _translated(self, key: BlobKey) -> Generator[None]:
        try:
            yield
        except AlreadyExistsError as error:
            raise BlobExistsError(key) from error
        except BaseError as error:
            if (self._root / key.path).is_dir() or any((self._root / each).is_file() for each in _above(key)):
                raise _InTheWayError(f"{key.path!r} is a folder of blobs, or below a blob; use a new key") from error
            # Keys and paths of this machine are the operator's: the sentence may reach a client.
            log.error("blob cannot be reached", key=key.path, reason=str(error).partition("\n")[0])
            raise BlobsUnavailableError(AWAY) from error

    @contextmanager
    def _missing_or_translated(self, key: BlobKey) -> Generator[None]:
        """Translate as `_translated` does, and missing blobs too: obstore reports them by the built-in error, which a
        caller's stream may raise as well."""
        try:
            with self._translated(key):
                yield
        except (FileNotFoundError, _InTheWayError) as error:
            raise BlobMissingError(key) from error


def _above(key: BlobKey) -> Sequence[Path]:
    """Return the folders of a key below the root, without the root itself."""
    return Path(key.path).parents[:-1]
