"""Messages from the server that no call waits for, as the events that a program gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from livereactor.client.errors import ReactorError, error_of
from livereactor.client.events import Emitter
from livereactor.client.session import SessionView
from livereactor.protocol import messages as m


class Dispatcher:
    """Turns a client's incoming messages into events.

    Args:
        emitter: emits the events.
        session: records the model's schema.
        over: called with the reason when the Session has ended.
        report: called with an error that no call waits for.
    """

    def __init__(
        self,
        emitter: Emitter,
        session: SessionView,
        over: Callable[[str], None],
        report: Callable[[ReactorError], None],
    ) -> None:
        self._emitter, self._session, self._over, self._report = emitter, session, over, report

    def dispatch(self, message: m.ServerMessage) -> None:
        """Emit the events of a message."""
        match message:
            case m.ModelMessage(kind, data):
                self._emitter.emit("message", {"type": kind, "data": dict(data)})
            case m.SchemaDocument(openapi):
                self._session.describe(openapi)
            case m.Failure(_, code, words):
                self._report(error_of(code or "INTERNAL_ERROR", words, component="gpu"))
            case m.RuntimeMessage(kind, data):
                self._platform(kind, data)
            case m.Moderation():
                verdict = {**asdict(message), "categories": list(message.categories)}
                self._emitter.emit("moderation", verdict)
                self._platform("moderation", verdict)
                if message.action == "terminate":
                    self._over("moderated")
            case m.SessionEnded(reason):
                self._platform("sessionEnded", {"reason": reason})
                self._over(reason)
            case m.ClipReady() | m.ClipFailed() | m.ModelCapabilities() | m.PublishGranted() | m.PublishRefused():
                self._platform(*platform_message(message))
            case m.Ack() | m.Pong() | m.StepResult():
                pass  # an answer that came too late for its call

    def _platform(self, kind: str, data: Mapping[str, Any]) -> None:
        self._emitter.emit("runtime_message", {"type": kind, "data": dict(data)})


def platform_message(message: m.ServerMessage) -> tuple[str, dict[str, Any]]:
    """Return a message's type as it is in JSON (`clipReady`), and its content."""
    name = type(message).__name__
    data = {key: value for key, value in asdict(message).items() if key != "request_id"}
    return name[0].lower() + name[1:], data
