"""The port to a store of bytes. Keys are paths of safe segments, parsed before they get here.

Every adapter promises: a key that was put is read back whole or not at all; `put` of an existing key raises
`BlobExistsError` (blobs are written once); a missing blob is `BlobMissingError`; a store that is away is
`BlobsUnavailableError`; memory use does not grow with the size of a blob that is streamed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from livereactor.base.errors import ConflictError, NotFoundError, UnavailableError, UsageError
from livereactor.base.limits import MIB

SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}"
KEY_CHARS = 512
_SEGMENT = re.compile(SEGMENT)
PIECE_BYTES: Final = MIB  # big enough that a read costs more than its call, small enough that readers stay small


@dataclass(frozen=True, slots=True)
class BlobKey:
    """A safe relative path: segments of letters, digits, `_`, `-` and `.`, none starting with a dot or a dash."""

    path: str

    @classmethod
    def parse(cls, text: str) -> BlobKey:
        """Return a key that is safe as a path; raises `UsageError` for anything that could leave its folder."""
        segments = text.split("/")
        if len(text) > KEY_CHARS or not all(_SEGMENT.fullmatch(segment) for segment in segments):
            raise UsageError(
                f"{text[:80]!r} cannot be a blob key; use letters, digits, '_', '-' and '.' between slashes"
            )
        return cls(text)


STAGING: Final = BlobKey("staging")  # prefix of streams that are being written; no finished blob lies below it
# Clients read this sentence; the operator's log has the reason.
AWAY: Final = "files cannot be stored or read now; see the server's log"


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """A blob, in a listing.

    Attributes:
        modified_at: Unix seconds, by the store's clock.
    """

    key: BlobKey
    size_bytes: int
    modified_at: float


class BlobMissingError(NotFoundError):
    """The blob was never written, or has been removed."""

    code = "blob_missing"

    def __init__(self, key: BlobKey) -> None:
        super().__init__(f"no blob {key.path!r}: it was never written, or was removed; upload it again")


class BlobExistsError(ConflictError):
    """The key is taken: blobs are written once."""

    code = "blob_exists"

    def __init__(self, key: BlobKey) -> None:
        super().__init__(f"blob {key.path!r} exists already; a blob is written once; use a new key")


class BlobsUnavailableError(UnavailableError):
    """The store is away or full."""

    code = "blobs_unavailable"


class Blobs(Protocol):
    """A store of bytes."""

    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        """Write once and return the size in bytes; a stream that breaks off leaves nothing behind."""
        ...

    async def get(self, key: BlobKey) -> bytes:
        """Return the whole blob."""
        ...

    def stream(self, key: BlobKey, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the blob from `start`, `length` bytes or to its end, in pieces of at most `PIECE_BYTES`."""
        ...

    async def size(self, key: BlobKey) -> int: ...
    def list(self, prefix: BlobKey) -> AsyncIterator[BlobEntry]:
        """Yield every blob below `prefix` that stays there meanwhile, in any order."""
        ...

    async def delete_prefix(self, prefix: BlobKey) -> None:
        """Remove every blob below `prefix`; it is no error where no blob is there."""
        ...


async def is_there(blobs: Blobs, key: BlobKey) -> bool:
    """Return whether the blob exists."""
    try:
        await blobs.size(key)
    except BlobMissingError:
        return False
    return True


def pieces(total: int, start: int, length: int | None) -> Iterator[tuple[int, int]]:
    """Yield offset and size of each piece of `length` bytes from `start` (None = to the end) of `total` bytes.

    A range that is wholly beyond the end has no pieces.
    """
    end = total if length is None else min(total, start + length)
    for offset in range(start, end, PIECE_BYTES):
        yield offset, min(PIECE_BYTES, end - offset)
