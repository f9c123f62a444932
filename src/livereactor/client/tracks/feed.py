"""An opened source of a published Track, and the thread or task that takes its items.

A source runs on while the connection is down, as a camera does; items of that time are lost.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

AHEAD: Final = 0.2  # seconds of sound that may wait before the source is asked for more
STOP_TIMEOUT: Final = 2.0  # seconds to wait for a source's thread: a camera gives its next picture well within them


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """An item that is due `at` seconds after the first."""

    item: object
    at: float


@dataclass(frozen=True, slots=True, eq=False)
class OpenedSource:
    """An opened source of items: arguments of `push_frame`, `Timed` ones, or PyAV's.

    Attributes:
        items: one iterator; its `close` or `aclose`, if it has one, is called at the end.
        interval: seconds between two items; 0 = the source sets the pace.
    """

    items: Iterator[object] | AsyncIterator[object]
    interval: float = 0.0


class SourceFeed:
    """An opened source, and the thread or task that takes its items.

    Args:
        track: the Track's name.
        opened: what to take from.
        push: called with each item; returns the seconds of sound that wait to be sent.
        failed: called on the loop when the source raises. A source may end: its last picture stays.
    """

    def __init__(
        self, track: str, opened: OpenedSource, push: Callable[[object], float], failed: Callable[[Exception], None]
    ) -> None:
        self._opened, self._push, self._failed = opened, push, failed
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
        """Stop taking items and release the source soon. Call it on the loop; it may be called twice."""
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()

    async def stopped(self) -> None:
        """Wait until the source is released, but not for one that hangs."""
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
                if self._stopping.wait(pace.after(self._push(_bare(item)))):
                    break
        except Exception as error:
            self._report(error)
        finally:
            with suppress(Exception):
                if (close := getattr(items, "close", None)) is not None:
                    close()
            self._on_loop(self._ended.set)

    def _report(self, error: Exception) -> None:
        if not self._stopping.is_set():
            self._on_loop(lambda: self._failed(error))

    def _on_loop(self, call: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call)

    # --- the task ---

    async def _run_async(self, items: AsyncIterator[object]) -> None:
        pace = _Pace(self._opened.interval)
        try:
            async for item in items:
                await asyncio.sleep(pace.before(item))
                # In a thread: converting a picture of PyAV may take milliseconds, and must not hold the loop up.
                await asyncio.sleep(pace.after(await asyncio.to_thread(self._push, _bare(item))))
        except Exception as error:
            self._report(error)
        finally:
            with suppress(Exception):
                if (aclose := getattr(items, "aclose", None)) is not None:
                    await aclose()
            self._ended.set()


class _Pace:
    """The waits before and after each item."""

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
