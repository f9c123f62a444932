"""The bytes of uploads on their way into blobs: whole, or piece by piece, and never by two writers at once.

The state of an upload is read from the blobs each time, so nothing here outlives a request, and any replica takes the
next one. Blob stores take few large blocks in a third of the time that many small chunks cost, because each is a call
across threads.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager, suppress
from typing import Final

from livereactor.base.errors import ConflictError, LivereactorError, PeerError
from livereactor.base.limits import MIB
from livereactor.blobs import pieces
from livereactor.blobs.port import BlobExistsError, BlobKey, Blobs
from livereactor.blobs.signing import UploadExpiredError

BLOCK: Final = MIB  # bytes; the last chunk of a block may exceed it
STOP_TIMEOUT: Final = 5.0  # seconds for a stopped writer to store what it has


class UploadOffsetError(ConflictError):
    """A piece does not begin where the last one ended."""

    code = "UPLOAD_OFFSET"
    recoverable = True


class UploadCorruptedError(PeerError):
    """The SHA-256 of the bytes that arrived differs from the one the client sent."""

    code = "UPLOAD_CORRUPTED"
    recoverable = True


class UploadWriter:
    """Writes uploads into blobs, on one event loop.

    Args:
        timeout: seconds that one request may take to send its bytes.
    """

    def __init__(self, blobs: Blobs, timeout: float) -> None:
        self._blobs, self._timeout = blobs, timeout
        self._writing: dict[BlobKey, _Writing] = {}

    async def write(self, key: BlobKey, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Write a blob of exactly `size` bytes in one request; a broken request leaves nothing.

        Raises:
            ConflictError: another request is writing it.
            BlobExistsError: it was written before, in part or whole.
            PeerError: the body has another size.
        """
        body = IncomingBody(chunks, wanted=size, timeout=self._timeout)
        with self._alone(key, None):
            await self._blobs.put(key, body.whole())

    async def append(
        self, key: BlobKey, size: int, offset: int, chunks: AsyncIterator[bytes], digest: bytes | None
    ) -> int:
        """Append the next bytes of a blob of `size` bytes; a broken request keeps the bytes that came before.

        Args:
            offset: where the bytes begin, which must be where the last ended.
            digest: SHA-256 of the whole blob, checked once it is complete.

        Returns:
            The number of bytes there are now; `size` = the blob is complete and its digest is right.

        Raises:
            ConflictError: another request is writing it.
            UploadOffsetError: the bytes begin elsewhere.
            PeerError: more bytes than are left.
            UploadCorruptedError: the digest differs; nothing of the blob is left.
        """
        is_all = offset == 0 and digest is not None
        body = IncomingBody(chunks, wanted=size - offset, timeout=self._timeout, hashed=is_all)
        with self._alone(key, body):
            if (there := await pieces.size_so_far(self._blobs, key, size)) != offset:
                raise _wrong_offset(there, size)
            try:
                reached = await pieces.append(self._blobs, key, offset, size, body.blocks())
            except BlobExistsError:  # another replica writes it
                raise _wrong_offset(await pieces.size_so_far(self._blobs, key, size), size) from None
            if reached == size and digest is not None:
                taken = await body.digest() or await pieces.sha256(self._blobs, key, size)
                if not hmac.compare_digest(taken, digest):
                    await self._blobs.delete_prefix(folder_of(key))
                    raise UploadCorruptedError("the file was damaged on the way: its SHA-256 differs; send it again")
        return reached

    async def offset(self, key: BlobKey, size: int) -> int:
        """Return where to go on; a request that is still writing is stopped and keeps what it has sent."""
        await self._stop(key)
        return await pieces.size_so_far(self._blobs, key, size)

    async def erase(self, key: BlobKey) -> None:
        """Stop the request that writes a blob, and erase what it has written."""
        await self._stop(key)
        await self._blobs.delete_prefix(folder_of(key))

    async def _stop(self, key: BlobKey) -> None:
        writing = self._writing.get(key)
        if writing is None or writing.body is None:
            return
        writing.body.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(writing.ended.wait(), STOP_TIMEOUT)

    @contextmanager
    def _alone(self, key: BlobKey, body: IncomingBody | None) -> Generator[None]:
        if key in self._writing:
            raise ConflictError("this upload is being written by another request; wait for it, or reserve another slot")
        writing = self._writing[key] = _Writing(body)
        try:
            yield
        finally:
            del self._writing[key]
            writing.ended.set()


class _Writing:
    """A request that writes one blob."""

    def __init__(self, body: IncomingBody | None) -> None:
        self.body = body  # None = it cannot be stopped half way
        self.ended = asyncio.Event()


def folder_of(key: BlobKey) -> BlobKey:
    """Return the folder that holds all pieces of a blob, and nothing else."""
    return BlobKey(key.path.rpartition("/")[0])


def _wrong_offset(there: int, size: int) -> UploadOffsetError:
    return UploadOffsetError(f"{there} of {size} bytes have arrived; continue from there")


class IncomingBody:
    """The body of one request: given out in blocks, bounded in time, and stopped by the request that continues it.

    Args:
        chunks: as the network brings them.
        wanted: the most bytes there may be.
        timeout: seconds for all of them, so that a slow client does not stay for ever.
        hashed: compute their SHA-256, on a thread.
    """

    def __init__(self, chunks: AsyncIterator[bytes], *, wanted: int, timeout: float, hashed: bool = False) -> None:
        self._chunks, self._wanted = chunks, wanted
        self._until = asyncio.get_running_loop().time() + timeout
        self._late: LivereactorError = UploadExpiredError(f"no complete body in {timeout:g} s; upload it again")
        self._waiting: asyncio.Timeout | None = None
        self._sha256 = hashlib.sha256() if hashed else None
        self._hashing: asyncio.Future[None] | None = None

    def stop(self) -> None:
        """Take no more bytes: another request continues from here."""
        self._late = ConflictError("another request continued this upload; request its offset")
        self._until = 0.0
        if self._waiting is not None:
            self._waiting.reschedule(self._until)

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the body in blocks; an error that breaks it off is raised after the bytes that came before it.

        Raises:
            PeerError: more bytes than `wanted`; the last block is not given out then.
            UploadExpiredError: not all came in time.
            ConflictError: stopped.
        """
        held, size, seen, failure = list[bytes](), 0, 0, None
        while True:
            try:
                chunk = await self._next()
            except Exception as error:  # the bytes that came are given out first
                failure = error
                break
            if chunk is None:
                break
            seen += len(chunk)
            if seen > self._wanted:
                raise PeerError(f"the body has more than the {self._wanted} bytes announced or left; send no more")
            held.append(chunk)
            size += len(chunk)
            if size >= BLOCK and seen < self._wanted:  # the last block waits until it is known that no more follows
                yield await self._gathered(held)
                held, size = [], 0
        if size:
            yield await self._gathered(held)
        if failure is not None:
            raise failure

    async def whole(self) -> AsyncIterator[bytes]:
        """Yield as `blocks` does; raises `PeerError` when the body ends before all wanted bytes."""
        seen = 0
        async for block in self.blocks():
            seen += len(block)
            yield block
        if seen < self._wanted:
            raise PeerError(f"the body has {seen} of the {self._wanted} announced bytes; send exactly the file")

    async def digest(self) -> bytes | None:
        """Return the SHA-256 of all bytes; None = it is not computed."""
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
