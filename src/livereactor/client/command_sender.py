"""Commands and platform requests on their way to the server; each ends with one outcome in a bounded time."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from livereactor.client.commands import command_of
from livereactor.client.connection import Connection
from livereactor.client.dispatcher import platform_message
from livereactor.client.errors import DisconnectedError, ReactorError, error_of
from livereactor.client.options import bounded
from livereactor.client.transport.link import Link
from livereactor.client.transport.requests import Question
from livereactor.client.types import Status
from livereactor.protocol import messages as m

COMMAND_TIMEOUT: Final = 10.0  # seconds for a reply

_ANSWERED: Final = (m.RequestSchema, m.RequestClip, m.RequestRecording, m.PublishTrack)
_PLATFORM: Final = {
    kind.__name__.lower(): kind
    for kind in (*_ANSWERED, m.Ping, m.RequestCapabilities, m.PauseTrack, m.ResumeTrack, m.UnpublishTrack)
}


class CommandSender:
    """Sends what a client asks over its transport, and waits for the reply.

    It does not know the `Reactor`, so that `reactor.commands`, which holds it, keeps no dropped client alive.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def send_command(
        self,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        timeout: float = COMMAND_TIMEOUT,
        wait: bool = True,
        scope: Literal["application", "runtime"] = "application",
    ) -> dict[str, Any] | None:
        """Send a Command, or with the scope `runtime` a platform request; `Reactor.send_command` describes it."""
        if scope not in ("application", "runtime"):
            raise ValueError(f"scope is application or runtime, got {scope!r}")
        bounded("timeout", timeout)
        if scope == "runtime":
            return await self._send_platform(name, data or {}, timeout, wait=wait)
        command = command_of(name, data)
        self._connection.ready_link(f"send `{name}`")
        if not wait:
            link, _ = await self._link(name, timeout)
            link.say(command)
            return None
        match await self.request(command, timeout, name):
            case m.ModelMessage(kind, said):
                return {"type": kind, "data": dict(said)}
            case _:
                return None

    async def request(self, question: Question, timeout: float, operation: str) -> m.ServerMessage | None:
        """Send a question and return its reply.

        Raises:
            ReactorError: `NOT_READY`, `REQUEST_TIMEOUT`, `DISCONNECTED`, or what the server answered.
        """
        try:
            self._connection.ready_link(operation)
            link, left = await self._link(operation, timeout)
            return await link.request(question, left)
        except ReactorError as error:
            error.operation = error.operation or operation
            error.session_id = error.session_id or self._connection.session.session_id
            raise

    async def request_clip(self, question: Question, timeout: float) -> m.ServerMessage | None:
        """Ask for a Clip. Fits `clips.Ask`, which has an error of its own for a client that is not ready."""
        if self._connection.status is not Status.READY:
            raise DisconnectedError(f"not connected, but {self._connection.status.value}; connect first")
        return await self.request(question, timeout, "request_clip")

    async def _send_platform(
        self, name: str, data: Mapping[str, Any], timeout: float, *, wait: bool
    ) -> dict[str, Any] | None:
        request = _platform_request(name, data)
        if not (wait and isinstance(request, _ANSWERED)):
            self._connection.ready_link(f"send `{name}`").say(request)
            return None
        reply = await self.request(request, timeout, name)
        if reply is None:
            return None
        kind, said = platform_message(reply)
        return {"type": kind, "data": said}

    async def _link(self, operation: str, timeout: float) -> tuple[Link, float]:
        """Return the transport, once a silent one is replaced, and the time that is left then."""
        connection, began = self._connection, time.monotonic()
        try:
            async with asyncio.timeout(timeout):
                await connection.transports.replaced()
        except TimeoutError as error:
            text = f"`{operation}` could not be sent in {timeout:g} s: the connection is silent"
            raise error_of("REQUEST_TIMEOUT", text, operation=operation) from error
        if connection.link is None or connection.status is not Status.READY:
            raise DisconnectedError(f"connection lost before `{operation}` was sent", operation=operation)
        return connection.link, max(round(timeout - (time.monotonic() - began), 3), 0.001)


def _platform_request(name: str, data: Mapping[str, Any]) -> m.ClientMessage:
    """Return the platform request of this name (`requestSchema`, `request_schema`)."""
    kind = _PLATFORM.get(re.sub(r"[^a-z]", "", name.lower()))
    if kind is None:
        raise ValueError(f"no platform request {name!r}; the known ones are {', '.join(sorted(_PLATFORM))}")
    try:
        return kind(**data)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
