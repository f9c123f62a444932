"""Frames and Sound on their way in: from a thread of the engine, which only hands over, to handlers and iterators."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

import structlog

from livereactor.base.exit_gate import EXIT_GATE
from livereactor.base.sparse_log import SparseLog
from livereactor.client.errors import error_of
from livereactor.client.tracks.frame_streams import SOUND, Frames, Item, Policy, is_picture
from livereactor.client.types import Kind

if TYPE_CHECKING:
    from livereactor.engine.port import ReceivedTrack
    from livereactor.media.frames import Frame, Sound


class Consumer(Protocol):
    """A taker of Frames. It has counters of its own, so that no two of them share a lock."""

    delivered: int
    dropped: int
    failed: int

    def put(self, item: Item) -> None:
        """Take an item, on a thread of the engine, without blocking."""
        ...

    def end(self) -> None:
        """End, as the connection is over."""
        ...


class Receiver:
    """One receiving Track: its newest Frame, its handlers and iterators, and the engine's track that feeds it now.

    Attributes:
        newest: the last Frame or block of sound, or None.
        received: the number of Frames, or blocks of sound, that arrived.
        heard_at: when the last one arrived, monotonic seconds; None before the first.
        is_open: False while the program has paused the Track: Frames still under way are dropped.
    """

    def __init__(self, track: str) -> None:
        self.newest: Item | None = None
        self.received = 0
        self.heard_at: float | None = None
        self.is_open = True
        self._track = track
        self._lock = threading.Lock()
        self._handlers: tuple[FrameHandler, ...] = ()
        self._streams: tuple[weakref.ref[Frames], ...] = ()  # weak: an iterator that is dropped needs no closing
        self._reader: Frames | None = None  # the source of `unread`
        self._is_closed = False
        self._gone = (0, 0, 0)  # counters of handlers that were removed
        self._source: ReceivedTrack | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- handlers and iterators; any thread ---

    def add_handler(self, handler: Handler, *, raw: bool) -> None:
        """Call `handler` for every Frame that it has time for; one that is added twice is called once."""
        made = (
            AsyncHandler(self._track, handler, raw, self._running_loop)
            if is_async(handler)
            else PlainHandler(self._track, handler, raw)
        )
        with self._lock:
            if all(other.handler != handler for other in self._handlers):
                self._handlers = (*self._handlers, made)

    def remove_handler(self, handler: Handler) -> None:
        """Stop calling `handler`; do nothing if it was never added."""
        with self._lock:
            removed = [other for other in self._handlers if other.handler == handler]
            self._handlers = tuple(other for other in self._handlers if other.handler != handler)
            for other in removed:
                self._gone = _added(self._gone, other)
        for other in removed:
            other.end()

    def stream(self, maxsize: int | None, policy: Policy | None) -> Frames:
        """Return an iterator over the Frames from now on; it has ended already if the client is closed."""
        made = Frames(maxsize, policy)
        with self._lock:
            if self._is_closed:
                made.end()
            live = tuple(there for there in self._streams if (stream := there()) is not None and not stream.ended)
            self._streams = (*live, weakref.ref(made))
        return made

    async def unread(self, kind: Kind | None) -> Item:
        """Return the newest picture that was not read before, or sound block by block.

        Raises:
            ReactorError: `DISCONNECTED`, once, even if that happened between two calls; the next call waits
                for the next Session, unless the client is closed.
        """
        reader = self._reader = self._reader or self.stream(None if kind == "audio" else 1, None)
        try:
            return await reader.next_item()
        except StopAsyncIteration as error:
            if self._reader is reader:  # several reads may have waited
                self._reader = None
            text = f"disconnected while waiting for a frame of `{self._track}`; connect again"
            raise error_of("DISCONNECTED", text) from error

    def counts(self) -> tuple[int, int, int]:
        """Return delivered, dropped and failed, over all present handlers and iterators, and all removed handlers."""
        counts = self._gone
        for consumer in self._consumers():
            counts = _added(counts, consumer)
        return counts

    # --- the source; on the loop ---

    def bind(self, source: ReceivedTrack) -> None:
        """Take Frames from a track of the engine."""
        self.unbind()
        if self._reader is not None and self._reader.ended:  # the last Session ended between two reads
            self._reader = None
        self._source, self._loop = source, asyncio.get_running_loop()
        if source.kind == "video":
            source.on_frame(self._receive)
        else:
            source.on_sound(self._receive)

    def unbind(self) -> None:
        """Drop the engine's track, as the transport is gone."""
        source, self._source = self._source, None
        if source is not None:
            source.on_frame(None)
            source.on_sound(None)

    def end(self, *, for_good: bool = False) -> None:
        """End iterators and threads, as the client is disconnected; with `for_good`, those to come, too."""
        self.unbind()
        with self._lock:
            self._is_closed = self._is_closed or for_good
        for consumer in self._consumers():
            consumer.end()

    def forget(self) -> None:
        """Forget the newest Frame, so that the next Session does not show it."""
        self.newest = None

    # --- a thread of the engine ---

    def _receive(self, item: Item) -> None:
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

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None  # Frames come from a source that was bound on the loop
        return self._loop


