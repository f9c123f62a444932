"""Segments on their way from a spool into the blobs, one after another. Loop only.

A store that is away is tried again while Segments wait on the disk, up to a bound; past it the oldest are lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import Changes
from livereactor.blobs.clips import chunk, part_key
from livereactor.blobs.port import BlobExistsError, BlobKey, Blobs, BlobsUnavailableError
from livereactor.runtime.recording.muxer import ClosedSegment
from livereactor.runtime.recording.spool import Spool

MOST_WAITING: Final = 256 * 1024 * 1024  # bytes of Segments on the disk that are not stored: ten minutes of 720p
RETRIES: Final = (0.5, 1.0, 2.0, 5.0)  # seconds between two tries; the last one repeats


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A Segment that is in the blobs."""

    key: BlobKey
    seconds: float


class Uploader:
    """The way of one recording's Segments.

    Attributes:
        stored: Segments by number, as far as they are in the blobs.
        lost: how many never will be.
        bytes: how many are.
    """

    def __init__(self, recording: str, blobs: Blobs, spool: Spool, log: SparseLog) -> None:
        self._recording, self._blobs, self._spool, self._log = recording, blobs, spool, log
        self.stored: dict[int, StoredSegment] = {}
        self.lost = self.bytes = 0
        self._documents: deque[tuple[BlobKey, bytes]] = deque()
        self._waiting: deque[ClosedSegment] = deque()
        self._changes = Changes()
        self._task = asyncio.create_task(self._run(), name=f"storing {recording}")

    def document(self, key: BlobKey, data: bytes) -> None:
        """Store this before any Segment."""
        self._documents.append((key, data))
        self._changes.notify()

    def segment(self, closed: ClosedSegment) -> None:
        """Store a Segment that is whole."""
        self._waiting.append(closed)
        while sum(each.size for each in self._waiting) > MOST_WAITING:
            self._lose(self._waiting.popleft())
        self._changes.notify()

    async def until(self, segment: int | None, timeout: float) -> bool:
        """Wait until this Segment and all before it are stored or lost, None = all of it; whether it came to that."""
        await self._changes.until(lambda: not self._waits_for(segment), timeout)
        return not self._waits_for(segment)

    def close(self) -> None:
        """Try no more."""
        self._task.cancel()

    def _waits_for(self, segment: int | None) -> bool:
        return bool(self._documents) or any(segment is None or each.segment <= segment for each in self._waiting)

    async def _run(self) -> None:
        tried = 0
        while True:
            await self._changes.until(lambda: bool(self._documents or self._waiting), None)
            try:
                await self._next()
                tried = 0
            except (BlobsUnavailableError, OSError) as error:
                self._log.error("recording not stored", reason=str(error), waiting=len(self._waiting))
                await asyncio.sleep(RETRIES[min(tried, len(RETRIES) - 1)])
                tried += 1
            self._changes.notify()

    async def _next(self) -> None:
        if self._documents:
            await self._put(*self._documents[0])
            self._documents.popleft()
            return
        closed = self._waiting[0]
        key = part_key("recordings", self._recording, chunk(closed.segment))
        await self._put(key, await asyncio.to_thread(self._spool.path(closed.segment).read_bytes))
        if self._waiting and self._waiting[0] is closed:  # it may have been given up meanwhile
            self._waiting.popleft()
            self.stored[closed.segment] = StoredSegment(key, closed.seconds)
            self.bytes += closed.size
            self._spool.release(closed.segment)

    async def _put(self, key: BlobKey, data: bytes) -> None:
        with suppress(BlobExistsError):  # a try before, of which we did not hear that it went well
            await self._blobs.put(key, data)

    def _lose(self, closed: ClosedSegment) -> None:
        self.lost += 1
        self._spool.release(closed.segment)
