"""Where a published Track's Frames come from when the program does not push them: devices, files, iterables, `recv()`.

A source runs on while its connection is away, as a camera does; what comes meanwhile is lost.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast, runtime_checkable

from livereactor.client.types import Kind

INTERVAL: Final = 1 / 30  # seconds between two pictures of an iterable that is faster
AHEAD: Final = 0.2  # seconds of sound that may wait before the source is asked for more
STOP_TIMEOUT: Final = 2.0  # seconds to wait for a source's thread: a camera gives its next picture well within them


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """An item that is due `at` seconds after the first."""

    item: object
    at: float


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A source that gives items: whatever `push_frame` takes, `Timed` ones, or PyAV's.

    Attributes:
        items: one iterator; where it has a `close` or `aclose`, that is called at the end.
        interval: seconds to leave between two items; 0 = it takes its own time.
    """

    items: Iterator[object] | AsyncIterator[object]
    interval: float = 0.0


@runtime_checkable
class Source(Protocol):
    """A device or file by its own class."""

    def kinds(self) -> tuple[Kind, ...]:
        """What it can give."""
        ...

    def open(self, kind: Kind) -> Opened:
        """Open it; blocks. Raises `DeviceError` where it cannot be had."""
        ...


def source_of(value: object, kind: Kind, *, track: str) -> Source:
    """What `value` is as a source of a Track of this kind; nothing is opened yet.

    Raises:
        TypeError: it is no source.
        ValueError: it gives the other kind.
        FileNotFoundError: a path to nothing.
    """
    source = _recognised(value, kind)
    if source is None:
        raise TypeError(
            f"{track}: {type(value).__name__} is no source; give a camera's index, a path, an iterable of frames, "
            f"something with an async recv(), or a device of livereactor.devices"
        )
    if kind not in source.kinds():
        raise ValueError(f"{track} carries {kind}, and this source gives {' and '.join(source.kinds())}")
    return source


def _recognised(value: object, kind: Kind) -> Source | None:
    from livereactor.client.media.devices import Camera, MediaFile

    if isinstance(value, Source):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Camera(value)
    if isinstance(value, str | Path):
        return Camera(str(value)) if Path(value).is_char_device() else MediaFile(value)
    if inspect.iscoroutinefunction(getattr(value, "recv", None)):
        return _Receiving(value, kind)
    if isinstance(value, AsyncIterable):
        return _Iterating(cast("AsyncIterable[object]", value), kind)
    if kind == "video" and getattr(value, "ndim", 4) != 4:
        return None  # one picture in an array is pushed; its rows are no frames
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview):
        return _Iterating(cast("Iterable[object]", value), kind)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Iterating:
    """Any iterable. A plain one is asked at 30 Hz, an async one takes its own time."""

    items: Iterable[object] | AsyncIterable[object]
    kind: Kind

    def kinds(self) -> tuple[Kind, ...]:
        return (self.kind,)

    def open(self, kind: Kind) -> Opened:
        if isinstance(self.items, AsyncIterable):
            return Opened(aiter(self.items))
        return Opened(iter(self.items), INTERVAL if kind == "video" else 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Receiving:
    """Any object with an async `recv()`, such as a track of aiortc; it takes its own time."""

    track: Any
    kind: Kind

    def kinds(self) -> tuple[Kind, ...]:
        return (getattr(self.track, "kind", self.kind),)

    def open(self, kind: Kind) -> Opened:
        return Opened(self._received())

    async def _received(self) -> AsyncIterator[object]:
        while True:
            try:
                item = await self.track.recv()
            except Exception as error:
                if type(error).__name__ == "MediaStreamError":  # how a track of aiortc says that it has ended
                    return
                raise
            yield item


class Feed:
    """An opened source, and the thread or task that takes its items.

    Args:
        track: the Track's name.
        opened: what to take from.
        take: given each item; returns the seconds of sound that wait to leave.
        failed: told, on the loop, when the source raised. A source that ends is no failure: its last picture stays.
    """

    def __init__(
        self, track: str, opened: Opened, take: Callable[[object], float], failed: Callable[[Exception], None]
    ) -> None:
        self._opened, self._take, self._failed = opened, take, failed
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        if isinstance(opened.items, AsyncIterator):
            self._task = self._loop.create_task(self._run_async(opened.items), name=f"source of {track}")
        else:
            self._thread = threading.Thread(target=self._run, args=(opened.items,), name=f"source of {track}")
            self._thread.daemon = True
            self._thread.start()

    def stop(self) -> None:
        """Take nothing any more and let go of the source, soon; may be called twice, on the loop."""
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()

    async def stopped(self) -> None:
        """Wait until the source is released; not for one that hangs."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._ended.wait()

    # --- the thread ---

    def _run(self, items: Iterator[object]) -> None:
        pace = _Pace(self._opened.interval)
        try:
            for item in items:
                if self._stopping.wait(pace.before(item)):
                    break
                if self._stopping.wait(pace.after(self._take(_bare(item)))):
                    break
        except Exception as error:
            self._tell(error)
        finally:
            with suppress(Exception):
                getattr(items, "close", _nothing)()
            self._on_loop(self._ended.set)

    def _tell(self, error: Exception) -> None:
        if not self._stopping.is_set():
            self._on_loop(lambda: self._failed(error))

    def _on_loop(self, call: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(call)

    # --- the task ---

    async def _run_async(self, items: AsyncIterator[object]) -> None:
        pace = _Pace(self._opened.interval)
        try:
            async for item in items:
                await asyncio.sleep(pace.before(item))
                # In a thread: what PyAV gives may take some milliseconds to convert, and the loop has others to serve.
                await asyncio.sleep(pace.after(await asyncio.to_thread(self._take, _bare(item))))
        except Exception as error:
            self._tell(error)
        finally:
            with suppress(Exception):
                if (aclose := getattr(items, "aclose", None)) is not None:
                    await aclose()
            self._ended.set()


class _Pace:
    """How long to wait around each item."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._began: float | None = None
        self._next = float("-inf")

    def before(self, item: object) -> float:
        now = time.monotonic()
        if isinstance(item, Timed):
            self._began = now - item.at if self._began is None else self._began
            return max(0.0, self._began + item.at - now)
        wait = max(0.0, self._next - now)
        self._next = max(self._next, now) + self._interval
        return wait

    def after(self, queued: float) -> float:
        return max(0.0, queued - AHEAD)


def _bare(item: object) -> object:
    return item.item if isinstance(item, Timed) else item


def _nothing() -> None:
    """What closes a source that cannot be closed."""
