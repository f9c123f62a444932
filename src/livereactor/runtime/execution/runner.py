"""One model instance and everything that is done to it, one thing at a time, on the calling thread.

`ModelThread` decides when; `livereactor.testing.Stage` does it by hand. An `AuthorLoop` runs what is async in the
model, and an `Outbox` sends its Messages.

One file: load, Session, command, step and reload all change the state of the one instance, and its loop and outbox
begin and end with its Session.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextvars import Context, ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast
from weakref import WeakSet

import structlog

from livereactor.base.errors import (
    CommandError,
    InvalidCommandError,
    LivereactorError,
    ModelLoadError,
    UnavailableError,
    UnresolvedUploadError,
    UsageError,
)
from livereactor.base.sparse_log import SparseLog
from livereactor.media.frames import Frame, Sound
from livereactor.protocol.schema import python_arguments
from livereactor.runtime.authoring.context import Client, ModelConfig, Session, for_author, uploaded_file
from livereactor.runtime.authoring.definition import definition_of
from livereactor.runtime.authoring.emission import Emission, Reuse, emission_of
from livereactor.runtime.authoring.host import SessionMark
from livereactor.runtime.authoring.inputs import InputQueue
from livereactor.runtime.authoring.messages import Message, message_out
from livereactor.runtime.authoring.model import Model, attach, reset_params, tracks_of
from livereactor.runtime.authoring.tracks import AudioIn, AudioOut, Track, VideoIn, VideoOut, WaitFor
from livereactor.runtime.execution.loading import described, stopped
from livereactor.runtime.interfaces import (
    Call,
    ClientInfo,
    MessageOut,
    MessageSent,
    ModelEvent,
    Progress,
    ReceivedFile,
    SessionObserver,
    SessionStart,
)

log = structlog.get_logger("livereactor.model")

# Tasks, and threads that asyncio starts for them, inherit it from what started them.
MARK: Final[ContextVar[SessionMark | None]] = ContextVar("livereactor_session", default=None)


class Outbox:
    """The Messages of a model on their way out: they leave while its Session is open, behind the reply of a handler.

    Sends from any thread; call `begin`, `end`, `hold` and `release` on the model's thread.

    Args:
        publish: takes each Message, in order. It is called under a lock, so that no Message is published after `end`.
    """

    def __init__(self, publish: Callable[[MessageSent], None]) -> None:
        self._publish = publish
        self._lock = threading.Lock()
        self._mark: SessionMark | None = None  # of the Session that is open
        self._held: list[MessageSent] | None = None
        self._before: WeakSet[threading.Thread] = WeakSet()  # threads older than the Session
        self._stale: WeakSet[threading.Thread] = WeakSet()  # threads of Sessions that are over

    def begin(self, number: int) -> SessionMark:
        """Open a Session. Each task that it starts from now on carries the returned mark."""
        self._before = WeakSet(threading.enumerate())
        mark = SessionMark(number)
        MARK.set(mark)
        with self._lock:
            self._mark = mark
        return mark

    def end(self) -> None:
        """Close the Session. Whatever of it lives on can send nothing any more."""
        with self._lock:
            if self._mark is not None:
                self._mark.over = True
            self._mark = self._held = None
        MARK.set(None)
        self._stale.update(each for each in threading.enumerate() if each not in self._before)

    def send(self, message: MessageOut, client: int | None, mark: SessionMark | None = None) -> None:
        """Publish a Message, or hold it while a command handler runs.

        Args:
            mark: the Session that it belongs to; None = the Session of the caller's task, or any.
        """
        mark = mark or MARK.get()
        if (mark is not None and mark.over) or (mark is None and self._is_left_over()):
            return
        with self._lock:
            if self._mark is None or (mark is not None and mark.over):
                return
            sent = MessageSent(message, client, self._mark.number)
            if self._held is not None:
                self._held.append(sent)
            else:
                self._publish(sent)

    def hold(self) -> None:
        """Keep Messages until `release`, since the reply of a command goes first."""
        with self._lock:
            self._held = []

    def release(self) -> None:
        """Publish the Messages that were held."""
        with self._lock:
            held, self._held = self._held or [], None
            for sent in held:
                self._publish(sent)

    def _is_left_over(self) -> bool:
        """Return whether the caller is a thread that an earlier Session started and left running.

        A worker of a thread pool is not: it serves later Sessions too.
        """
        thread = threading.current_thread()
        if thread not in self._stale or _is_pooled():
            return False
        log.warning("not sent, an earlier session started this thread; end it in close", thread=thread.name)
        return True


def _is_pooled() -> bool:
    """Return whether the caller is a job in a `ThreadPoolExecutor`."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "concurrent.futures.thread":
            return True
        frame = frame.f_back
    return False


GRACE: Final = 1.0  # seconds that a cancelled task has to tidy up


