"""The seam to wherever bytes are kept. Keys are paths of safe segments, parsed before they get here.

What every adapter promises: a key that was put is read back whole or not at all; `put` of an existing key raises
`BlobExistsError` (write once); missing is `BlobMissingError`; a store that is away is `BlobsUnavailableError`; memory
use does not grow with the size of a blob that is streamed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol

from livereactor.base.errors import ConflictError, NotFoundError, UnavailableError, UsageError

SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}"
KEY_CHARS = 512
_SEGMENT = re.compile(SEGMENT)


@dataclass(frozen=True, slots=True)
class BlobKey:
    """A safe relative path: segments of letters, digits, `_`, `-` and `.`, none starting with a dot or a dash."""

    path: str

    @classmethod
    def parse(cls, text: str) -> BlobKey:
        """Raises `UsageError` for anything that could leave its folder, so a key in hand is safe as a path."""
        segments = text.split("/")
        if len(text) > KEY_CHARS or not all(_SEGMENT.fullmatch(segment) for segment in segments):
            raise UsageError(
                f"{text[:80]!r} cannot be a blob key; use letters, digits, '_', '-' and '.' between slashes"
            )
        return cls(text)


STAGING: Final = BlobKey("staging")  # what is being written; no blob of anybody's lies below it
# Said to clients; the operator's log has the reason.
AWAY: Final = "files cannot be stored or read now; the log of the server says why"


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """A blob as a listing tells of it.

    Attributes:
        modified_at: Unix seconds, by the store's clock.
    """

    key: BlobKey
    size_bytes: int
    modified_at: float


class BlobMissingError(NotFoundError):
    """Never written, or already removed."""

    code = "blob_missing"

    def __init__(self, key: BlobKey) -> None:
        super().__init__(f"no blob {key.path!r}: never written, or removed; upload it again")


class BlobExistsError(ConflictError):
    """Blobs are written once."""

    code = "blob_exists"

    def __init__(self, key: BlobKey) -> None:
        super().__init__(f"blob {key.path!r} exists already; a blob is written once, take a new key")


class BlobsUnavailableError(UnavailableError):
    """The store is away or full."""

    code = "blobs_unavailable"


class Blobs(Protocol):
    """Where bytes are kept."""

    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        """Write once and return the size in bytes; what breaks off half way leaves nothing behind."""
        ...

    async def get(self, key: BlobKey) -> bytes:
        """The whole blob."""
        ...

    def stream(self, key: BlobKey, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The blob from `start`, `length` bytes or to its end, in pieces of at most 1 MiB."""
        ...

    async def size(self, key: BlobKey) -> int: ...
    def list(self, prefix: BlobKey) -> AsyncIterator[BlobEntry]:
        """Every blob below `prefix` that was there all the while, in any order; none is no error."""
        ...

    async def delete_prefix(self, prefix: BlobKey) -> None:
        """Remove every blob below `prefix`; nothing there is no error."""
        ...
