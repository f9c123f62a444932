"""What a client says to the model and to its platform, each with one outcome in a bounded time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from livereactor.client.commands import command_of
from livereactor.client.connection import Connection
from livereactor.client.dispatcher import platform_message, platform_request
from livereactor.client.errors import DisconnectedError, ReactorError, error_of
from livereactor.client.options import bounded
from livereactor.client.types import Status
from livereactor.protocol import messages as m

if TYPE_CHECKING:
    from livereactor.client.stepping import StepCommand, StepMedia, StepResult
    from livereactor.client.transport.link import Link
    from livereactor.client.transport.requests import Question

COMMAND_TIMEOUT: Final = 10.0  # seconds for a reply
STEP_TIMEOUT: Final = 300.0  # seconds, as official clients wait for a step

_ANSWERED = (m.RequestSchema, m.RequestClip, m.RequestRecording, m.PublishTrack)


class Talking:
    """Of one client."""

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
        """As `Reactor.send_command`."""
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
        match await self._answered(command, timeout, name):
            case m.ModelMessage(kind, said):
                return {"type": kind, "data": dict(said)}
            case _:
                return None

    async def step(
        self,
        params: Mapping[str, Any] | None,
        commands: Sequence[StepCommand],
        media: StepMedia | None,
        timeout: float,
    ) -> StepResult:
        """As `Reactor.step`; with the Messages that the model sent meanwhile."""
        from livereactor.client.stepping import step_request, step_result

        bounded("timeout", timeout)
        request = step_request(params, commands, media)
        said: list[Mapping[str, Any]] = []
        emitter = self._connection.emitter
        emitter.on("message", said.append)
        try:
            reply = await self._answered(request, timeout, "step")
        finally:
            emitter.off("message", said.append)
        if not isinstance(reply, m.StepResult):
            raise error_of("DECODE_FAILED", "the server answered something else than a step", operation="step")
        return step_result(reply).with_messages(said)

    async def request_schema(self) -> dict[str, Any]:
        """As `Reactor.request_schema`."""
        reply = await self._answered(m.RequestSchema(), COMMAND_TIMEOUT, "request_schema")
        if not isinstance(reply, m.ModelSchema):
            raise error_of("DECODE_FAILED", "the server answered something else than a schema")
        return dict(reply.openapi)

    async def ask_for_clip(self, question: Question, timeout: float) -> m.ServerMessage | None:
        """Fits `clips.Ask`, which has an error of its own for a client that is not ready."""
        if self._connection.status is not Status.READY:
            raise DisconnectedError(f"not connected, but {self._connection.status.value}; connect first")
        return await self._answered(question, timeout, "request_clip")

    async def _send_platform(
        self, name: str, data: Mapping[str, Any], timeout: float, *, wait: bool
    ) -> dict[str, Any] | None:
        request = platform_request(name, data)
        if not (wait and isinstance(request, _ANSWERED)):
            self._connection.ready_link(f"send `{name}`").say(request)
            return None
        reply = await self._answered(request, timeout, name)
        if reply is None:
            return None
        kind, said = platform_message(reply)
        return {"type": kind, "data": said}

    async def _link(self, operation: str, timeout: float) -> tuple[Link, float]:
        """The transport, once a silent one is replaced; and what is left of the time then."""
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

    async def _answered(self, question: Question, timeout: float, operation: str) -> m.ServerMessage | None:
        try:
            self._connection.ready_link(operation)
            link, left = await self._link(operation, timeout)
            return await link.request(question, left)
        except ReactorError as error:
            error.operation = error.operation or operation
            error.session_id = error.session_id or self._connection.session.session_id
            raise