def _added(counts: tuple[int, int, int], consumer: Consumer) -> tuple[int, int, int]:
    return counts[0] + consumer.delivered, counts[1] + consumer.dropped, counts[2] + consumer.failed


log = structlog.get_logger(__name__)

Handler: TypeAlias = Callable[..., object]

IDLE: Final = 5.0  # seconds without a Frame after which a handler's thread ends; the next Frame starts another


class FrameHandler:
    """A handler and the Frames that wait for it; calls come one after the other."""

    def __init__(self, track: str, handler: Handler, raw: bool) -> None:
        self.handler = handler
        self.delivered = self.dropped = self.failed = 0
        self._track, self._raw = track, raw
        self._accepts = accepted(handler)
        self._waiting: deque[Item] = deque()
        self._changed = threading.Condition()
        self._sparse = SparseLog(log)

    def put(self, item: Item) -> None:
        with self._changed:
            if len(self._waiting) >= (1 if is_picture(item) else SOUND):
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(item)
            self._begin()

    def end(self) -> None:
        with self._changed:
            self._waiting.clear()

    def _begin(self) -> None:
        """Start taking the items that wait; called under the lock."""
        raise NotImplementedError

    def _next(self) -> Item | None:
        with self._changed:
            if not self._waiting:
                return None
            self.delivered += 1
            return self._waiting.popleft()

    def _arguments(self, item: Item) -> tuple[Any, ...]:
        return arguments_of(item, raw=self._raw)[: self._accepts]

    def _raised(self) -> None:
        self.failed += 1
        self._sparse.exception("frame handler raised", track=self._track)


class PlainHandler(FrameHandler):
    """A handler on a thread of its own, which lives while Frames arrive, and no longer than the connection."""

    _thread: threading.Thread | None = None

    def __init__(self, track: str, handler: Handler, raw: bool) -> None:
        super().__init__(track, handler, raw)
        self._turn = threading.Lock()  # a thread of the last connection may still be in the handler

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"frames of {self._track}", daemon=True)
            self._thread.start()
        else:
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._waiting.clear()
            self._thread = None
            self._changed.notify_all()

    def _run(self) -> None:
        while self._awaited():
            with self._turn:
                if (item := self._next()) is None:
                    continue
                try:
                    with EXIT_GATE:
                        self.handler(*self._arguments(item))
                except Exception:
                    self._raised()
                del item  # a thread that waits must not keep the last Frame alive

    def _awaited(self) -> bool:
        """Wait for a Frame; return False once this thread must end."""
        me = threading.current_thread()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._thread is not me, timeout=IDLE)
            if self._thread is me and not self._waiting:
                self._thread = None
            return self._thread is me


class AsyncHandler(FrameHandler):
    """A handler in a task on the client's loop, which lives as long as Frames wait."""

    def __init__(self, track: str, handler: Handler, raw: bool, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        super().__init__(track, handler, raw)
        self._loop = loop
        self._is_running = False
        self._task: asyncio.Task[None] | None = None  # the loop itself holds tasks weakly

    def _begin(self) -> None:
        if not self._is_running:
            with suppress(RuntimeError):  # the loop is closed
                self._loop().call_soon_threadsafe(self._start)
                self._is_running = True

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"frames of {self._track}")

    async def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                try:
                    await cast(Any, self.handler(*self._arguments(item)))
                except Exception:
                    self._raised()
        finally:
            with self._changed:
                self._is_running = False
                if self._waiting:  # one arrived since the last check
                    self._begin()


def is_async(handler: Handler) -> bool:
    """Return whether calling a handler gives an awaitable."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004  (the method itself is asked for)


def accepted(handler: Handler) -> int | None:
    """Return the number of positional arguments that a handler takes; None = any number.

    Raises:
        TypeError: the handler cannot be called with positional arguments alone.
    """
    if not callable(handler):
        raise TypeError(f"a handler must be callable, not {handler!r}")
    try:
        parameters = inspect.signature(handler).parameters.values()
    except ValueError:  # a builtin without a signature gets the Frame alone
        return 1
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        raise TypeError(f"{handler!r} wants keyword arguments; frame handlers are called with positional ones")
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return None
    return sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)


def arguments_of(item: Item, *, raw: bool) -> tuple[Any, ...]:
    """Return all arguments of a handler.

    Video: (pixels, number, captured_us, user_data), raw (BGRA bytes, width, height, number, captured_us, user_data).
    Audio: (samples, rate, channels), raw (interleaved int16 bytes, samples, rate, channels).
    """
    if is_picture(item):
        facts = (item.number, item.captured_us or 0, item.user_data)
        if not raw:
            return (item.pixels, *facts)
        height, width = item.pixels.shape[:2]
        return (_bgra(item), width, height, *facts)
    sound = cast("Sound", item)
    count, channels = sound.samples.shape
    if not raw:
        return (sound.samples, sound.rate, channels)
    return (sound.samples.astype("<i2", copy=False).tobytes(), count, sound.rate, channels)


def _bgra(frame: Frame) -> bytes:
    import cv2  # only raw handlers pay for the conversion, on their own thread

    return cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGRA).tobytes()
