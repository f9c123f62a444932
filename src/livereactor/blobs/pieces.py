"""A blob that comes in several pieces, in as many requests as it takes.

Keys are written once, so each piece is a blob of its own: `content`, then `content-<offset>`. How much is there is read
from the store alone: any replica takes the next piece, and of two that write at one offset exactly one wins.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Final

from livereactor.base.limits import KIB, MIB
from livereactor.blobs.port import BlobKey, BlobMissingError, Blobs

PIECE: Final = 16 * MIB  # at most so much is lost where a process is killed
LEAST: Final = 64 * KIB  # a shorter one is kept at the end only, so a file has no more than its size over this


async def size_so_far(blobs: Blobs, key: BlobKey, size: int) -> int:
    """Bytes of the blob that are there, from its beginning on; `size` when all are."""
    at = 0
    while at < size:
        try:
            at += await blobs.size(piece_key(key, at))
        except BlobMissingError:
            break
    return at


async def read(blobs: Blobs, key: BlobKey, size: int) -> bytes:
    """The whole blob; raises `BlobMissingError` where a piece is not there."""
    found = [await blobs.get(key)]
    at = len(found[0])
    while at < size:
        found.append(await blobs.get(piece_key(key, at)))
        at += len(found[-1])
    return found[0] if len(found) == 1 else b"".join(found)


async def sha256(blobs: Blobs, key: BlobKey, size: int) -> bytes:
    """Of the whole blob, read 1 MiB at a time; raises `BlobMissingError` where a piece is not there."""
    taken, at = hashlib.sha256(), 0
    while at < size:
        async for block in blobs.stream(piece_key(key, at)):
            await asyncio.to_thread(taken.update, block)
            at += len(block)
    return taken.digest()


async def append(blobs: Blobs, key: BlobKey, at: int, size: int, blocks: AsyncIterator[bytes]) -> int:
    """Write what comes behind the first `at` bytes of a blob of `size`.

    Returns:
        how many bytes it has then. What broke `blocks` off is raised once what came before it has been written.

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
    """Where the bytes from `at` on lie."""
    return key if at == 0 else BlobKey(f"{key.path}-{at}")


class _TooShortError(Exception):
    """Not worth a blob of its own."""


class _Source:
    """Blocks, cut where a piece ends.

    Attributes:
        failure: what broke them off.
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
