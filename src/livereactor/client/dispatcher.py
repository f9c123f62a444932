"""What the server says on the data channels beyond replies, as the events a program hears."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from livereactor.client.errors import ReactorError, error_of
from livereactor.client.events import Emitter
from livereactor.client.session import SessionRecord
from livereactor.protocol import messages as m


class Dispatcher:
    """Of one client.

    Args:
        emitter, session: are told.
        over: the Session has ended, for this reason.
        report: something went wrong that nobody waits for.
    """

    def __init__(
        self,
        emitter: Emitter,
        session: SessionRecord,
        over: Callable[[str], None],
        report: Callable[[ReactorError], None],
    ) -> None:
        self._emitter, self._session, self._over, self._report = emitter, session, over, report

    def dispatch(self, message: m.ServerMessage) -> None:
        """Tell of a message."""
        match message:
            case m.ModelMessage(kind, data):
                self._emitter.emit("message", {"type": kind, "data": dict(data)})
            case m.ModelSchema(openapi):
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
                pass  # an answer that came too late: there is nobody to tell

    def _platform(self, kind: str, data: Mapping[str, Any]) -> None:
        self._emitter.emit("runtime_message", {"type": kind, "data": dict(data)})


def platform_message(message: m.ServerMessage) -> tuple[str, dict[str, Any]]:
    """Its type as it is in JSON (`clipReady`), and what it says."""
    name = type(message).__name__
    data = {key: value for key, value in asdict(message).items() if key != "request_id"}
    return name[0].lower() + name[1:], data


_REQUESTS = (
    m.RequestSchema,
    m.RequestClip,
    m.RequestRecording,
    m.PublishTrack,
    m.Ping,
    m.RequestCapabilities,
    m.PauseTrack,
    m.ResumeTrack,
    m.UnpublishTrack,
)
_BY_NAME = {kind.__name__.lower(): kind for kind in _REQUESTS}


def platform_request(name: str, data: Mapping[str, Any]) -> m.ClientMessage:
    """The platform request of this name (`requestSchema`, `request_schema`).

    Raises:
        ValueError: there is none, or not with these arguments.
    """
    kind = _BY_NAME.get(re.sub(r"[^a-z]", "", name.lower()))
    if kind is None:
        raise ValueError(f"no platform request {name!r}; there are {', '.join(sorted(_BY_NAME))}")
    try:
        return kind(**data)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
