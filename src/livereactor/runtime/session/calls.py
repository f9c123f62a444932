"""Calls: Commands and steps on their way to the model, and the one outcome of each. Loop only.

Calls of one Connection keep their order: behind a call that waits for an Upload's bytes, or for a moderator's verdict,
later ones wait too. Outcomes are sent in the order of the calls, each before the messages that its handler sent to all.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

import structlog

from livereactor.base.errors import LimitError, LivereactorError, UnavailableError
from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.protocol import messages as m
from livereactor.protocol.moderated import Content
from livereactor.protocol.schema import ModelSchema, argument_uploads, arguments_with_files, validate_arguments
from livereactor.runtime.execution.command_queue import WAITING_BYTES, size_of
from livereactor.runtime.execution.model_thread import ModelThread
from livereactor.runtime.execution.runner import INTERNAL
from livereactor.runtime.interfaces import (
    Call,
    CallMarks,
    ClientInfo,
    MessageOut,
    OutputDeclaration,
    ReceivedFile,
    StepInput,
    StepOutput,
)
from livereactor.runtime.session.data_channels import DataChannels
from livereactor.runtime.session.metrics import Metrics
from livereactor.runtime.session.moderation import Moderation
from livereactor.runtime.session.running import SessionTimes
from livereactor.runtime.session.steps import checked_calls, failure_of, refused, step_media, step_result
from livereactor.runtime.session.uploads import Uploads

log = structlog.get_logger("livereactor.calls")

STEPS_WAITING: Final = 8  # requested and not answered; each may hold the frames of a 64 MiB message
Files = Mapping[str, ReceivedFile]
Fail = Callable[[LivereactorError], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A call that waits for files or a moderator, or for a call that does."""

    connection: int
    uploads: frozenset[str]
    contents: tuple[Content, ...]  # to be judged
    run: Callable[[Files], None]
    fail: Fail
    size: int  # bytes that its arguments keep; those of steps are bounded by STEPS_WAITING


@dataclass(frozen=True, slots=True)
class _Running:
    """A call the model thread has; `tell` takes its outcome, `fail` stands in for one that does not come."""

    future: Future[Any]
    finish: Callable[[Future[Any]], None]
    fail: Fail