class AuthorLoop:
    """The event loop of an async model, with the tasks that its author starts. It runs only inside `run`.

    Attributes:
        loop: None while nothing of the model was async.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._of_session: WeakSet[asyncio.Task[Any]] = WeakSet()

    def run(self, awaitable: Any) -> Any:
        """Run an awaitable to its end."""
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            self.loop.set_task_factory(self._task)
        return self.loop.run_until_complete(_finished(awaitable))

    def end_session(self) -> None:
        """Cancel the tasks that the Session left running: they must not reach the next."""
        self.cancel(self._of_session)

    def tasks(self) -> set[asyncio.Task[Any]]:
        """Return the tasks that are not done."""
        return asyncio.all_tasks(self.loop) if self.loop is not None else set()

    def cancel(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel tasks and let them tidy up for a moment."""
        running = [task for task in tasks if not task.done()]
        if self.loop is None or not running:
            return
        for task in running:
            task.cancel()
        _, late = self.loop.run_until_complete(asyncio.wait(running, timeout=GRACE))
        for task in late:
            log.error("a task continues after it was cancelled; do not catch CancelledError", task=task.get_name())

    def close(self) -> None:
        """Cancel all tasks and close the loop."""
        if self.loop is None:
            return
        self.cancel(self.tasks())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        self.loop = None

    def _task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
        context: Context | None = options.get("context")
        if (MARK.get() if context is None else context.get(MARK)) is not None:
            self._of_session.add(task)
        return task


async def _finished(awaitable: Any) -> Any:
    return await awaitable


INTERNAL: Final = "the command failed inside the model; see the model's log"
# What an author's code may raise: sys.exit() in a model ends its Session, not our thread.
AUTHOR_ERRORS: Final = (Exception, SystemExit, asyncio.CancelledError)


@dataclass(frozen=True, slots=True)
class StepMade:
    """One turn of `stream`.

    Attributes:
        emission: what it gave; empty for a step without output.
        waits: the model yielded `lr.wait_for(…)`.
        ended: `stream` returned: there was no step.
    """

    emission: Emission
    waits: WaitFor | None = None
    ended: bool = False


class StreamError(Exception):
    """`stream` or what it yielded failed; the text is one readable sentence with the author's line."""


class RunnerHost(Protocol):
    """The driver of a ModelRunner. Called on the model's thread; `publish` and `wanted` on any."""

    def publish(self, event: ModelEvent) -> None: ...
    def wanted(self, track: str) -> bool: ...
    def retuned(self, track: str) -> None: ...
    def flush(self, track: str) -> None: ...
    def wait_input(self, queue: InputQueue, timeout: float | None) -> bool: ...


