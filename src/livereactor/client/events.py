"""Events of a client: their handlers, the order of the calls, and handlers that are slow or raise.

Everything here runs on the client's loop thread, except `on`, `off` and `once`, which any thread may call. A plain
handler is called where the event happens, and has returned before the client goes on. An `async` handler gets its
events one after the other in a task of its own: it may await the client, and delays no other handler.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar
from weakref import WeakSet

import structlog

from livereactor.base.sparse_log import SparseLog

log = structlog.get_logger(__name__)

Handler: TypeAlias = Callable[..., object]

EVENTS: Final = (
    "status_changed",
    "session_id_changed",
    "waiting_info_changed",
    "message",
    "runtime_message",
    "track_received",
    "capabilities_received",
    "schema_received",
    "session_expiration_changed",
    "session_ended",
    "moderation",
    "stats_update",
    "error",
)

BACKLOG: Final = 256  # events kept for one iterator or one busy async handler; then the oldest is lost

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Event:
    """One event as `Reactor.events()` gives it; `args` is what its handlers are called with."""

    name: str
    args: tuple[Any, ...]


def event_name(name: str) -> str:
    """Return the event that `name` means, in either spelling (`status_changed`, `statusChanged`).

    Raises:
        ValueError: no event has this name.
    """
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    if snake not in EVENTS:
        raise ValueError(f"no event {name!r}; the events are {', '.join(EVENTS)}")
    return snake


class Stream(AsyncIterator[_T], Generic[_T]):
    """An async iterator over the items emitted since it was made. It is bounded, and loses the oldest first.

    Attributes:
        dropped: the number of items that were lost because they were not taken in time.
    """

    def __init__(self, accepts: Callable[[_T], bool] | None = None) -> None:
        self.dropped = 0
        self._accepts = accepts
        self._items: deque[_T] = deque()
        self._ended = False
        self._changed = asyncio.Event()

    def __aiter__(self) -> Stream[_T]:
        return self

    async def __anext__(self) -> _T:
        while not self._items:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()

    def push(self, item: _T) -> None:
        """Add an item; call it on the loop."""
        if self._ended or (self._accepts is not None and not self._accepts(item)):
            return
        if len(self._items) == BACKLOG:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._changed.set()

    def end(self) -> None:
        """End the iterator; items that wait can still be taken."""
        self._ended = True
        self._changed.set()

    async def aclose(self) -> None:
        """Stop, and drop the items that wait."""
        self._items.clear()
        self.end()


@dataclass(eq=False, slots=True)
class _Listener:
    handler: Handler
    only: frozenset[str] | None  # wanted values of the first argument (statuses, types of Messages); None = all
    once: bool
    removed: bool = False
    waiting: deque[Awaitable[object]] = field(default_factory=deque[Awaitable[object]])
    task: asyncio.Task[None] | None = None

    def wants(self, args: tuple[Any, ...]) -> bool:
        return self.only is None or (bool(args) and _key(args[0]) in self.only)


def _key(value: Any) -> Any:
    return value.get("type") if isinstance(value, Mapping) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


class Emitter:
    """The handlers and iterators of one client.

    Attributes:
        replays: by event, the argument tuples that `on(..., replay=True)` calls a new handler with at once.
    """

    def __init__(self) -> None:
        self.replays: Mapping[str, Callable[[], Iterable[tuple[Any, ...]]]] = {}
        self._lock = threading.Lock()  # guards the table, whose tuples are replaced and never changed
        self._listeners: dict[str, tuple[_Listener, ...]] = {}
        self._events: WeakSet[Stream[Event]] = WeakSet()
        self._messages: WeakSet[Stream[dict[str, Any]]] = WeakSet()
        self._sparse = SparseLog(log)
        self._is_over = False  # the client is closed for good

    def on(
        self,
        event: str,
        handler: Handler,
        *,
        replay: bool = False,
        once: bool = False,
        only: Iterable[str] | None = None,
    ) -> None:
        """Call `handler` for each `event`; the same handler twice is called once.

        Args:
            replay: also call it at once with the present value, if there is one.
            only: the wanted statuses or types of Messages; None = all.

        Raises:
            ValueError: no event has this name.
        """
        name, wanted = event_name(event), None if only is None else frozenset(only)
        if not callable(handler):
            raise TypeError(f"a handler must be callable, not {handler!r}")
        listener = _Listener(handler, wanted, once)
        with self._lock:
            there = self._listeners.get(name, ())
            same = next((other for other in there if other.handler == handler and other.only == wanted), None)
            if same is not None:
                same.once = same.once and once
                return
            self._listeners[name] = (*there, listener)
        if replay and name in self.replays:
            for args in tuple(self.replays[name]()):
                self._call(name, listener, args)

    def off(self, event: str, handler: Handler) -> None:
        """Stop calling `handler` for `event`, even while it is being emitted; do nothing if it was never registered."""
        name = event_name(event)
        with self._lock:
            there = self._listeners.get(name, ())
            for listener in there:
                listener.removed = listener.removed or listener.handler == handler
            self._listeners[name] = tuple(listener for listener in there if not listener.removed)

    def once(self, event: str, handler: Handler) -> None:
        """Call `handler` for the next `event` only."""
        self.on(event, handler, once=True)

    def emit(self, event: str, *args: Any) -> None:
        """Call all handlers in the order of registration. Call it on the loop; it never raises."""
        listeners = self._listeners.get(event, ())
        for place, listener in enumerate(listeners):
            # A handler that is registered for all values and for some is called once.
            if not any(each.handler == listener.handler and each.wants(args) for each in listeners[:place]):
                self._call(event, listener, args)
        for stream in tuple(self._events):
            stream.push(Event(event, args))
        if event == "message":
            for messages in tuple(self._messages):
                messages.push(args[0])

    def events(self) -> Stream[Event]:
        """Iterate over all events from now on."""
        return self._added(self._events, Stream())

    def messages(self, kind: str | None = None) -> Stream[dict[str, Any]]:
        """Iterate over the model's Messages from now on, those of type `kind` if it is given."""
        return self._added(self._messages, Stream(None if kind is None else lambda message: message["type"] == kind))

    def end_streams(self, *, for_good: bool = False) -> None:
        """End the iterators, as the Session is over; with `for_good`, those to come too."""
        self._is_over = self._is_over or for_good
        for stream in (*self._events, *self._messages):
            stream.end()

    def _added(self, streams: WeakSet[Stream[_T]], stream: Stream[_T]) -> Stream[_T]:
        if self._is_over:
            stream.end()
        streams.add(stream)
        return stream

    def _call(self, event: str, listener: _Listener, args: tuple[Any, ...]) -> None:
        if listener.removed or not listener.wants(args):
            return
        if listener.once:
            listener.removed = True
            with self._lock:
                self._listeners[event] = tuple(other for other in self._listeners[event] if other is not listener)
        try:
            result = listener.handler(*args)
        except Exception:
            log.exception("handler raised", event_name=event)
            return
        if inspect.isawaitable(result):
            self._queue(event, listener, result)

    def _queue(self, event: str, listener: _Listener, call: Awaitable[object]) -> None:
        if len(listener.waiting) == BACKLOG:
            _discard(listener.waiting.popleft())
            self._sparse.warning("async handler is too slow, oldest event lost", apart=event, event_name=event)
        listener.waiting.append(call)
        if listener.task is None and (loop := running_loop()) is not None:  # a replay before the loop runs waits for it
            listener.task = loop.create_task(_run(event, listener), name=f"handler of {event}")


async def _run(event: str, listener: _Listener) -> None:
    try:
        while listener.waiting:
            try:
                await listener.waiting.popleft()
            except Exception:
                log.exception("handler raised", event_name=event)
    finally:
        listener.task = None
        while listener.waiting:
            _discard(listener.waiting.popleft())


def _discard(call: Awaitable[object]) -> None:
    # A coroutine that is dropped before its start would log a warning.
    if inspect.iscoroutine(call):
        call.close()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs on this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
