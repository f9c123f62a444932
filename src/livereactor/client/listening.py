"""How a program listens to a client: handlers, decorators, iterators (behaviour 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from livereactor.client.events import Emitter, Event, Handler, Stream

_H = TypeVar("_H", bound=Handler)


class Handlers:
    """Handlers and their decorators, as both doors have them.

    Events, and what their handlers are called with: `status_changed` (Status), `session_id_changed` (str or None),
    `waiting_info_changed` (WaitingInfo), `message` and `runtime_message` (`{"type", "data"}`), `track_received` (name,
    Track), `capabilities_received` (Capabilities), `schema_received` (dict), `session_expiration_changed` (Unix seconds
    or None), `session_ended` (`{"reason"}`), `moderation` (dict), `stats_update` (ConnectionStats), `error`
    (ReactorError). Both spellings of a name are one event: `status_changed`, `statusChanged`.

    Handlers run on the client's loop, in the order of their registration. An `async` one gets its events one after the
    other, in a task of its own. One that raises is logged and disturbs nobody.
    """

    _emitter: Emitter

    def on(self, event: str, handler: Handler, *, replay: bool = False) -> None:
        """Call `handler` for each `event`; the same handler twice is called once.

        Args:
            replay: call it at once with what is there already: the status, Capabilities, schema, Tracks.

        Raises:
            ValueError: there is no such event.
        """
        self._emitter.on(event, handler, replay=replay)

    def off(self, event: str, handler: Handler) -> None:
        """Call `handler` no more; silent where it was never registered."""
        self._emitter.off(event, handler)

    def once(self, event: str, handler: Handler) -> None:
        """Call `handler` for the next `event` only."""
        self._emitter.once(event, handler)

    @overload
    def on_status(self, wanted: str | Iterable[str] = ...) -> Callable[[_H], _H]: ...
    @overload
    def on_status(self, wanted: _H) -> _H: ...
    def on_status(self, wanted: _H | str | Iterable[str] = ()) -> _H | Callable[[_H], _H]:
        """`@reactor.on_status`, `@reactor.on_status("ready")`, `@reactor.on_status(["connecting", "waiting"])`."""
        return self._decorated("status_changed", wanted)

    @overload
    def on_message(self, wanted: str | Iterable[str] = ...) -> Callable[[_H], _H]: ...
    @overload
    def on_message(self, wanted: _H) -> _H: ...
    def on_message(self, wanted: _H | str | Iterable[str] = ()) -> _H | Callable[[_H], _H]:
        """`@reactor.on_message`, `@reactor.on_message("dropped")`: the model's Messages, of these types."""
        return self._decorated("message", wanted)

    @overload
    def on_runtime_message(self, wanted: str | Iterable[str] = ...) -> Callable[[_H], _H]: ...
    @overload
    def on_runtime_message(self, wanted: _H) -> _H: ...
    def on_runtime_message(self, wanted: _H | str | Iterable[str] = ()) -> _H | Callable[[_H], _H]:
        """`@reactor.on_runtime_message`: the platform's messages, all or of these types."""
        return self._decorated("runtime_message", wanted)

    @overload
    def on_track(self, wanted: str | Iterable[str] = ...) -> Callable[[_H], _H]: ...
    @overload
    def on_track(self, wanted: _H) -> _H: ...
    def on_track(self, wanted: _H | str | Iterable[str] = ()) -> _H | Callable[[_H], _H]:
        """`@reactor.on_track`, `@reactor.on_track("main_video")`: a Track is received from now on."""
        return self._decorated("track_received", wanted)

    def on_error(self, handler: _H) -> _H:
        """`@reactor.on_error`: something failed."""
        self._emitter.on("error", handler)
        return handler

    def on_stats(self, handler: _H) -> _H:
        """`@reactor.on_stats`: every two seconds while ready."""
        self._emitter.on("stats_update", handler)
        return handler

    def _decorated(self, event: str, wanted: _H | str | Iterable[str]) -> _H | Callable[[_H], _H]:
        if callable(wanted):
            self._emitter.on(event, wanted)
            return wanted
        only = [wanted] if isinstance(wanted, str) else list(wanted)

        def register(handler: _H) -> _H:
            self._emitter.on(event, handler, only=only or None)
            return handler

        return register


class Listening(Handlers):
    """The listening side of `Reactor`: handlers, and async iterators."""

    def messages(self, kind: str | None = None) -> Stream[dict[str, Any]]:
        """The model's Messages from now on, of type `kind` only where given: `async for message in …`.

        Keeps 256; then the oldest is lost and counted in `dropped`. Ends with the Session.
        """
        return self._emitter.messages(kind)

    def events(self) -> Stream[Event]:
        """All events from now on, as `Event(name, args)`; kept and ended as `messages`."""
        return self._emitter.events()
