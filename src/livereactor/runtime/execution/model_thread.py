"""The thread that one model runs on. It loads the model, opens and closes Sessions, runs commands between steps, and
steps when `pacing` says so, or when a client of a stepped Session asks. Emissions go to the Outputs; the listener gets
every other event.

One file: all of it happens on the one thread, in turns that share its queue, its Session and its clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import structlog

from livereactor.base.errors import LivereactorError, ModelLoadError, UnavailableError, UsageError
from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.base.timing import StageName, Timings
from livereactor.media.frames import Frame, Sound
from livereactor.runtime.authoring.definition import definition_of
from livereactor.runtime.authoring.emission import Emission, sound_seconds
from livereactor.runtime.authoring.inputs import InputQueue
from livereactor.runtime.authoring.model import Model
from livereactor.runtime.authoring.tracks import VideoOut, WaitFor
from livereactor.runtime.authoring.weights import WeightsError
from livereactor.runtime.execution import pacing
from livereactor.runtime.execution.command_queue import Inbox, Job, JobKind, Outcome, fail, succeed, work_into
from livereactor.runtime.execution.pacing import tuning_of
from livereactor.runtime.execution.runner import ModelRunner, StepMade, StreamError
from livereactor.runtime.execution.weight_fetching import fetch
from livereactor.runtime.interfaces import (
    Call,
    CallMarks,
    ClientInfo,
    LoadFailed,
    LoadFinished,
    MessageOut,
    ModelEvent,
    OutputSink,
    ReceivedFile,
    SessionFailed,
    SessionStart,
    StepInput,
    StepOutput,
    StepsDone,
    StreamEnded,
)

log = structlog.get_logger("livereactor.model")

STEPPER: Final = ClientInfo(id=0, role="owner", joined_at=0.0)


def run_step(runner: ModelRunner, request: StepInput, number: int) -> tuple[StepOutput, list[ModelEvent]]:
    """Do what `request` says.

    Args:
        number: what the step is called if it runs.

    Returns:
        its result, and what has to be sent with it. A refused call leaves the earlier ones applied and runs no step.
    """
    began = time.monotonic()

    def output(emission: Emission | None = None, error: str | None = None) -> StepOutput:
        tracks = {name: [item] if isinstance(item, Sound) else list(item) for name, item in (emission or {}).items()}
        return StepOutput(number, tracks, time.monotonic() - began, error)

    if runner.session is None:
        return output(error="no session is open; start one first"), []
    if (refused := apply_calls(runner, (*request.state, *request.commands), number)) is not None:
        return refused, []
    for track, items in request.media.items():
        for item in items:
            runner.feed(track, item)
    try:
        made = runner.step()
    except StreamError as error:
        return output(error="the model failed in this step"), [SessionFailed(str(error), reusable=True)]
    if made.ended:
        return output(error="the model's stream has ended; start another session"), [StreamEnded()]
    return output(made.emission), []


def apply_calls(runner: ModelRunner, calls: Sequence[tuple[str, Call]], number: int) -> StepOutput | None:
    """Run the calls in order. Return the refusal of the first that fails, else None."""
    began = time.monotonic()
    for entry, call in calls:
        try:
            runner.call(call, STEPPER, lambda _: None)
        except LivereactorError as error:
            return StepOutput(number, {}, time.monotonic() - began, error.message, error.code, entry)
    return None


class StepClock:
    """The durations of one Session's steps and waits, added to its `timings`.

    A wait is not part of a step, whether the model blocks in `frames()` or yields `wait_for`. Neither are the commands
    that run while `frames()` blocks.
    """

    def __init__(self, timings: Timings) -> None:
        self._steps, self._waits = timings.of(StageName.STEP), timings.of(StageName.INPUT_WAIT)
        self._began = self._within = 0.0
        self._waiting_since: float | None = None

    def begin(self, now: float) -> None:
        """Note that a turn of `stream` begins."""
        if self._waiting_since is not None:
            self._waits.add(now - self._waiting_since)
            self._waiting_since = None
        self._began, self._within = now, 0.0

    def waited(self, seconds: float) -> None:
        """Note that the model waited for input for `seconds` of this turn."""
        self._waits.add(seconds)
        self._within += seconds

    def end(self, now: float, *, waits: bool) -> None:
        """Note that the turn is over; `waits`: it made nothing and asked to wait for input."""
        if waits:
            self._waiting_since = now
        else:
            self._steps.add(now - self._began - self._within)


BUSY: Final = "the model is behind: {limit} commands or 64 MiB of commands are waiting; send fewer"


class ModelThread:
    """Runs one model on a thread of its own. Any thread may call any method; each returns at once.

    Futures complete on the model's thread. When a handler fails, the future's exception is a `CommandError` with the
    author's code, or a `LivereactorError` with code `internal_error` and no detail: the log has that, once.

    Args:
        model: the class.
        sink: where emissions go.
        listener: gets every ModelEvent, on the model's thread (`MessageSent` and `Progress` on whichever thread spoke).
        config: what `load(self, config)` gets; `path`: the file it came from.
        limits: how many commands may wait.
    """

    def __init__(
        self,
        model: type[Model],
        *,
        sink: OutputSink,
        listener: Callable[[ModelEvent], None],
        config: Mapping[str, Any] | None = None,
        path: Path | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.runner = ModelRunner(model, self, config=config or {}, path=path)
        self.definition = self.runner.definition
        self._sink, self._listener = sink, listener
        self._limit = (limits or Limits()).command_queue
        self._inbox = Inbox(self._limit)
        self._pacing = pacing.Pacing(self._tuning())
        self._wanted: frozenset[str] = frozenset()
        self._waits: WaitFor | None = None
        self._fed = threading.Event()  # an input came since it was last looked at
        self._start: SessionStart | None = None
        self._steps, self._failed_open = 0, False
        self._clock = StepClock(Timings())  # of the Session; there is none yet
        self._sparse = SparseLog(log)  # for the model's thread
        self._closing = threading.Event()  # a Session is to end: commands and waits before it are dropped
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        sink.on_capacity(self._inbox.wake)

    # --- any thread, at once -----------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def open(self, session: SessionStart) -> Future[None]:
        return self._put(JobKind.SESSION, lambda: self._open(session))

    def close(self, reason: str) -> Future[None]:
        self._closing.set()
        self._inbox.wake()
        return self._put(JobKind.SESSION, lambda: self._close(reason))

    def call(self, call: Call, client: ClientInfo) -> Future[MessageOut | None]:
        return self._submit(JobKind.COMMAND, lambda future: self._call(call, client, future), call.size)

    def join(self, client: ClientInfo) -> None:
        self._put(JobKind.HOOK, lambda: self.runner.join(client))

    def leave(self, client: ClientInfo) -> None:
        self._put(JobKind.HOOK, lambda: self.runner.leave(client))

    def uploaded(self, file: ReceivedFile) -> None:
        self._put(JobKind.HOOK, lambda: self.runner.uploaded(file))

    def want(self, tracks: frozenset[str]) -> None:
        """Set the output tracks that some client receives; empty = no step runs (unless run_without_viewers)."""
        self._wanted = tracks
        self._inbox.wake()

    def feed(self, track: str, item: Frame | Sound) -> None:
        """Hand over an input Frame or Sound; wakes an eager model."""
        self.runner.feed(track, item)
        self._fed.set()
        self._inbox.wake()

    def step(self, request: StepInput) -> Future[StepOutput]:
        return self._submit(JobKind.SESSION, lambda future: self._stepped(request, future))

    def reload(self, model: type[Model], *, keep: bool) -> Future[None]:
        """Go on as a newer version of the class (`livereactor dev`); a Session that is open ends first.

        Args:
            keep: the instance stays, with what `load` made; otherwise a new one is loaded.
        """
        self._closing.set()
        self._inbox.wake()
        return self._put(JobKind.SESSION, lambda: self._reload(model, keep))

    def stop(self, timeout: float) -> bool:
        """End the thread; False when the model hangs and the process must end without it."""
        self._closing.set()
        self._inbox.stop()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        # Whatever the thread left, or hangs in, still gets its one outcome.
        for job in self._inbox.drain():
            job.fail(UnavailableError("the runtime is stopping; connect again", code="session_ended"))
        return not self._thread.is_alive()

    # --- RunnerHost: what the model asks for ---------------------------------------------------------------------

    def publish(self, event: ModelEvent) -> None:
        self._listener(event)

    def wanted(self, track: str) -> bool:
        return track in self._wanted

    def retuned(self, track: str) -> None:
        target = self.runner.tracks.get(track)
        if isinstance(target, VideoOut):
            self._sink.set_fps(track, target.fps)
        self._pacing.handle(pacing.Retuned(self._tuning()), time.monotonic())

    def flush(self, track: str) -> None:
        self._sink.flush(track)

    def wait_input(self, queue: InputQueue, timeout: float | None) -> bool:
        if (loop := self.runner.loop) is not None and loop.is_running():
            raise UsageError("frames() blocks, which async code must not do; write `yield lr.wait_for(self.webcam)`")
        began = time.monotonic()
        try:
            return self._waited(queue, None if timeout is None else began + timeout)
        finally:
            self._clock.waited(time.monotonic() - began)

    def _waited(self, queue: InputQueue, until: float | None) -> bool:
        while not queue.unread():
            while (job := self._inbox.next(JobKind.COMMAND, JobKind.HOOK)) is not None:
                self._do(job)
            if self._closing.is_set():
                raise GeneratorExit
            if queue.unread():
                break
            rest = None if until is None else until - time.monotonic()
            if rest is not None and rest <= 0:
                return False
            self._inbox.wait(rest, self.runner.loop)
        return True

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        began = time.monotonic()
        try:
            for weights in self.definition.weights:
                fetch(weights, self.runner.progress)
            self.runner.load()
        except (ModelLoadError, WeightsError, OSError) as error:
            self._inbox.stop()
            self._listener(LoadFailed(str(error)))
        else:
            self._listener(LoadFinished(time.monotonic() - began))
            self._live()
        for job in self._inbox.drain():
            job.fail(UnavailableError("the model has ended; connect again", code="session_ended"))

    def _live(self) -> None:
        try:
            while not self._inbox.stopped:
                self._turn()
            self.runner.shut()
        except BaseException as error:  # ours, or what no author may raise: this worker is done for, and says so
            self._inbox.stop()
            log.exception("model thread failed")
            self._listener(SessionFailed(f"the model thread failed: {type(error).__name__}", reusable=False))

    def _turn(self) -> None:
        """Run the jobs that wait, then a step if one is due; otherwise wait for either."""
        # Only what waits now: a flood of commands must not keep the next step from running.
        for _ in range(len(self._inbox)):
            if (job := self._inbox.next()) is not None:
                self._do(job)
        self._report_changes()
        due, now = self._pacing.deadline(), time.monotonic()
        if due is not None and due <= now:
            self._step(now)
        else:
            self._inbox.wait(None if due is None else due - now, self.runner.loop)

    def _do(self, job: Job) -> None:
        if job.kind is JobKind.COMMAND and self._closing.is_set():
            job.fail(UnavailableError("the session has ended; connect again", code="session_ended"))
            return
        job.run()
        if job.kind is JobKind.COMMAND:
            self._pacing.handle(pacing.Kicked("command"), time.monotonic())

    def _report_changes(self) -> None:
        """Let the pacing know what other threads changed."""
        now = time.monotonic()
        self.runner.observer.outputs_wanted(self._wanted)
        self._pacing.handle(pacing.Wanted(bool(self._wanted) or self.definition.run_without_viewers), now)
        self._pacing.handle(pacing.Backpressure(self._sink.has_capacity()), now)
        if self._fed.is_set():
            self._fed.clear()
            queues = self._waits.queues if self._waits else self.runner.input_queues
            if any(queue.unread() for queue in queues):
                self._pacing.handle(pacing.Kicked("input"), now)

    # --- Sessions ----------------------------------------------------------------------------------------------------

    def _open(self, start: SessionStart) -> None:
        self._closing.clear()
        self._clock = StepClock(start.timings)
        try:
            self.runner.open(start)
        except StreamError as error:
            reusable, self._failed_open = not self._failed_open, True
            self._listener(SessionFailed(str(error), reusable))
            raise LivereactorError("the model could not open the session", code="internal_error") from error
        self._failed_open = False
        if (refused := apply_calls(self.runner, start.starting, 0)) is not None:
            self.runner.close()
            raise UsageError(f"{refused.entry}: {refused.error}", code=refused.command_code or "start_refused")
        self._start, self._steps, self._waits = start, 0, None
        self._fed.clear()
        if not start.stepped:
            self._pacing.handle(pacing.Opened(), time.monotonic())

    def _close(self, reason: str) -> None:
        whose = {} if self._start is None else {"session": self._start.id}
        self._start = self._waits = None
        self._pacing.handle(pacing.Closed(), time.monotonic())
        self.runner.close()
        self._closing.clear()
        self._sparse.info("session closed", reason=reason, **whose)

    def _reload(self, model: type[Model], keep: bool) -> None:
        self._close("reloaded")
        for weights in definition_of(model).weights:
            fetch(weights, self.runner.progress)
        self.runner.reload(model, keep=keep)
        self.definition = self.runner.definition
        self._pacing = pacing.Pacing(self._tuning())
        self._failed_open = False

    def _call(self, call: Call, client: ClientInfo, future: Future[MessageOut | None]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        marks = call.marks or CallMarks()
        marks.taken = time.monotonic()

        def answer(reply: MessageOut | None) -> None:
            marks.done = time.monotonic()
            succeed(future, reply)

        try:
            self.runner.call(call, client, answer)
        except Exception as error:
            marks.done = time.monotonic()
            fail(future, error)

    def _step(self, now: float) -> None:
        self._waits = None
        self._clock.begin(now)
        try:
            made = self.runner.step()
        except GeneratorExit:  # the Session ends while the model waits for input
            self._end_stream()
            if not self._closing.is_set():
                self._listener(StreamEnded())
        except StreamError as error:
            self._end_stream()
            self._listener(SessionFailed(str(error), reusable=True))
        else:
            self._made(made, now)

    def _made(self, made: StepMade, began: float) -> None:
        if made.ended:
            self._end_stream()
            self._listener(StreamEnded())
            return
        now = time.monotonic()
        self._clock.end(now, waits=made.waits is not None)
        if made.emission:
            self._sink.emit(made.emission, step_seconds=now - began)
        self._waits = made.waits
        until = None if made.waits is None or made.waits.timeout is None else now + made.waits.timeout
        waits = made.waits is not None and not made.waits.over()
        self._pacing.handle(pacing.Stepped(began, bool(made.emission), sound_seconds(made.emission), waits, until), now)
        if made.waits is None and self._start is not None:
            self._steps += 1
            if self._steps == self._start.steps:
                self._end_stream()
                self._listener(StepsDone())

    def _end_stream(self) -> None:
        self._pacing.handle(pacing.Closed(), time.monotonic())

    def _stepped(self, request: StepInput, future: Future[StepOutput]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        limit = self._start.steps if self._start else None
        if limit is not None and self._steps >= limit:
            fail(future, UnavailableError(f"all {limit} steps of this session are done", code="session_ended"))
            return
        try:
            output, events = run_step(self.runner, request, self._steps + 1)
        except Exception as error:
            fail(future, error)
            return
        if output.command_code is None:
            self._steps += 1
        succeed(future, output)  # before what ends the Session, and with it what has no outcome yet
        for event in events:
            self._listener(event)
        if not events and self._steps == limit and output.command_code is None:
            self._listener(StepsDone())

    # --- inner -------------------------------------------------------------------------------------------------------

    def _tuning(self) -> pacing.Tuning:
        return tuning_of(self.runner.tracks or self.definition.declarations)

    def _put(self, kind: JobKind, work: Callable[[], Outcome]) -> Future[Outcome]:
        return self._submit(kind, lambda future: work_into(future, work))

    def _submit(self, kind: JobKind, run: Callable[[Future[Outcome]], None], size: int = 0) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        if not self._inbox.put(Job(kind, lambda: run(future), lambda error: fail(future, error), size)):
            fail(future, self._refusal())
        return future

    def _refusal(self) -> LivereactorError:
        if self._inbox.stopped:
            return UnavailableError("the runtime is stopping; connect again", code="session_ended")
        return UnavailableError(BUSY.format(limit=self._limit), code="RATE_LIMITED")
