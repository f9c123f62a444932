"""Requests on the data channels that wait for their reply; each ends exactly once. Loop only, no IO of its own.

In the binary format a reply names its request. In JSON commands have none, a claim on a track is named, and all else is
answered in the order it was asked: there, a request that was given up keeps its place in the row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final, TypeAlias

from livereactor.client.errors import CommandRejected, InternalError, ReactorError, error_of
from livereactor.protocol import messages as m

MOST: Final = 4096  # requests that wait at once, as many as our runtime takes
KEPT: Final = 60.0  # seconds to keep the place of a request that was given up: servers answer within ten, or never

Question: TypeAlias = m.Command | m.RequestStep | m.RequestSchema | m.RequestClip | m.RequestRecording | m.PublishTrack
_CLIP: Final = (m.ClipReady, m.ClipFailed)
_REPLIES: Final[Mapping[type[Question], tuple[type[Any], ...]]] = {
    m.Command: (m.ModelMessage, m.Ack),
    m.RequestStep: (m.StepResult,),
    m.RequestSchema: (m.SchemaDocument,),
    m.RequestClip: _CLIP,
    m.RequestRecording: _CLIP,
    m.PublishTrack: (m.PublishGranted, m.PublishRefused),
}
_WORDS: Final[Mapping[type[Question], str]] = {
    m.RequestStep: "a step",
    m.RequestSchema: "the request for the schema",
    m.RequestClip: "the request for a clip",
    m.RequestRecording: "the request for the recording",
}


@dataclass(slots=True)
class _Waiting:
    question: Question
    reply: asyncio.Future[m.ServerMessage]
    asked_at: float


class Requests:
    """The requests of one PeerTransport that wait for their replies."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}  # in the order they were asked
        self._numbers = count(1)

    async def ask(self, question: Question, timeout: float, send: Callable[[Question], None]) -> m.ServerMessage:
        """Send a request and wait for its reply; a cancelled or late one does not disturb others.

        Args:
            timeout: seconds.
            send: sends the request with its id; its errors are raised.

        Raises:
            ReactorError: what the server answered (`CommandRejected`, …), `REQUEST_TIMEOUT`, `DISCONNECTED` if
                abandoned, `RATE_LIMITED` if too many wait already.
        """
        self._forget_the_gone()
        if len(self._waiting) >= MOST:
            text = f"{MOST} requests wait for their replies; await some of them first"
            raise error_of("RATE_LIMITED", text, component="client")
        channel = "data" if isinstance(question, m.Command | m.RequestStep) else "ctrl"
        request_id = f"{channel}_{next(self._numbers)}"
        named = replace(question, request_id=request_id)
        send(named)
        reply: asyncio.Future[m.ServerMessage] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = _Waiting(named, reply, time.monotonic())
        try:
            async with asyncio.timeout(timeout):
                return await reply
        except TimeoutError as error:
            raise error_of("REQUEST_TIMEOUT", f"no reply to {_words(question)} in {timeout:g} s") from error

    def resolve(self, message: m.ServerMessage) -> bool:
        """Give a message to the request that it answers; return False if there is none."""
        request_id: str | None = getattr(message, "request_id", None)
        found = self._next_for(message) if request_id is None else request_id
        waiting = self._waiting.get(found or "")
        if found is None or waiting is None or not _answers(message, waiting.question):
            return False
        del self._waiting[found]
        if waiting.reply.done():
            return True  # late, but its place was kept
        if isinstance(message, m.Failure):
            waiting.reply.set_exception(_refused(waiting.question, message))
        else:
            waiting.reply.set_result(message)
        return True

    def abandon(self) -> None:
        """End all requests with `DISCONNECTED`, as the connection is gone."""
        waiting, self._waiting = list(self._waiting.values()), {}
        for each in waiting:
            if not each.reply.done():
                text = f"connection lost before the reply to {_words(each.question)}"
                each.reply.set_exception(error_of("DISCONNECTED", text))

    def _next_for(self, message: m.ServerMessage) -> str | None:
        """Return the request that is next, of those that are answered in order."""
        if isinstance(message, m.ModelMessage | m.Failure | m.Ack):
            return None
        return next((name for name, each in self._waiting.items() if _answers(message, each.question)), None)

    def _forget_the_gone(self) -> None:
        before = time.monotonic() - (KEPT if len(self._waiting) < MOST else 0.0)
        for name, each in list(self._waiting.items()):
            if each.asked_at > before:
                return
            if each.reply.done():
                del self._waiting[name]


def _answers(message: m.ServerMessage, question: Question) -> bool:
    return isinstance(message, (*_REPLIES[type(question)], m.Failure))


def _refused(question: Question, failure: m.Failure) -> ReactorError:
    """Return the error of the server's code; a model's author may choose any code for a Command."""
    error = error_of(failure.code or "INTERNAL_ERROR", failure.message or "the server gave no reason", component="gpu")
    if type(error) in (ReactorError, InternalError) and isinstance(question, m.Command):
        return CommandRejected(error.message, code=error.code, component="gpu")
    return error


def _words(question: Question) -> str:
    if isinstance(question, m.Command | m.PublishTrack):
        return f"`{question.name[:60]}`"
    return _WORDS[type(question)]
