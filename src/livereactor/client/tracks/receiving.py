"""Frames and Sound on their way in: from a thread of the engine, which only hands over, to handlers and iterators."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from livereactor.client.errors import error_of
from livereactor.client.tracks.frame_handlers import AsyncHandler, FrameHandler, Handler, PlainHandler, is_async
from livereactor.client.tracks.frame_streams import Frames, Item, Policy
from livereactor.client.types import Kind

if TYPE_CHECKING:
    from livereactor.engine.port import InputTrack


class Consumer(Protocol):
    """Who takes Frames; its counts are its own, so no lock is shared between two of them."""

    delivered: int
    dropped: int
    failed: int

    def put(self, item: Item) -> None:
        """Take one, on a thread of the engine; never blocks."""
        ...

    def end(self) -> None:
        """The connection is over."""
        ...


class Receiver:
    """One receiving Track: its newest Frame, who wants Frames, and the engine's track they come from now.

    Attributes:
        newest: what came last, or None.
        received: Frames, or blocks of sound, that came.
        heard_at: when, monotonic seconds; None before the first.
        is_open: False while the user has paused the Track: what is still under way is left out.
    """

    def __init__(self, track: str) -> None:
        self.newest: Item | None = None
        self.received = 0
        self.heard_at: float | None = None
        self.is_open = True
        self._track = track
        self._lock = threading.Lock()
        self._handlers: tuple[FrameHandler, ...] = ()
        self._streams: tuple[weakref.ref[Frames], ...] = ()  # weakly: a loop that was left needs no closing
        self._reader: Frames | None = None  # what `unread` takes from
        self._is_closed = False
        self._gone = (0, 0, 0)  # counts of handlers that were taken off
        self._source: InputTrack | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- who wants Frames; any thread ---

    def add_handler(self, handler: Handler, *, raw: bool) -> None:
        """Call `handler` for every Frame that it has time for; the same one twice is called once."""
        made = (
            AsyncHandler(self._track, handler, raw, self._running_loop)
            if is_async(handler)
            else PlainHandler(self._track, handler, raw)
        )
        with self._lock:
            if all(other.handler != handler for other in self._handlers):
                self._handlers = (*self._handlers, made)

    def remove_handler(self, handler: Handler) -> None:
        """Call it no more; silent where it was never added."""
        with self._lock:
            removed = [other for other in self._handlers if other.handler == handler]
            self._handlers = tuple(other for other in self._handlers if other.handler != handler)
            for other in removed:
                self._gone = _added(self._gone, other)
        for other in removed:
            other.end()

    def stream(self, maxsize: int | None, policy: Policy | None) -> Frames:
        """An iterator over what comes from now on; at its end already, where the client is closed."""
        made = Frames(maxsize, policy)
        with self._lock:
            if self._is_closed:
                made.end()
            live = tuple(there for there in self._streams if (stream := there()) is not None and not stream.ended)
            self._streams = (*live, weakref.ref(made))
        return made

    async def unread(self, kind: Kind | None) -> Item:
        """The newest picture that was not taken before, or sound block by block.

        Raises:
            ReactorError: `DISCONNECTED`, once, also where it came between two calls; then the next Session is waited
                for, unless the client is closed.
        """
        reader = self._reader = self._reader or self.stream(None if kind == "audio" else 1, None)
        try:
            return await reader.next_item()
        except StopAsyncIteration as error:
            self._forget(reader)
            raise error_of("DISCONNECTED", f"disconnected, and no frame of `{self._track}` comes any more") from error

    def counts(self) -> tuple[int, int, int]:
        """Delivered, dropped, failed: over all handlers and iterators there are now, and handlers there were."""
        counts = self._gone
        for consumer in self._consumers():
            counts = _added(counts, consumer)
        return counts

    # --- where they come from; on the loop ---

    def bind(self, source: InputTrack) -> None:
        """Take what the engine receives."""
        self.unbind()
        if self._reader is not None and self._reader.ended:  # nobody asked before the next Session came
            self._reader = None
        self._source, self._loop = source, asyncio.get_running_loop()
        if source.kind == "video":
            source.on_frame(self._take)
        else:
            source.on_sound(self._take)

    def unbind(self) -> None:
        """The transport is gone; another may come."""
        source, self._source = self._source, None
        if source is not None:
            source.on_frame(None)
            source.on_sound(None)

    def end(self, *, for_good: bool = False) -> None:
        """The client is disconnected: iterators end, and so do threads; `for_good`: those to come, too."""
        self.unbind()
        with self._lock:
            self._is_closed = self._is_closed or for_good
        for consumer in self._consumers():
            consumer.end()

    def forget(self) -> None:
        """The Session is over: nothing of it is shown in the next."""
        self.newest = None

    # --- a thread of the engine ---

    def _take(self, item: Item) -> None:
        self.heard_at = time.monotonic()
        if not self.is_open:
            return
        self.newest = item
        self.received += 1
        for consumer in self._consumers():
            consumer.put(item)

    def _consumers(self) -> Iterator[Consumer]:
        yield from self._handlers
        for there in self._streams:
            if (stream := there()) is not None:
                yield stream

    def _forget(self, reader: Frames) -> None:
        if self._reader is reader:  # several may have waited
            self._reader = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None  # Frames come from a source that was bound on it
        return self._loop


def _added(counts: tuple[int, int, int], consumer: Consumer) -> tuple[int, int, int]:
    return counts[0] + consumer.delivered, counts[1] + consumer.dropped, counts[2] + consumer.failed
