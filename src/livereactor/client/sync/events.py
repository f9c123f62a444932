"""Handlers of a `SyncReactor`: registered with the client behind it, run on a thread where they may wait."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from livereactor.client.events import Emitter, Event, Handler
from livereactor.client.sync.loop import CLEAN_UP, LOOP, HandlerThread
from livereactor.client.sync.tracks import SyncTracks
from livereactor.client.tracks.track import Track


class SyncEmitter(Emitter):
    """The emitter of the client behind, for handlers on a thread of their own.

    Args:
        source: of the client behind; it alone emits.
        tracks: what its Tracks are here.
    """

    def __init__(self, source: Emitter, tracks: SyncTracks) -> None:
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
        """As the other's; returns when a replay has been handled."""
        if not callable(handler):
            raise TypeError(f"a handler is called: {handler!r} cannot be")
        self._source.on(event, self._handed_over(handler), replay=replay, once=once, only=only)
        if replay:
            self.thread.settle(CLEAN_UP)

    def off(self, event: str, handler: Handler) -> None:
        """As the other's; a call that waits for its turn is still made."""
        self._source.off(event, self._handed_over(handler))

    def translated(self, event: Event) -> Event:
        """The same event, with Tracks as they are here."""
        return Event(event.name, tuple(map(self._translated, event.args)))

    def _translated(self, value: Any) -> Any:
        return self._tracks.of(value) if isinstance(value, Track) else value

    def _handed_over(self, handler: Handler) -> _HandedOver:
        return _HandedOver(handler, self.thread.submit, self._translated)


@dataclass(frozen=True)
class _HandedOver:
    """Stands for a handler with the client behind, which knows it again by what it stands for."""

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
