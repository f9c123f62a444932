"""Handlers of Frames: each on a thread or in a task of its own, called with as much as it accepts.

A handler that is slow loses Frames of its own and delays nobody. Nothing here loads numpy by itself: a program that
only takes bytes needs none.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import structlog

from livereactor.base.sparse_log import SparseLog
from livereactor.client.tracks.frame_streams import SOUND, Item, is_picture

if TYPE_CHECKING:
    from livereactor.media.frames import Frame, Sound

log = structlog.get_logger(__name__)

Handler: TypeAlias = Callable[..., object]

IDLE: Final = 5.0  # seconds without a Frame after which a handler's thread ends; the next Frame starts another


class FrameHandler:
    """A handler, and what it has not been called with yet; calls come one after the other."""

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
        """See to it that what waits is taken; under the lock."""
        raise NotImplementedError

    def _take(self) -> Item | None:
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
    """On a thread of its own, which lives while Frames come, and no longer than the connection."""

    _thread: threading.Thread | None = None

    def __init__(self, track: str, handler: Handler, raw: bool) -> None:
        super().__init__(track, handler, raw)
        self._turn = threading.Lock()  # a thread of the connection before may still be in the handler

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
                self._call()

    def _call(self) -> None:
        item = self._take()
        if item is None:
            return
        try:
            self.handler(*self._arguments(item))
        except Exception:
            self._raised()

    def _awaited(self) -> bool:
        """Wait for a Frame; False once this thread is to end."""
        me = threading.current_thread()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._thread is not me, timeout=IDLE)
            if self._thread is me and not self._waiting:
                self._thread = None
            return self._thread is me


class AsyncHandler(FrameHandler):
    """In a task on the client's loop, which lives as long as there is something to hand over."""

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
            while (item := self._take()) is not None:
                try:
                    await cast(Any, self.handler(*self._arguments(item)))
                except Exception:
                    self._raised()
        finally:
            with self._changed:
                self._is_running = False
                if self._waiting:  # one came between the last look and now
                    self._begin()


def is_async(handler: Handler) -> bool:
    """Whether calling it gives something to await."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004  (the method itself is asked for)


def accepted(handler: Handler) -> int | None:
    """How many positional arguments a handler takes; None = any number.

    Raises:
        TypeError: it cannot be called with positional arguments alone.
    """
    if not callable(handler):
        raise TypeError(f"a handler is called: {handler!r} cannot be")
    try:
        parameters = inspect.signature(handler).parameters.values()
    except ValueError:  # a builtin that does not say: the Frame is what it wants
        return 1
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        raise TypeError(f"{handler!r} wants keyword arguments; frame handlers are called with positional ones")
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return None
    return sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)


def arguments_of(item: Item, *, raw: bool) -> tuple[Any, ...]:
    """What a handler is called with, all of it.

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
    import cv2  # only who wants raw bytes pays for the conversion, on the handler's own thread

    return cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGRA).tobytes()
