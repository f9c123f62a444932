"""Bytes of Uploads on their way in: whole, or piece by piece as our own client sends them; never two writers at once.

What is there is asked of the blobs each time, so nothing here outlives a request, and any replica takes the next one.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager, suppress
from typing import Final

from livereactor.base.errors import ConflictError, PeerError
from livereactor.blobs import pieces
from livereactor.blobs.arrival import Arrival
from livereactor.blobs.port import BlobExistsError, BlobKey, Blobs

TO_STOP: Final = 5.0  # seconds for a writer that was stopped to store what it has


class UploadOffsetError(ConflictError):
    """A piece that does not begin where the last one ended."""

    code = "UPLOAD_OFFSET"
    recoverable = True


class UploadCorruptedError(PeerError):
    """What arrived has another SHA-256 than the client told."""

    code = "UPLOAD_CORRUPTED"
    recoverable = True


class Intake:
    """Writes Uploads into blobs. Loop only.

    Args:
        patience: seconds that one request may send.
    """

    def __init__(self, blobs: Blobs, patience: float) -> None:
        self._blobs, self._patience = blobs, patience
        self._writing: dict[BlobKey, _Writing] = {}

    async def whole(self, key: BlobKey, size: int, chunks: AsyncIterator[bytes]) -> None:
        """A blob of exactly `size` bytes in one request; what breaks off leaves nothing.

        Raises:
            ConflictError: it is being written; BlobExistsError: it has been, in part or whole.
            PeerError: another size.
        """
        arrival = Arrival(chunks, wanted=size, patience=self._patience)
        with self._alone(key, None):
            await self._blobs.put(key, arrival.whole())

    async def more(
        self, key: BlobKey, size: int, offset: int, chunks: AsyncIterator[bytes], digest: bytes | None
    ) -> int:
        """The next bytes of a blob of `size`; what breaks off leaves what came before.

        Args:
            offset: where they begin, which has to be where the last ended.
            digest: SHA-256 of the whole blob, looked at once it is complete.

        Returns:
            how many bytes there are now; `size` = it is complete, and is what was told.

        Raises:
            ConflictError: it is being written by another request; UploadOffsetError: another offset.
            PeerError: more bytes than are left. UploadCorruptedError: not what was told; nothing of it is left.
        """
        is_all = offset == 0 and digest is not None
        arrival = Arrival(chunks, wanted=size - offset, patience=self._patience, hashed=is_all)
        with self._alone(key, arrival):
            if (there := await pieces.size_so_far(self._blobs, key, size)) != offset:
                raise _elsewhere(there, size)
            try:
                reached = await pieces.append(self._blobs, key, offset, size, arrival.blocks())
            except BlobExistsError:  # a writer of another replica
                raise _elsewhere(await pieces.size_so_far(self._blobs, key, size), size) from None
            if reached == size and digest is not None:
                taken = await arrival.digest() or await pieces.sha256(self._blobs, key, size)
                if not hmac.compare_digest(taken, digest):
                    await self._blobs.delete_prefix(folder_of(key))
                    raise UploadCorruptedError("what arrived is not what was sent: its SHA-256 differs; send it again")
        return reached

    async def offset(self, key: BlobKey, size: int) -> int:
        """Where to go on. Who asks goes on himself: a request that still writes ends with what it has."""
        await self._stopped(key)
        return await pieces.size_so_far(self._blobs, key, size)

    async def erase(self, key: BlobKey) -> None:
        """Nothing of a blob is left, and nobody writes it."""
        await self._stopped(key)
        await self._blobs.delete_prefix(folder_of(key))

    async def _stopped(self, key: BlobKey) -> None:
        writing = self._writing.get(key)
        if writing is None or writing.arrival is None:
            return
        writing.arrival.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(writing.ended.wait(), TO_STOP)

    @contextmanager
    def _alone(self, key: BlobKey, arrival: Arrival | None) -> Generator[None]:
        if key in self._writing:
            raise ConflictError("this upload is being written by another request; wait for it, or reserve another slot")
        writing = self._writing[key] = _Writing(arrival)
        try:
            yield
        finally:
            del self._writing[key]
            writing.ended.set()


class _Writing:
    """A request that writes one blob."""

    def __init__(self, arrival: Arrival | None) -> None:
        self.arrival = arrival  # None = it cannot be stopped half way
        self.ended = asyncio.Event()


def folder_of(key: BlobKey) -> BlobKey:
    """Where all pieces of a blob lie, and nothing else."""
    return BlobKey(key.path.rpartition("/")[0])


def _elsewhere(there: int, size: int) -> UploadOffsetError:
    return UploadOffsetError(f"{there} of {size} bytes are there; go on from there")
