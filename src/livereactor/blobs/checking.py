"""Checks that a store keeps the promises of the port, on a few bytes and a stream, which are removed again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from livereactor.base.ids import uuid7
from livereactor.base.limits import MIB
from livereactor.blobs.port import BlobExistsError, BlobKey, Blobs, BlobsUnavailableError

STREAM: Final = 6  # MiB: more than one part of a bucket
OVERWRITES: Final = "the store overwrites existing objects; use one that honours If-None-Match"
READS_OTHERS: Final = "the store returned other bytes than were written; check for a proxy in front of the store"
KEEPS: Final = "a deleted object is still there; allow the key to delete objects"


async def takes_writes(blobs: Blobs) -> bool:
    """Return whether a few bytes can be put and removed; if not, the adapter has logged what to do.

    A store that creates its bucket with the first write has it afterwards.
    """
    folder = BlobKey(f"doctor/{uuid7().hex}")
    try:
        await blobs.put(BlobKey(f"{folder.path}/begun"), b"begun")
        await blobs.delete_prefix(folder)
    except BlobsUnavailableError:
        return False
    return True


async def trouble_with(blobs: Blobs) -> str:
    """Return what is wrong and, after a semicolon, what to do; empty where the store works as it should.

    Raises:
        BlobsUnavailableError: the store is away or refuses us; the adapter has logged what to do.
    """
    folder = BlobKey(f"doctor/{uuid7().hex}")
    try:
        trouble = await _tried(blobs, BlobKey(f"{folder.path}/whole"), BlobKey(f"{folder.path}/streamed"))
    finally:
        await blobs.delete_prefix(folder)
    async for _ in blobs.list(folder):
        return trouble or KEEPS
    return trouble


async def _tried(blobs: Blobs, whole: BlobKey, streamed: BlobKey) -> str:
    await blobs.put(whole, b"whole")
    await blobs.put(streamed, _stream())
    if await blobs.get(whole) != b"whole" or await blobs.size(streamed) != STREAM * MIB:
        return READS_OTHERS
    refuses = await _is_refused(blobs, whole, b"again") and await _is_refused(blobs, streamed, _stream())
    return "" if refuses else OVERWRITES


async def _is_refused(blobs: Blobs, key: BlobKey, again: bytes | AsyncIterator[bytes]) -> bool:
    try:
        await blobs.put(key, again)
    except BlobExistsError:
        return True
    return False


async def _stream() -> AsyncIterator[bytes]:
    for _ in range(STREAM):
        yield bytes(MIB)
