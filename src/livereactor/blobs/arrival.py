"""The body of one request on its way into a blob: in blocks, bounded in time, stopped by who goes on with it.

Stores take few large blocks in a third of the time that many small chunks cost: each one is a call across threads.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Final

from livereactor.base.errors import ConflictError, LivereactorError, PeerError
from livereactor.base.limits import MIB
from livereactor.blobs.signing import UploadExpiredError

BLOCK: Final = MIB  # bytes; the last chunk of a block may stand over


class Arrival:
    """Bytes that a client sends.

    Args:
        chunks: as the network brings them.
        wanted: how many bytes there may be.
        patience: seconds for all of them, so that a client that trickles does not stay for ever.
        hashed: their SHA-256 is wanted; it is taken on a thread.
    """

    def __init__(self, chunks: AsyncIterator[bytes], *, wanted: int, patience: float, hashed: bool = False) -> None:
        self._chunks, self._wanted = chunks, wanted
        self._until = asyncio.get_running_loop().time() + patience
        self._late: LivereactorError = UploadExpiredError(f"no whole body in {patience:g} s; upload it again")
        self._waiting: asyncio.Timeout | None = None
        self._sha256 = hashlib.sha256() if hashed else None
        self._hashing: asyncio.Future[None] | None = None

    def stop(self) -> None:
        """Take no more bytes: somebody else goes on from what has come."""
        self._late = ConflictError("another request goes on with this upload; ask for its offset")
        self._until = 0.0
        if self._waiting is not None:
            self._waiting.reschedule(self._until)

    async def blocks(self) -> AsyncIterator[bytes]:
        """What comes, in blocks; then, where it broke off, whatever broke it off is raised.

        Raises:
            PeerError: more bytes than `wanted`; the last block is not given out then.
            UploadExpiredError: not all came in time; ConflictError: stopped.
        """
        held, size, seen, failure = list[bytes](), 0, 0, None
        while True:
            try:
                chunk = await self._next()
            except Exception as error:  # what has come goes on first
                failure = error
                break
            if chunk is None:
                break
            seen += len(chunk)
            if seen > self._wanted:
                raise PeerError(f"the body has more than the {self._wanted} bytes announced or left; send no more")
            held.append(chunk)
            size += len(chunk)
            if size >= BLOCK and seen < self._wanted:  # the last one once it is known that no more follows
                yield await self._gathered(held)
                held, size = [], 0
        if size:
            yield await self._gathered(held)
        if failure is not None:
            raise failure

    async def whole(self) -> AsyncIterator[bytes]:
        """As `blocks`; and the end comes after all bytes that are wanted, or it raises `PeerError`."""
        seen = 0
        async for block in self.blocks():
            seen += len(block)
            yield block
        if seen < self._wanted:
            raise PeerError(f"the body has {seen} of the {self._wanted} announced bytes; send exactly the file")

    async def digest(self) -> bytes | None:
        """SHA-256 of all that came; None where it is not taken."""
        if self._hashing is not None:
            await self._hashing
        return None if self._sha256 is None else self._sha256.digest()

    async def _next(self) -> bytes | None:
        try:
            async with asyncio.timeout_at(self._until) as self._waiting:
                return await anext(self._chunks, None)
        except TimeoutError:
            raise self._late from None
        finally:
            self._waiting = None

    async def _gathered(self, held: list[bytes]) -> bytes:
        block = b"".join(held)
        if self._sha256 is not None:
            if self._hashing is not None:
                await self._hashing
            self._hashing = asyncio.get_running_loop().run_in_executor(None, self._sha256.update, block)
        return block
