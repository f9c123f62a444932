"""Parts of the synchronous client that the generated classes are built on: its handlers, iterators and Tracks."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from livereactor.client._sync.loop import CLEAN_UP, LOOP, HandlerThread
from livereactor.client.events import Emitter, Event, Handler
from livereactor.client.tracks.track import Track

_T = TypeVar("_T")
_END: Final[Any] = object()


class SyncStream(Iterator[_T], Generic[_T]):
    """A plain iterator over an async one of the client; each step waits on the client's loop.

    Args:
        source: the async iterator.
        translated: turns each item into what is handed out; None = as it is.
    """

    def __init__(self, source: AsyncIterator[_T], translated: Callable[[_T], _T] | None = None) -> None:
        self._source: Any = source
        self._translated = translated

    def __next__(self) -> _T:
        item = LOOP.run(_next(self._source))
        if item is _END:
            raise StopIteration
        return item if self._translated is None else self._translated(item)

    @property
    def dropped(self) -> int:
        """The number of items that were lost because they were not taken in time."""
        return self._source.dropped

    def close(self) -> None:
        """Stop, and drop the items that wait."""
        LOOP.run(self._source.aclose())


async def _next(source: AsyncIterator[_T]) -> _T:
    return await anext(source, _END)


def made_on_loop(make: Callable[[], _T]) -> _T:
    """Call `make` on the client's loop, and return its result."""

    async def call() -> _T:
        return make()

    return LOOP.run(call())


class SyncTracks(Generic[_T]):
    """The one synchronous Track of each Track of a client.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[Track], _T]) -> None:
        self._make = make
        self._made: dict[str, _T] = {}

    def of(self, track: Track) -> _T:
        """Return the synchronous Track, the same object each time; from any thread."""
        return self._made.get(track.name) or self._made.setdefault(track.name, self._make(track))


class SyncEmitter(Emitter):
    """The emitter of a `SyncReactor`: registers handlers with the async client's, and runs them on their own thread.

    Args:
        source: the async client's emitter; it alone emits.
        tracks: the synchronous Tracks, which handlers get in place of the async ones.
    """

    def __init__(self, source: Emitter, tracks: SyncTracks[Any]) -> None:
        super().__init__()
        self.thread = HandlerThread()
        self._source, self._tracks = source, tracks

    def on(
        self,
        event: str,
        handler: Handler,
        *,
        replay: bool = False,
        once: bool = False,
        only: Iterable[str] | None = None,
    ) -> None:
        """Register `handler` like `Emitter.on`; return when a replay has been handled."""
        if not callable(handler):
            raise TypeError(f"a handler must be callable, not {handler!r}")
        self._source.on(event, self._handed_over(handler), replay=replay, once=once, only=only)
        if replay:
            self.thread.drain(CLEAN_UP)

    def off(self, event: str, handler: Handler) -> None:
        """Remove `handler` like `Emitter.off`; a call that waits for its turn is still made."""
        self._source.off(event, self._handed_over(handler))

    def translated(self, event: Event) -> Event:
        """Return the same event, with synchronous Tracks."""
        return Event(event.name, tuple(map(self._translated, event.args)))

    def _translated(self, value: Any) -> Any:
        return self._tracks.of(value) if isinstance(value, Track) else value

    def _handed_over(self, handler: Handler) -> _HandedOver:
        return _HandedOver(handler, self.thread.submit, self._translated)


@dataclass(frozen=True)
class _HandedOver:
    """Stands for a handler in the async client, which recognises it: two of one handler are equal."""

    handler: Handler
    submit: Callable[[Callable[[], None]], None] = field(compare=False)
    translated: Callable[[Any], Any] = field(compare=False)

    def __call__(self, *args: Any) -> None:
        self.submit(lambda: self._run(tuple(map(self.translated, args))))

    def _run(self, args: tuple[Any, ...]) -> None:
        result = self.handler(*args)
        if inspect.isawaitable(result):
            LOOP.run(_finished(result))


async def _finished(call: Awaitable[object]) -> None:
    await call
