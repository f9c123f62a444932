"""A Worker: a process that runs a model for a coordinator. It dials the coordinator, beats, and serves Sessions.

The shell around `link.py`: gives it events, applies its effects in order, wakes it at its deadline. Loop only. The
beats leave from this loop, with figures read from the Slots, so a process whose loop hangs falls silent. Each `Slot`
has a Runtime, with its own instance of the model, that serves one Session at a time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import structlog
from pydantic import ValidationError

from livereactor.base import spans
from livereactor.base.errors import LivereactorError, PeerError, UnauthorizedError, UnavailableError, UsageError
from livereactor.base.machine_loop import MachineLoop
from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import Changes, TaskSet
from livereactor.engine.port import IceServer
from livereactor.protocol import link
from livereactor.protocol.http import IceServerBody, StartSession
from livereactor.runtime.session.events import SessionTransition
from livereactor.runtime.session.lifecycle import OPEN, SessionState
from livereactor.runtime.session.service import Runtime
from livereactor.runtime.worker.events import (
    AllLoaded,
    CloseSocket,
    DrainRequested,
    EndProcess,
    EndSession,
    LinkEffect,
    LinkEvent,
    LoadProgressed,
    PassRequest,
    RefuseRequest,
    Send,
    SlotBroken,
    SlotClosed,
    SlotMoved,
    SocketClosed,
    SocketOpened,
    Start,
    TimedOut,
)
from livereactor.runtime.worker.link import WorkerLink
from livereactor.runtime.worker.requests import call, not_held, refusal, relayed_app
from livereactor.runtime.worker.socket import LinkSocket, WrongPlaceError, dial

log = structlog.get_logger("livereactor.worker")

AT_ONCE: Final = 64  # requests of one Session; its clients hold a few each
PATIENCE: Final = 30.0  # seconds for a request; the longest that is held on purpose is 25
# Reasons of an end that clients may read; any other reason is `stopped` to them.
REASONS: Final = frozenset(
    {"stopped", "timed_out", "max_duration", "idle", "evicted", "moderated", "error", "worker_lost", "start_refused"}
)
_PHASES: Final[Mapping[SessionState, Literal["waiting", "streaming", "orphaned", "closing"]]] = {
    SessionState.WAITING: "waiting",
    SessionState.STREAMING: "streaming",
    SessionState.ORPHANED: "orphaned",
    SessionState.CLOSING: "closing",
}


class WorkerSlot:
    """A Slot of this process.

    Args:
        n: its number.
        listener: called with every transition of the Session, and with the model's end.
    """

    def __init__(
        self, n: int, runtime: Runtime, listener: Callable[[SlotMoved | SlotClosed | SlotBroken], None]
    ) -> None:
        self.n, self.runtime, self._listener = n, runtime, listener
        self._app = relayed_app(runtime)
        self._tasks = TaskSet()
        self._asked = 0
        self._detail = ""  # why the Session ends, for its owner
        runtime.watch(self._moved)

    def start(self, session: str, body: Mapping[str, Any]) -> None:
        """Start a Session; on return it is open, or the listener knows that it is closed."""
        self._detail = ""
        try:
            asked = StartSession.model_validate({**body, "session_id": session})
            with spans.within(spans.parsed(str(body.get(spans.HEADER, "")))):
                refused = self.runtime.begin(
                    asked, ice_servers=_servers(asked.ice_servers), moderation=asked.moderation
                )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            self._listener(SlotClosed(self.n, session, "start_refused", f"{where}: {first['msg']}"))
        except LivereactorError as error:
            reason = "start_refused" if isinstance(error, UsageError | PeerError) else "error"
            log.warning("session not started", session=session, code=error.code, reason=error.message)
            self._listener(SlotClosed(self.n, session, reason, error.message))
        else:
            self._tasks.start(self._opened(refused))

    def ask(self, request: link.Request, replied: Callable[[link.Reply], None]) -> None:
        """Answer a request in the background; `replied` is called once."""
        if self._asked >= AT_ONCE:
            text = f"{AT_ONCE} of {AT_ONCE} requests of this session are waiting for answers; wait for those first"
            replied(refusal(request, UnavailableError(text, code="RATE_LIMITED")))
            return
        self._asked += 1
        self._tasks.start(self._answer(request, replied))

    def figures(self) -> dict[str, float]:
        """Return the numbers of open Sessions, of Connections, and of frames that the model has made."""
        runtime = self.runtime
        return {
            "sessions": runtime.state in OPEN,
            "connections": len(runtime.members.connections),
            "frames": runtime.frames,
        }

    async def aclose(self) -> bool:
        """End the Session and the model; False when it hangs."""
        self._tasks.cancel()
        return await self.runtime.aclose()

    async def _answer(self, request: link.Request, replied: Callable[[link.Reply], None]) -> None:
        try:
            replied(await call(self._app, request, patience=PATIENCE))
        finally:
            self._asked -= 1

    async def _opened(self, refused: Any) -> None:
        try:
            await refused
        except LivereactorError as error:  # the Session has been ended for it
            self._detail = error.message

    def _moved(self, moved: SessionTransition) -> None:
        session, after = moved.session, moved.after
        if after is SessionState.TERMINATED:
            self._listener(SlotBroken(self.n, self.runtime.failure or moved.reason))
        elif session is not None and (phase := _PHASES.get(after)) is not None:
            reason = _reason(moved.reason) if after is SessionState.CLOSING else ""
            self._listener(SlotMoved(self.n, session, phase, reason, seen=after is SessionState.STREAMING))
        elif session is not None and after is SessionState.READY:
            reason = _reason(self.runtime.members.end_reason or "stopped")
            detail = self._detail or (self.runtime.failure or "" if reason == "error" else "")
            self._listener(SlotClosed(self.n, session, reason, detail))


def _reason(given: str) -> str:
    return given if given in REASONS else "stopped"


def _servers(bodies: list[IceServerBody] | None) -> list[IceServer] | None:
    if bodies is None:
        return None
    return [
        IceServer(
            tuple(each.uris), *((each.credentials.username, each.credentials.password) if each.credentials else ())
        )
        for each in bodies
    ]


FIRST_PAUSE: Final = 0.05  # seconds between two attempts to dial, doubled up to
LONGEST_PAUSE: Final = 2.0
REPORT_EVERY: Final = 10.0  # seconds between two log lines that say that the coordinator is away
FLUSH: Final = 1.0  # seconds for the last frames to leave


class Worker:
    """The Worker of one process.

    Args:
        runtimes: one for each Slot, not started yet.
        url: of the coordinator, as clients use it.
        secret: the worker secret.
        make_link: gives the link for this moment (monotonic).
    """

    def __init__(
        self, runtimes: Sequence[Runtime], url: str, secret: str, make_link: Callable[[float], WorkerLink]
    ) -> None:
        self._url, self._secret = url, secret
        self._changes = Changes()
        self._link = make_link(time.monotonic())
        self._machine_loop = MachineLoop[LinkEvent, LinkEffect](self._apply, TimedOut, settled=self._changes.notify)
        self._machine_loop.enter(self._link)
        self._slots = [WorkerSlot(n, runtime, self._machine_loop.handle) for n, runtime in enumerate(runtimes)]
        self._started: list[WorkerSlot] = []
        self._socket: LinkSocket | None = None
        self._welcomed = False  # a coordinator has taken this process once
        self._quit: asyncio.Future[str | None]
        self._sparse = SparseLog(log)

    async def run(self) -> None:
        """Serve until the Worker is drained.

        Raises:
            UnauthorizedError, UsageError: no coordinator accepts this Worker.
            ModelLoadError: the model did not load.
            UnavailableError: the model cannot serve any more, or the coordinator was away for too long.
        """
        loop = asyncio.get_running_loop()
        self._quit = loop.create_future()
        work = [loop.create_task(self._load(), name="load"), loop.create_task(self._dial(), name="link")]
        for task in work:
            task.add_done_callback(self._stopped)
        self._machine_loop.arm()
        try:
            failure = await self._quit
        finally:
            await self._end(work)
        if failure is not None:
            raise self._reason(failure)

    def drain(self, grace: float) -> None:
        """Let running Sessions go on for up to `grace` seconds, accept no new one, then end."""
        self._machine_loop.handle(DrainRequested(grace))

    # --- the link ------------------------------------------------------------------------------------------------

    async def _dial(self) -> None:
        pause = 0.0
        away = _Away(self._url)
        while True:
            await self._changes.until(lambda: self._link.may_dial, None)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            began = time.monotonic()
            try:
                socket = await dial(self._url, self._secret)
            except (UnauthorizedError, WrongPlaceError, UnavailableError) as error:
                if not self._welcomed and not isinstance(error, UnavailableError):
                    raise
                away.report(error)
            else:
                await self._serve(socket, away)
            # At once after a socket that has lived: the coordinator restarts, or a proxy recycles its connections.
            lived = time.monotonic() - began > LONGEST_PAUSE
            pause = 0.0 if lived else min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE)

    async def _serve(self, socket: LinkSocket, away: _Away) -> None:
        self._socket = socket
        try:
            self._machine_loop.handle(SocketOpened())
            async for frame in socket.frames():
                if isinstance(frame, PeerError):
                    self._not_understood(frame)
                    continue
                if isinstance(frame, link.Welcome):
                    self._welcomed = True
                    away.over()
                if isinstance(frame, link.Refused):
                    self._sparse.warning("refused", apart=frame.code, code=frame.code, reason=frame.message)
                self._machine_loop.handle(frame)
        finally:
            self._socket = None
            self._machine_loop.handle(SocketClosed())
            await socket.aclose()

    def _not_understood(self, error: PeerError) -> None:
        if not self._welcomed:
            raise WrongPlaceError(f"{self._url} is not a livereactor coordinator ({error.message})")
        self._sparse.warning("invalid frame", reason=error.message)

    # --- effects -------------------------------------------------------------------------------------------------

    def _apply(self, effect: LinkEffect) -> None:
        match effect:
            case Send(frame=frame):
                self._send(frame)
            case Start(slot=slot, session=session, body=body):
                self._slots[slot].start(session, body)
            case EndSession(slot=slot, session=session, reason=reason):
                runtime = self._slots[slot].runtime
                runtime.end(session, reason, moderate=effect.moderate, quietly=effect.quietly)
            case PassRequest(request=request):
                self._slots[request.slot].ask(request, self._replying(self._socket))
            case RefuseRequest(request=request):
                self._send(not_held(request))
            case CloseSocket(reason=reason):
                log.info("link closed", reason=reason)
                if self._socket is not None:
                    self._socket.close_soon()
            case EndProcess(failure=failure):
                if not self._quit.done():
                    self._quit.set_result(failure)

    def _send(self, frame: link.FromWorker) -> None:
        if self._socket is None:
            return
        if isinstance(frame, link.Beat):
            frame.load = self._figures()
        if isinstance(frame, link.SessionReport):
            log.info("session reported", session=frame.session, phase=frame.phase, reason=frame.reason)
        self._socket.send(link.write(frame))

    def _replying(self, socket: LinkSocket | None) -> Callable[[link.Reply], None]:
        """Return a function that replies on the socket of the request; on another socket nobody waits for the reply."""

        def reply(answer: link.Reply) -> None:
            if socket is not None and socket is self._socket:
                socket.send(link.write(answer))

        return reply

    def _figures(self) -> dict[str, float]:
        figures = [slot.figures() for slot in self._slots]
        return {name: float(sum(each[name] for each in figures)) for name in figures[0]}

    # --- loading and the end -------------------------------------------------------------------------------------

    async def _load(self) -> None:
        """Load the Slots one after another: the first puts the weights where the others find them."""
        total = len(self._slots)
        for done, slot in enumerate(self._slots):
            self._started.append(slot)
            await slot.runtime.start()
            async for progress in slot.runtime.loading():
                self._machine_loop.handle(LoadProgressed((done + progress.fraction) / total, progress.text))
            if not slot.runtime.is_loaded:
                return  # the link knows, and ends this process
        self._machine_loop.handle(AllLoaded())

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """End the process with the error of a task that failed."""
        if not task.cancelled() and (error := task.exception()) is not None and not self._quit.done():
            self._quit.set_exception(error)

    async def _end(self, work: Sequence[asyncio.Task[None]]) -> None:
        self._machine_loop.close()
        if self._socket is not None:
            await self._socket.flush(FLUSH)
        for task in work:
            task.cancel()
        await asyncio.wait(work)
        clean = await asyncio.gather(*(slot.aclose() for slot in self._slots))
        if not all(clean):
            log.error("the model did not end in time and was abandoned")

    def _reason(self, failure: str) -> LivereactorError:
        for slot in self._started:
            ended = slot.runtime.ended
            if ended.done() and (error := ended.result()) is not None:
                return error
        return UnavailableError(failure)


class _Away:
    """Log lines that say that the coordinator is away, at once and then every ten seconds, and that it is back."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._since: float | None = None
        self._reported_at = -REPORT_EVERY

    def report(self, error: LivereactorError) -> None:
        now = time.monotonic()
        self._since = self._since or now
        if now - self._reported_at >= REPORT_EVERY:
            self._reported_at = now
            log.warning(
                "coordinator cannot be reached",
                reason=error.message,
                away_s=round(now - self._since),
                next_try=f"within {LONGEST_PAUSE:g} s",
            )

    def over(self) -> None:
        log.info("registered", coordinator=self._url)
        self._since, self._reported_at = None, -REPORT_EVERY