class ModelRunner:
    """Runs one model. Not thread-safe but for `send`, `feed` and `input_active`."""

    def __init__(
        self, model: type[Model], host: RunnerHost, *, config: Mapping[str, Any], path: Path | None = None
    ) -> None:
        self.definition = definition_of(model)
        self._class, self._host = model, host
        self.wanted, self.retuned, self.flush = host.wanted, host.retuned, host.flush  # of ModelHost, as they are
        self._config = ModelConfig(config, path)
        self._loop = AuthorLoop()
        self._sparse = SparseLog(log)
        self._stream: Iterator[Any] | AsyncIterator[Any] | None = None
        self._session: Session | None = None
        self._mark: SessionMark | None = None  # of that Session
        self.observer = SessionObserver()  # of that Session
        self._reuse = Reuse()
        self._outbox = Outbox(host.publish)
        self._loaded: dict[str, Any] = {}  # the instance's attributes as `load` and `warmup` left them
        self.model: Model | None = None
        self.tracks: dict[str, Track] = {}

    # --- the model's life --------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Make the instance, `load` and `warmup` it.

        Raises:
            ModelLoadError: it failed; the traceback is in the log.
        """
        self._adopt(self._made(self._class))

    def reload(self, model: type[Model], *, keep: bool) -> None:
        """Go on as a newer version of the class.

        Args:
            keep: the instance stays, with what `load` made; otherwise a new one is loaded.

        Raises:
            ModelLoadError: the newer version does not load; the one before goes on, as it was.
        """
        self.close()
        if keep and self.model is not None:
            self._adopt(self._recast(self.model, model))
            return
        before = self._loop.tasks()
        try:
            made = self._made(model)
        except ModelLoadError:
            self._loop.cancel(self._loop.tasks() - before)
            raise
        self._loop.cancel(before)
        self._adopt(made)

    def open(self, start: SessionStart) -> None:
        """Begin a Session: everything at its default, then `open`, then `stream` ready for its first step.

        Raises:
            StreamError: `open` failed.
        """
        self.observer = start.observer
        self.observer.opened(start)
        self._reset()
        self._session = Session(start.id, start.extra_args, stepped=start.stepped)
        self._mark = self._outbox.begin(start.number)
        structlog.contextvars.bind_contextvars(session=start.id)
        try:
            self._hook("open", self._session)
            self._stream = self._begin_stream()
        except AUTHOR_ERRORS as error:
            log.exception("session failed to open")
            self._drop_stream()
            self._end_session()
            raise StreamError(stopped(error, self._class)) from error

    def close(self) -> None:
        """End the Session: the generator is dropped, `close` runs, and nothing of it stays."""
        session = self._session
        if session is None:
            return
        self._drop_stream()
        try:
            self._hook("close", session)
        except AUTHOR_ERRORS:
            log.exception("close failed")
        self._end_session()
        self._reset()

    def shut(self) -> None:
        """The instance will not be used again."""
        self.close()
        self._loop.close()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop of an async model, None while nothing of it was async."""
        return self._loop.loop

    @property
    def session(self) -> Session | None:
        return self._session

    # --- between steps -----------------------------------------------------------------------------------------------

    def call(self, call: Call, client: ClientInfo, answer: Callable[[MessageOut | None], None]) -> None:
        """Run a command's handler; `answer` gets its reply before anything the handler said goes out.

        Raises:
            CommandError: the author refused.
            UsageError: there is no such command, or its arguments do not fit.
            LivereactorError: code `internal_error`: the handler failed; its traceback is in the log.
        """
        if self._session is None:
            raise UnavailableError("no session is open; start one first", code="NOT_READY")
        self.observer.called(call, client)
        self._outbox.hold()
        try:
            answer(self._answer_of(call, self._client(client)))
        finally:
            self._outbox.release()

    def join(self, client: ClientInfo) -> None:
        if self._session is not None:
            self.observer.client_joined(client)
            known = self._session.clients[client.id] = Client(client, self, self._mark)
            self._guarded_hook("joined", known)

    def leave(self, client: ClientInfo) -> None:
        if self._session is not None:
            self.observer.client_left(client)
            known = self._client(client)
            self._session.clients.pop(client.id, None)
            self._guarded_hook("left", known)

    def uploaded(self, file: ReceivedFile) -> None:
        if self._session is not None:
            self.observer.file_uploaded(file)
            self._guarded_hook("uploaded", uploaded_file(file))

    def feed(self, track: str, item: Frame | Sound) -> None:
        """An input Frame or Sound; from any thread. Unknown tracks and what does not fit their kind are ignored."""
        match self.tracks.get(track), item:
            case VideoIn() as video, Frame():
                video.queue.push(item)
            case AudioIn() as audio, Sound():
                audio.receive(item)
            case _:
                pass

    def input_active(self, track: str, active: bool) -> None:
        """A publisher came or went; from any thread."""
        target = self.tracks.get(track)
        if isinstance(target, VideoIn | AudioIn):
            target.publish(active)

    # --- a step ------------------------------------------------------------------------------------------------------

    def step(self) -> StepMade:
        """One turn of `stream`.

        Raises:
            StreamError: it raised, or what it yielded cannot be sent; the traceback is in the log.
        """
        observer = self.observer
        observer.step_began()
        try:
            value = self._next_value()
            waits = isinstance(value, WaitFor)
            emission = {} if value is None or waits else self._reuse.guarded(emission_of(value, self._outputs))
        except (StopIteration, StopAsyncIteration, GeneratorExit) as end:
            observer.step_dropped()
            if isinstance(end, GeneratorExit):  # the Session ends while the model waits for input
                raise
            self._end_observation()
            return StepMade({}, ended=True)
        except AUTHOR_ERRORS as error:
            self._end_observation(failed=True)
            log.exception("stream failed", model=self.definition.name)
            self._stream = None
            raise StreamError(stopped(error, self._class)) from error
        observer.step_made(emission)
        return StepMade(emission, waits=value if waits else None)

    def _next_value(self) -> Any:
        if self._stream is None:
            raise StopIteration
        if isinstance(self._stream, AsyncIterator):
            return self._loop.run(self._stream.__anext__())
        return next(self._stream)

    def _made(self, model: type[Model]) -> Model:
        """A new instance, loaded and warm; the one that serves is not touched."""
        hooks = definition_of(model).hooks
        if "stream" not in hooks:
            raise ModelLoadError(f"{model.__name__} has no stream; write `def stream(self):` with a yield in it")
        try:
            made = model()
            attach(made, self)
            if (hook := hooks.get("load")) is not None:
                self._run(made, "load", *(self._config,)[: hook.arguments])
            if "warmup" in hooks:
                self._run(made, "warmup")
        except AUTHOR_ERRORS as error:
            log.exception("model failed to load", model=definition_of(model).name)
            raise ModelLoadError(f"{model.__name__} failed to load: {described(error, model)}") from error
        return made

    def _recast(self, instance: Model, model: type[Model]) -> Model:
        """The instance as one of the newer class."""
        try:
            instance.__class__ = model
        except TypeError as error:  # such as another __slots__
            raise ModelLoadError(f"{model.__name__} cannot keep what was loaded ({error}); restart") from error
        attach(instance, self)
        return instance

    def _adopt(self, instance: Model) -> None:
        """Serve it from now on."""
        self._class, self.definition, self.model = type(instance), definition_of(type(instance)), instance
        self.tracks = tracks_of(instance)
        self._loaded = dict(instance.__dict__)
        self._sparse = SparseLog(log)  # what newly fails in a newer version is always logged

    def _begin_stream(self) -> Iterator[Any] | AsyncIterator[Any]:
        made = cast("Any", self.model).stream()
        if inspect.iscoroutine(made):
            made.close()
            raise UsageError("stream is async and has no yield; write `yield frame` in it")
        if not hasattr(made, "__next__") and not hasattr(made, "__anext__"):
            raise UsageError(f"stream returned a {type(made).__name__}; write it as a generator, with `yield frame`")
        return made

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        try:
            if inspect.isasyncgen(stream):
                self._loop.run(stream.aclose())
            elif inspect.isgenerator(stream):
                stream.close()
        except AUTHOR_ERRORS:  # such as a generator that yields while it is closed
            log.exception("stream failed to close")

    # --- ModelHost: what the model reaches for ------------------------------------------------------------------------

    def send(self, message: MessageOut, client: int | None, mark: SessionMark | None = None) -> None:
        self._outbox.send(message, client, mark)

    def progress(self, fraction: float, text: str) -> None:
        self._host.publish(Progress(fraction, text))

    def wait_input(self, queue: InputQueue, timeout: float | None) -> bool:
        self.observer.input_awaited(True)
        try:
            return self._host.wait_input(queue, timeout)
        finally:
            self.observer.input_awaited(False)

    # --- inner -------------------------------------------------------------------------------------------------------

    @property
    def input_queues(self) -> list[InputQueue]:
        """The queues of the input tracks."""
        return [track.queue for track in self.tracks.values() if isinstance(track, VideoIn | AudioIn)]

    @property
    def _outputs(self) -> dict[str, Track]:
        return {name: track for name, track in self.tracks.items() if isinstance(track, VideoOut | AudioOut)}

    def _client(self, info: ClientInfo) -> Client:
        known = self._session.clients.get(info.id) if self._session else None
        return known or Client(info, self, self._mark)

    def _answer_of(self, call: Call, client: Client) -> MessageOut | None:
        spec = self.definition.commands.get(call.command)
        if spec is None:
            raise InvalidCommandError(f"unknown command {call.command!r}")
        try:
            given = python_arguments(spec.schema, call.arguments)
            arguments = {name: for_author(value) for name, value in given.items()} if spec.schema.takes_files else given
            if spec.sets_param:
                setattr(self.model, spec.handler, arguments[spec.handler])
                return None
            reply = self._run(
                self.model, spec.handler, **arguments, **({"client": client} if spec.takes_client else {})
            )
            return None if reply is None else message_out(cast("Message", reply))
        except (CommandError, InvalidCommandError, UnresolvedUploadError):
            raise
        except AUTHOR_ERRORS as error:
            self._sparse.exception("command failed", apart=call.command, command=call.command)
            raise LivereactorError(INTERNAL, code="internal_error") from error

    def _guarded_hook(self, name: str, *arguments: Any) -> None:
        try:
            self._hook(name, *arguments)
        except AUTHOR_ERRORS:
            self._sparse.exception("hook failed", apart=name, hook=name)

    def _hook(self, name: str, *arguments: Any) -> None:
        if name in self.definition.hooks:
            self._run(self.model, name, *arguments)

    def _run(self, model: Model | None, method: str, *arguments: Any, **named: Any) -> Any:
        result = getattr(model, method)(*arguments, **named)
        return self._loop.run(result) if inspect.isawaitable(result) else result

    def _end_observation(self, *, failed: bool = False) -> None:
        observer, self.observer = self.observer, SessionObserver()
        observer.closed(failed=failed)

    def _end_session(self) -> None:
        self._end_observation()
        self._session = self._mark = None
        self._outbox.end()
        self._loop.end_session()
        structlog.contextvars.unbind_contextvars("session")

    def _reset(self) -> None:
        """Attributes as `load` left them, parameters, inputs and tracks as the class declares them.

        An object that `load` made and a Session changed within stays changed: mending it is what `open` is for.
        """
        if self.model is None:
            return
        self.model.__dict__.clear()
        self.model.__dict__.update(self._loaded)
        reset_params(self.model)
        for track in self.tracks.values():
            if isinstance(track, VideoIn | AudioIn | VideoOut):
                track.reset()
