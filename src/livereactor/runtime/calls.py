"""Commands and steps on their way to the model and their one outcome back. Loop only.

Calls of one Connection keep their order: behind one that waits for an Upload's bytes, later ones wait too.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

import structlog

from livereactor.base.errors import LimitError, LivereactorError
from livereactor.base.limits import Limits
from livereactor.protocol import messages as m
from livereactor.protocol.schema import ModelSchema, argument_uploads, arguments_with_files, validate_arguments
from livereactor.runtime.connection import Connection
from livereactor.runtime.metrics import Metrics
from livereactor.runtime.seam import (
    Call,
    ClientInfo,
    MessageOut,
    OutputDeclaration,
    ReceivedFile,
    StageControl,
    StepOutput,
)
from livereactor.runtime.steps import checked_calls, refused, step_input, step_media, step_result
from livereactor.runtime.uploads import Uploads

log = structlog.get_logger("livereactor.calls")

INTERNAL: Final = "the command failed inside the model; its log says why"
Files = Mapping[str, ReceivedFile]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A call that waits for files, or behind one that does."""

    uploads: frozenset[str]
    run: Callable[[Files], None]
    fail: Callable[[LivereactorError], None]


class Calls:
    """What clients ask of one model."""

    def __init__(self, stage: StageControl, uploads: Uploads, limits: Limits, metrics: Metrics) -> None:
        self._stage, self._uploads, self._limits, self._metrics = stage, uploads, limits, metrics
        self._waiting: dict[int, deque[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def command(self, connection: Connection, client: ClientInfo, schema: ModelSchema, command: m.Command) -> None:
        """Check and run a command; the outcome is told to `connection`."""
        began = time.monotonic()

        def fail(error: LivereactorError) -> None:
            self._metrics.command(error.code, time.monotonic() - began)
            log.info("command refused", connection=client.id, code=error.code)
            connection.tell(m.Failure(command.request_id, error.code, error.message))

        try:
            spec = schema.command(command.name)
            arguments = validate_arguments(spec, command.arguments, command.uploads)
        except LivereactorError as error:
            fail(error)
            return

        def run(files: Files) -> None:
            filled = arguments_with_files(spec, arguments, files) if files else arguments
            future = self._stage.call(Call(command.name, filled), client)
            self._then(future, lambda done: self._replied(connection, command.request_id, done, began, fail))

        self._in_order(client.id, argument_uploads(spec, arguments), run, fail)

    def step(
        self,
        connection: Connection,
        client: ClientInfo,
        schema: ModelSchema,
        tracks: tuple[Sequence[OutputDeclaration], Mapping[str, str]],
        request: m.RequestStep,
    ) -> None:
        """Check and run one step of a stepped Session; its result is told to `connection`."""
        outputs, inputs = tracks

        def fail(error: LivereactorError) -> None:
            connection.tell(refused(request.request_id, error, failure=m.StepFailure.REFUSED))

        try:
            calls = checked_calls(schema, request.state, request.commands)
            media = step_media(request.media_input, inputs)
        except LivereactorError as error:
            fail(error)
            return

        def run(files: Files) -> None:
            filled = calls.with_files(schema, files) if files else calls
            future = self._stage.step(step_input(filled, media))
            self._then(future, lambda done: _stepped(connection, request.request_id, done, outputs))

        self._in_order(client.id, calls.uploads, run, fail)

    async def aclose(self) -> None:
        """Give up what waits for files."""
        for task in list(self._tasks):
            task.cancel()

    # --- inner ---------------------------------------------------------------------------------------------------

    def _replied(
        self,
        connection: Connection,
        request_id: str | None,
        done: Future[MessageOut | None],
        began: float,
        fail: Callable[[LivereactorError], None],
    ) -> None:
        error = done.exception()
        if error is not None:
            fail(_public(error))
            return
        self._metrics.command("ok", time.monotonic() - began)
        reply = done.result()
        connection.tell(m.Ack(request_id) if reply is None else m.ModelMessage(reply.type, reply.data, request_id))

    def _then(self, future: Future[Any], outcome: Callable[[Future[Any]], None]) -> None:
        """`outcome` on the loop, in the order in which the model's thread finished what it did."""
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda done: _soon(loop, lambda: outcome(done)))

    def _in_order(
        self,
        connection: int,
        uploads: Iterable[str],
        run: Callable[[Files], None],
        fail: Callable[[LivereactorError], None],
    ) -> None:
        needed = frozenset(uploads)
        queue = self._waiting.get(connection)
        if queue is None and not needed:
            run({})
            return
        if queue is not None and len(queue) >= self._limits.command_queue:
            fail(
                LimitError(f"{len(queue)} of {self._limits.command_queue} commands wait for an upload; write its bytes")
            )
            return
        if queue is not None:
            queue.append(_Waiting(needed, run, fail))
            return
        self._waiting[connection] = deque([_Waiting(needed, run, fail)])
        task = asyncio.create_task(self._work_off(connection), name=f"uploads of {connection}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_off(self, connection: int) -> None:
        queue = self._waiting[connection]
        try:
            while queue:
                waiting = queue[0]
                try:
                    files = {upload: await self._uploads.file(upload) for upload in waiting.uploads}
                except LivereactorError as error:
                    waiting.fail(error)
                else:
                    waiting.run(files)
                queue.popleft()
        finally:
            del self._waiting[connection]


def _stepped(
    connection: Connection, request_id: str | None, done: Future[StepOutput], outputs: Sequence[OutputDeclaration]
) -> None:
    error = done.exception()
    if error is not None:
        connection.tell(refused(request_id, _public(error), failure=m.StepFailure.SESSION_ENDED))
    else:
        connection.tell(step_result(request_id, done.result(), outputs))


def _public(error: BaseException) -> LivereactorError:
    """What a client may read; anything unexpected stays in the log."""
    if isinstance(error, LivereactorError):
        return error
    log.error("call failed", error=repr(error))
    return LivereactorError(INTERNAL, code="internal_error")


def _soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:  # the loop has closed: nobody is left to be told
        return
