"""A blob that arrives in several pieces, in any number of requests.

Keys are written once, so each piece is a blob of its own: `content`, then `content-<offset>`. The number of bytes that
are there is read from the store alone: any replica takes the next piece, and of two that write at one offset one wins.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Final

from livereactor.base.limits import KIB, MIB
from livereactor.blobs.port import BlobKey, BlobMissingError, Blobs

PIECE: Final = 16 * MIB  # a killed process loses at most that
LEAST: Final = 64 * KIB  # only the last piece may be shorter, which bounds the number of pieces


async def size_so_far(blobs: Blobs, key: BlobKey, size: int) -> int:
    """Return the number of bytes that are there, from the beginning; `size` when all are."""
    at = 0
    while at < size:
        try:
            at += await blobs.size(piece_key(key, at))
        except BlobMissingError:
            break
    return at


async def read(blobs: Blobs, key: BlobKey, size: int) -> bytes:
    """Return the whole blob; raises `BlobMissingError` where a piece is missing."""
    found = [await blobs.get(key)]
    at = len(found[0])
    while at < size:
        found.append(await blobs.get(piece_key(key, at)))
        at += len(found[-1])
    return found[0] if len(found) == 1 else b"".join(found)


async def sha256(blobs: Blobs, key: BlobKey, size: int) -> bytes:
    """Return the SHA-256 of the whole blob, 1 MiB at a time; raises `BlobMissingError` where a piece is missing."""
    taken, at = hashlib.sha256(), 0
    while at < size:
        async for block in blobs.stream(piece_key(key, at)):
            await asyncio.to_thread(taken.update, block)
            at += len(block)
    return taken.digest()


async def append(blobs: Blobs, key: BlobKey, at: int, size: int, blocks: AsyncIterator[bytes]) -> int:
    """Write the bytes that follow the first `at` bytes of a blob of `size`.

    Returns:
        The number of bytes there are then. An error that breaks `blocks` off is raised once the bytes before it are
        written.

    Raises:
        BlobExistsError: another writer was faster.
    """
    source = _Source(blocks)
    while at < size and await source.has_more():
        try:
            at += await blobs.put(piece_key(key, at), source.piece(min(PIECE, size - at)))
        except _TooShortError:
            break
    if source.failure is not None:
        raise source.failure
    return at


def piece_key(key: BlobKey, at: int) -> BlobKey:
    """Return the key of the piece that begins at `at`."""
    return key if at == 0 else BlobKey(f"{key.path}-{at}")


class _TooShortError(Exception):
    """A piece is too short for a blob of its own."""


class _Source:
    """Blocks, cut where a piece ends.

    Attributes:
        failure: the error that broke them off.
    """

    def __init__(self, blocks: AsyncIterator[bytes]) -> None:
        self._blocks = blocks
        self._held = b""
        self.failure: Exception | None = None

    async def has_more(self) -> bool:
        if not self._held and self.failure is None:
            try:
                self._held = await anext(self._blocks, b"")
            except Exception as error:
                self.failure = error
        return bool(self._held)

    async def piece(self, size: int) -> AsyncIterator[bytes]:
        left = size
        while left and await self.has_more():
            block, self._held = self._held[:left], self._held[left:]
            left -= len(block)
            yield block
        if left and size - left < LEAST:
            raise _TooShortError
