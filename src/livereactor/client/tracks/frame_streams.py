"""Iterators over the Frames of one Track: bounded, and fed from any thread. This module does not load numpy."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeGuard, cast

if TYPE_CHECKING:
    from livereactor.media.frames import Frame, Sound

Item: TypeAlias = "Frame | Sound"
Policy: TypeAlias = Literal["latest", "fifo", "block"]

SOUND: Final = 512  # blocks of 10 ms kept: five seconds
PICTURES: Final[Mapping[Policy, int]] = {
    "latest": 2,  # so that a short delay loses none
    "fifo": 32,  # a second, and 90 MB of 1280x720
    "block": 32,
}


class Frames(AsyncIterator[Any]):
    """An async iterator over the Frames of one Track, made by `Track.frames()`.

    It yields arrays: video uint8 of shape (height, width, 3), RGB; audio int16 of shape (samples, channels). It ends
    when the client is disconnected.

    Attributes:
        dropped: the number of Frames that were lost because they were not taken in time.
        ended: True once no more Frames come.
    """

    def __init__(self, maxsize: int | None = None, policy: Policy | None = None) -> None:
        self.delivered = self.dropped = self.failed = 0
        self._maxsize = maxsize
        self._policy: Policy | None = policy
        self._lock = threading.Lock()
        self._items: deque[Item] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self.ended = False

    def __aiter__(self) -> Frames:
        return self

    async def __anext__(self) -> Any:
        return array_of(await self.next_item())

    async def next_item(self) -> Item:
        """Return the next Frame with its number, capture time and tag."""
        while True:
            with self._lock:
                if self._items:
                    self.delivered += 1
                    return self._items.popleft()
                if self.ended:
                    raise StopAsyncIteration
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
            try:
                await waiter
            finally:
                with self._lock, suppress(ValueError):
                    self._waiters.remove(waiter)

    async def aclose(self) -> None:
        """Stop, and drop the Frames that wait."""
        with self._lock:
            self._items.clear()
        self.end()

    def put(self, item: Item) -> None:
        with self._lock:
            if self.ended:
                return
            policy = self._policy or _usual(item)
            if len(self._items) >= (self._maxsize or (PICTURES[policy] if is_picture(item) else SOUND)):
                self.dropped += 1
                if policy == "block":
                    return
                self._items.popleft()
            self._items.append(item)
            self._wake()

    def end(self) -> None:
        with self._lock:
            self.ended = True
            self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            with suppress(RuntimeError):  # its loop is closed, and nothing waits
                waiter.get_loop().call_soon_threadsafe(_wake_waiter, waiter)
        self._waiters.clear()


def _wake_waiter(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _usual(item: Item) -> Policy:
    return "latest" if is_picture(item) else "fifo"


def is_picture(item: Item) -> TypeGuard[Frame]:
    """Return whether an item is a Frame, without its class, which would load numpy."""
    return hasattr(item, "pixels")


def array_of(item: Item) -> Any:
    """Return the pixels or samples of an item."""
    return item.pixels if is_picture(item) else cast("Sound", item).samples