class Calls:
    """The calls to one model.

    Attributes:
        times: of the running Session.

    Args:
        moderation: judges what calls and uploads bring.
        notify: takes the notices of moderation for a Connection; one with the action `terminate` ends the Session.
    """

    def __init__(
        self,
        model: ModelThread,
        uploads: Uploads,
        limits: Limits,
        metrics: Metrics,
        moderation: Moderation,
        notify: Callable[[int, m.Moderation], None],
    ) -> None:
        self._model, self._uploads, self._limits, self._metrics = model, uploads, limits, metrics
        self._moderation, self._notify = moderation, notify
        self._waiting: dict[int, deque[_Waiting]] = {}
        self._running: deque[_Running] = deque()
        self._steps = 0
        self.times = SessionTimes()
        self._workers: dict[int, asyncio.Task[None]] = {}

    def command(self, channels: DataChannels, client: ClientInfo, schema: ModelSchema, command: m.Command) -> None:
        """Check and run a Command; its outcome is sent to `channels`."""
        began = time.monotonic()

        def fail(error: LivereactorError) -> None:
            self._metrics.command(error.code, time.monotonic() - began)
            # At debug level, and counted: a client must not fill the log.
            log.debug("command refused", connection=client.id, code=error.code)
            channels.answer(m.Failure(command.request_id, error.code, error.message))

        try:
            spec = schema.command(command.name)
            arguments = validate_arguments(spec, command.arguments, command.uploads)
        except LivereactorError as error:
            fail(error)
            return
        size = size_of(arguments)

        def run(files: Files) -> None:
            filled = arguments_with_files(spec, arguments, files) if files else arguments
            marks = CallMarks(began)
            future = self._model.call(Call(command.name, filled, marks, size), client)
            self._then(future, lambda done: self._replied(channels, command, done, marks, fail), fail)

        moderation = self._moderation
        contents = moderation.contents(schema, [(command.name, arguments)]) if moderation.applies else ()
        self._in_order(client.id, argument_uploads(spec, arguments), run, fail, size, contents)

    def step(
        self,
        channels: DataChannels,
        client: ClientInfo,
        schema: ModelSchema,
        tracks: tuple[Sequence[OutputDeclaration], Mapping[str, str]],
        request: m.RequestStep,
    ) -> None:
        """Check and run one step of a stepped Session; its result is sent to `channels`."""
        outputs, inputs = tracks

        def fail(error: LivereactorError) -> None:
            channels.answer(refused(request.request_id, error))

        def over(error: LivereactorError) -> None:
            self._steps -= 1
            fail(error)

        def stepped(done: Future[StepOutput]) -> None:
            self._steps -= 1
            _stepped(channels, request.request_id, done, outputs)

        try:
            if self._steps >= STEPS_WAITING:
                text = f"{self._steps} of {STEPS_WAITING} steps are waiting; send the next after a result arrives"
                raise UnavailableError(text, code="RATE_LIMITED")
            calls = checked_calls(schema, request.state, request.commands)
            media = step_media(request.media_input, inputs)
        except LivereactorError as error:
            fail(error)
            return

        def run(files: Files) -> None:
            filled = calls.with_files(schema, files) if files else calls
            self._then(self._model.step(StepInput(filled.state, filled.commands, media)), stepped, over)

        self._steps += 1
        named = ((each.command, each.arguments) for _, each in (*calls.state, *calls.commands))
        contents = self._moderation.contents(schema, named) if self._moderation.applies else ()
        self._in_order(client.id, calls.uploads, run, over, contents=contents)

    async def uploaded(self, upload: str, connection: int, log: SparseLog) -> None:
        """Tell the model of a file that a client has uploaded, once its bytes are there and have been judged."""
        try:
            file = await self._uploads.file(upload)
            error, notices = await self._moderation.judge_upload(file)
            if error is None:
                self._model.uploaded(file)
            else:
                log.info("upload notice refused", reason=error.message)
            for notice in notices:
                self._notify(connection, notice)
        except LivereactorError as error:
            log.info("upload notice refused", reason=error.message)
        except Exception:  # any error of the store
            log.exception("upload notice lost")

    @property
    def waiting(self) -> frozenset[int]:
        """The Connections that have calls which wait for files or a moderator."""
        return frozenset(self._waiting)

    def forget(self, connection: int) -> None:
        """Fail the calls of a Connection that wait for files or a moderator: the client has gone."""
        if (worker := self._workers.pop(connection, None)) is not None:
            worker.cancel()
        queue = self._waiting.pop(connection, None)
        while queue:
            queue.popleft().fail(_ended())

    def end(self) -> None:
        """Fail every call that has no outcome yet: the Session ends, and no call reaches the next one."""
        running, self._running = self._running, deque()
        for call in running:
            call.future.cancel()  # a call that has not begun never runs
            call.fail(_ended())
        for connection in list(self._waiting):
            self.forget(connection)

    # --- inner ---------------------------------------------------------------------------------------------------

    def _replied(
        self, channels: DataChannels, command: m.Command, done: Future[MessageOut | None], marks: CallMarks, fail: Fail
    ) -> None:
        error = done.exception()
        refusal = None if error is None else _public(error)
        if refusal is not None:
            fail(refusal)
        else:
            self._metrics.command("ok", time.monotonic() - marks.asked)
            reply = done.result()
            number = command.request_id
            channels.answer(m.Ack(number) if reply is None else m.ModelMessage(reply.type, reply.data, number))
        if marks.taken:  # else the model thread had no room for it
            self.times.command(command.name, marks, time.monotonic(), "" if refusal is None else refusal.code)

    def _then(self, future: Future[Any], finish: Callable[[Future[Any]], None], fail: Fail) -> None:
        """Finish the call on the loop, in the order of the calls."""
        self._running.append(_Running(future, finish, fail))
        loop, here = asyncio.get_running_loop(), threading.get_ident()

        def done(_: Future[Any]) -> None:
            # On the loop already: the call was done before this was attached; its handler's messages follow.
            self._finish() if threading.get_ident() == here else soon(loop, self._finish)

        future.add_done_callback(done)

    def _finish(self) -> None:
        while self._running and self._running[0].future.done():
            call = self._running.popleft()
            call.finish(call.future)

    def _in_order(
        self,
        connection: int,
        uploads: Iterable[str],
        run: Callable[[Files], None],
        fail: Fail,
        size: int = 0,
        contents: tuple[Content, ...] = (),
    ) -> None:
        needed = frozenset(uploads)
        queue = self._waiting.get(connection)
        if queue is None and not needed and not contents:
            run({})
            return
        waiting = _Waiting(connection, needed, contents, run, fail, size)
        if queue is not None:
            limit = self._limits.command_queue
            if len(queue) >= limit or sum(each.size for each in queue) >= WAITING_BYTES:
                text = f"{len(queue)} of {limit} commands, or 64 MiB of them, wait for an upload or for moderation"
                fail(LimitError(f"{text}; send the next once they have their outcomes"))
            else:
                queue.append(waiting)
            return
        queue = self._waiting[connection] = deque([waiting])
        self._workers[connection] = asyncio.create_task(
            self._run_waiting(connection, queue), name=f"calls of {connection}"
        )

    async def _run_waiting(self, connection: int, queue: deque[_Waiting]) -> None:
        while queue:
            files, error = await self._files(queue[0].uploads)
            notices: Sequence[m.Moderation] = ()
            if error is None and queue[0].contents:
                error, notices = await self._moderation.judge(queue[0].contents, files)
            waiting = queue.popleft()
            try:
                waiting.fail(error) if error is not None else waiting.run(files)
            except Exception as failed:
                waiting.fail(_public(failed))
            for notice in notices:
                self._notify(waiting.connection, notice)
        if self._waiting.get(connection) is queue:
            del self._waiting[connection], self._workers[connection]

    async def _files(self, uploads: Iterable[str]) -> tuple[Files, LivereactorError | None]:
        """Return the files that a call waits for, or the error that it gets in place of them."""
        try:
            return {upload: await self._uploads.file(upload) for upload in uploads}, None
        except Exception as error:
            return {}, _public(error)


def _stepped(
    channels: DataChannels, request_id: str | None, done: Future[StepOutput], outputs: Sequence[OutputDeclaration]
) -> None:
    error = done.exception()
    if error is not None:
        shown = _public(error)
        failure = failure_of(shown, m.StepFailure.FAILED)
        channels.answer(m.StepResult(request_id, 0, failure=failure, error=shown.message, code=shown.code))
    else:
        channels.answer(step_result(request_id, done.result(), outputs))


def _public(error: BaseException) -> LivereactorError:
    """Return an error that a client may read; an unexpected one stays in the log."""
    if isinstance(error, LivereactorError):
        return error
    log.error("call failed", exc_info=error)
    return LivereactorError(INTERNAL, code="internal_error")


def _ended() -> LivereactorError:
    return UnavailableError("the session has ended; connect again", code="session_ended")


def soon(loop: asyncio.AbstractEventLoop, work: Callable[..., None], *arguments: object) -> None:
    """Do `work` on the loop. Any thread."""
    try:
        loop.call_soon_threadsafe(work, *arguments)
    except RuntimeError:  # the loop has closed, and with it every connection
        return
