"""The Runtime: one loaded model with its Room, Peers, Outputs and Calls. The shell around `room.py`.

It tells the Room what happens and carries out what the Room decides. Loop only, but for what is marked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import structlog

from livereactor.base.errors import LivereactorError, ModelLoadError, NotFoundError, UnavailableError
from livereactor.base.ids import session_id
from livereactor.base.limits import Limits
from livereactor.blobs.port import Blobs
from livereactor.engine.port import Candidate, Channel, Engine, PeerConfig
from livereactor.media.frames import Frame, Sound
from livereactor.protocol import messages as m
from livereactor.protocol.http import Offer, StartSession, StopSession
from livereactor.protocol.openapi import to_openapi
from livereactor.runtime import room_events as e
from livereactor.runtime.authoring import Model, definition_of
from livereactor.runtime.calls import Calls
from livereactor.runtime.connection import Connection
from livereactor.runtime.describing import capabilities, descriptor
from livereactor.runtime.journal import Journal
from livereactor.runtime.member import Offered
from livereactor.runtime.metrics import Metrics
from livereactor.runtime.outputs import Outputs
from livereactor.runtime.peers import Peers
from livereactor.runtime.room import Room
from livereactor.runtime.room_loop import RoomLoop
from livereactor.runtime.seam import (
    ClientInfo,
    Loaded,
    LoadFailed,
    Progress,
    Role,
    Said,
    SessionFailed,
    SessionStart,
    StageEvent,
    StepsDone,
    StreamEnded,
)
from livereactor.runtime.session_life import (
    EndAsked,
    ModelBroken,
    ModelLoaded,
    SessionAsked,
    SessionState,
    StageClosed,
)
from livereactor.runtime.stage import Stage
from livereactor.runtime.steps import StepRefusedError, checked_calls
from livereactor.runtime.uploads import Uploads

FLAT_CONNECTION: Final = 1001  # the implicit Connection of old clients (protocol 1.12)
FIRST_MINTED, LAST_CONNECTION = 5000, 9999  # 1002 to 4999 are left to callers

log = structlog.get_logger("livereactor.runtime")


@dataclass(frozen=True, slots=True)
class Options:
    """How a Runtime serves.

    Attributes:
        limits: windows, sizes, counts.
        peers: how each Peer gathers.
        client_ice_servers: what `GET …/ice_servers` tells clients.
        config: what `load(self, config)` gets, and `config_path`, the file it came from.
        idle_timeout: seconds without a Command that end a Session; 0 = the model's own, or never.
    """

    limits: Limits = field(default_factory=Limits)
    peers: PeerConfig = field(default_factory=PeerConfig)
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    config_path: Path | None = None
    idle_timeout: float = 0.0


class Runtime:
    """One model, served.

    Args:
        model: the class.
        engine: makes Peers; started and closed here.
        blobs: where Uploads lie.
    """

    def __init__(self, model: type[Model], *, engine: Engine, blobs: Blobs, options: Options | None = None) -> None:
        self.options = options or Options()
        self.limits = self.options.limits
        self.engine = engine
        self.metrics, self.journal = Metrics(), Journal()
        self.uploads = Uploads(blobs, self.limits)
        self.outputs = Outputs(definition_of(model).outputs)
        self.metrics.watch_outputs(self.outputs.counters)
        self.stage = Stage(
            model,
            sink=self.outputs,
            listener=self._from_stage,
            config=self.options.config,
            path=self.options.config_path,
            limits=self.limits,
        )
        self.calls = Calls(self.stage, self.uploads, self.limits, self.metrics)
        self.progress: Progress | None = None
        self.failure: str | None = None  # why the last Session failed, for the operator and a page on loopback
        self.ended: asyncio.Future[LivereactorError | None]
        self._connections: dict[int, Connection] = {}
        self._clients: dict[int, ClientInfo] = {}
        self._publishers: dict[str, int] = {}  # read by threads of the engine
        self._moved = asyncio.Event()
        self._numbers = cycle(range(FIRST_MINTED, LAST_CONNECTION + 1))
        self._opening: Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._room_loop = RoomLoop(self._carry_out)
        self._read(model)

    def _read(self, model: type[Model]) -> None:
        """Everything that follows from the class."""
        self.definition = definition_of(model)
        self.schema = self.definition.schema
        self.document = to_openapi(self.schema)
        idle = self.options.idle_timeout or self.definition.idle_timeout or 0.0
        outputs = [track.name for track in self.definition.outputs]
        room = Room(self.limits, outputs=outputs, inputs=list(self.definition.inputs), idle_timeout=idle)
        self._room_loop.enter(room)
        self._peers = Peers(self, self.engine, self.options.peers, self.limits, self.schema.tracks)
        self._peers.outputs = self.outputs

    # --- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start loading the model and warm the engine up; both go on while HTTP answers already."""
        self._loop = asyncio.get_running_loop()
        self.ended = self._loop.create_future()
        self.stage.start()
        await self.engine.start()

    async def aclose(self) -> bool:
        """End the Session and everything else within the exit timeout; False when the model hangs."""
        if self._room_loop.room.is_open():
            await self.stop_session(StopSession(reason="stopped"))
        budget = self.limits.exit_timeout - 2.0
        await self._until(lambda: self.state is not SessionState.CLOSING, budget / 2)
        await self.calls.aclose()
        await self._peers.aclose()
        self._room_loop.close()
        clean = await asyncio.to_thread(self.stage.stop, budget / 2)
        self.outputs.close()
        await self.uploads.end()
        await self.engine.aclose()
        return clean

    async def become(self, model: type[Model], keep: bool) -> None:
        """Serve a newer version of the class: the Session ends, its clients come back by themselves."""
        if self._room_loop.room.is_open():
            self.room(EndAsked("reloaded", notice=bool(self._connections)))
        await self._until(lambda: self.state in (SessionState.READY, SessionState.TERMINATED), self.limits.exit_timeout)
        try:
            await asyncio.wrap_future(self.stage.become(model, keep=keep))
        except ModelLoadError as error:
            log.error("the newer version did not load", reason=error.message)
            self.failure = error.message
            return
        self.outputs.redeclare(definition_of(model).outputs)
        self._read(model)
        self._room_loop.handle(ModelLoaded())

    # --- sessions ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        return self._room_loop.room.state

    @property
    def session(self) -> SessionAsked | None:
        """The open Session."""
        return self._room_loop.room.session

    @property
    def is_loaded(self) -> bool:
        """The model's `load` has ended well."""
        return self.state not in (SessionState.CREATED, SessionState.TERMINATED)

    def describe(self) -> dict[str, Any]:
        """The descriptor of protocol 1.4, as of now."""
        return descriptor(self.definition, self.state, self.session)

    async def start_session(self, body: StartSession) -> dict[str, Any]:
        """Start a Session, or come back to the one that runs; held while the model loads or another closes.

        Raises:
            UnavailableError: the model is not there in time, or is dead.
            StepRefusedError: `starting_input` breaks the schema.
        """
        blocked = (SessionState.CREATED, SessionState.CLOSING)
        await self._until(lambda: self.state not in blocked, self.limits.answer_hold)
        if self._room_loop.room.is_open():
            return self.describe()
        if self.state is not SessionState.READY:
            raise self._not_ready()
        starting = body.starting_input
        calls = checked_calls(
            self.schema,
            starting.state if starting else {},
            [m.Command(each.command, each.data) for each in starting.commands] if starting else [],
        )
        if calls.uploads:
            raise StepRefusedError(
                "starting_input", "a session cannot start with files; upload them first", "step_refused"
            )
        asked = SessionAsked(
            body.session_id or session_id(),
            body.arguments,
            body.is_stepped,
            body.max_duration,
            body.reconnection_window,
            (*calls.state, *calls.commands),
            body.steps,
        )
        self._room_loop.handle(asked)
        if asked.starting and self._opening is not None:
            await asyncio.wrap_future(self._opening)
        return self.describe()

    async def stop_session(self, body: StopSession) -> None:
        """End the Session; without one, nothing happens."""
        if self._room_loop.room.is_open():
            reason = "moderated" if body.moderate else (body.reason or "stopped")
            self._room_loop.handle(EndAsked(reason, notice=bool(self._connections), moderate=body.moderate))

    def _not_ready(self) -> UnavailableError:
        if self.state is SessionState.TERMINATED:
            return UnavailableError(f"the model is gone ({self.failure or 'it ended'}); start it again", retry_after=5)
        progress = f" ({self.progress.fraction:.0%}, {self.progress.text})" if self.progress else ""
        return UnavailableError(f"the model is loading{progress}; retry in 5 s", code="MODEL_LOADING", retry_after=5)

    # --- signalling ----------------------------------------------------------------------------------------------

    def new_connection(self) -> int:
        """A fresh Connection id."""
        if not self._room_loop.room.is_open():
            raise NotFoundError("no session is open; start one with POST /start_session")
        self._room_loop.room.check_room(None)
        used = self._room_loop.room.connections
        return next(number for number in self._numbers if number not in used)

    def offer(self, connection: int, body: Offer, *, role: Role = "owner") -> None:
        """Take an offer; its answer is made in the background.

        Raises:
            PeerError: not an offer that can be answered; nothing was changed.
            IllegalTransitionError, UnavailableError: as the Room says.
        """
        description = self._peers.check(body)
        self._room_loop.handle(Offered(connection, role, flat=connection == FLAT_CONNECTION))
        self._forget(connection)  # a client that comes back before its loss was seen (protocol 10.3)
        self._connections[connection] = Connection(connection, self, self.limits, ours=body.client_info.is_livereactor)
        self.metrics.connections(len(self._connections))
        self._peers.negotiate(connection, body, description)

    async def answer(self, connection: int) -> str | None:
        """The answer to the last offer, held for a while; None while it is not there."""
        return await self._peers.answer(connection)

    async def candidates(self, connection: int, candidates: list[Candidate]) -> None:
        """Candidates for an offer that came or will come."""
        await self._peers.candidates(connection, candidates)

    async def write_upload(self, upload: str, query: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
        """The bytes of an upload; see `Uploads.write`."""
        before = self.uploads.bytes_written
        await self.uploads.write(upload, query, chunks)
        self.metrics.uploaded(self.uploads.bytes_written - before)

    # --- what Connections and Peers ask (ConnectionHost, PeersHost) ------------------------------------------------

    def room(self, event: e.RoomEvent) -> None:
        self._room_loop.handle(event)

    def command(self, connection: Connection, command: m.Command) -> None:
        try:
            self._room_loop.handle(e.CommandAsked(connection.number))
        except LivereactorError as error:
            connection.tell(m.Failure(command.request_id, error.code, error.message))
            return
        self.calls.command(connection, self._clients[connection.number], self.schema, command)

    def step(self, connection: Connection, request: m.RequestStep) -> None:
        session, client = self.session, self._clients.get(connection.number)
        if session is None or client is None or not session.stepped:
            text = "this session streams; start one with generation 'stepped'"
            connection.tell(m.StepResult(request.request_id, 0, failure=m.StepFailure.NOT_READY, error=text))
            return
        self._room_loop.handle(e.CommandAsked(connection.number))
        tracks = (self.definition.outputs, self.definition.inputs)
        self.calls.step(connection, client, self.schema, tracks, request)

    def uploaded(self, connection: int, upload_id: str) -> None:
        async def tell() -> None:
            try:
                self.stage.uploaded(await self.uploads.file(upload_id))
            except LivereactorError as error:
                log.info("upload notice refused", connection=connection, reason=error.message)

        self._spawn(tell())

    def schema_document(self) -> m.JsonObject:
        return self.document

    def capabilities_document(self) -> m.JsonObject:
        return capabilities(self.definition).to_body()

    def client_stats(self, connection: int, stats: m.ClientStats) -> None:
        self.metrics.client(stats)

    def channel(self, connection: int, channel: Channel) -> None:
        if (wire := self._connections.get(connection)) is not None:
            wire.add_channel(channel)

    def feed(self, track: str, item: Frame | Sound) -> None:
        self.stage.feed(track, item)

    def may_feed(self, connection: int, track: str) -> bool:
        return self._publishers.get(track) == connection

    def is_free(self, track: str) -> bool:
        return track not in self._publishers

    # --- what the Stage tells: its thread, then the loop -----------------------------------------------------------

    def _from_stage(self, event: StageEvent) -> None:
        try:
            self._loop.call_soon_threadsafe(self._on_stage, event)
        except RuntimeError:  # the loop has closed: nobody is left to be told
            return

    def _on_stage(self, event: StageEvent) -> None:
        match event:
            case Said(message=message, client=client):
                said = m.ModelMessage(message.type, message.data)
                self._tell_all(said) if client is None else self._tell(client, said)
            case Progress():
                self.progress = event
                log.info("loading", progress=event.fraction, text=event.text)
            case Loaded(seconds=seconds):
                self.metrics.loaded(seconds)
                log.info("model loaded", model=self.definition.name, seconds=round(seconds, 3))
                self._room_loop.handle(ModelLoaded())
            case LoadFailed(reason=reason):
                self.failure = reason
                self._room_loop.handle(ModelBroken(reason))
                self._finish(ModelLoadError(reason))
            case SessionFailed(reason=reason):
                self.failure = reason
                log.error("session failed", reason=reason)
                self._end("error")
            case StreamEnded() | StepsDone():
                self._end("stopped")

    def _end(self, reason: str) -> None:
        if self._room_loop.room.is_open():
            self._room_loop.handle(EndAsked(reason, notice=bool(self._connections)))

    # --- the Room's effects ----------------------------------------------------------------------------------------

    def _carry_out(self, effect: e.RoomEffect) -> None:
        match effect:
            case e.ResumeOutput(connection=connection, track=track):
                self.outputs.resume(track, connection)
            case e.PauseOutput(connection=connection, track=track):
                self.outputs.pause(track, connection)
            case e.WantOutputs(tracks=tracks):
                self.stage.want(tracks)
            case e.OpenInput(track=track, connection=publisher):
                self._publishers[track] = publisher
                self.stage.input_active(track, True)
            case e.CloseInput(track=track):
                self._publishers.pop(track, None)
                self.stage.input_active(track, False)
            case e.ProbeInputs(connection=connection):
                self._peers.probe(connection)
            case e.JoinStage(connection=connection, role=role):
                self._joined(connection, role)
            case e.LeaveStage(connection=connection):
                if (client := self._clients.pop(connection, None)) is not None:
                    self.stage.leave(client)
            case e.GrantPublish(connection=connection, track=track, request_id=request):
                self._tell(connection, m.PublishGranted(track, request))
            case e.RefusePublish(connection=connection, track=track, request_id=request, message=text):
                self._tell(connection, m.PublishRefused(track, request, text))
            case e.AssumeFormat(connection=connection):
                self._connections[connection].assume_listener()
            case e.ClosePeer(connection=connection, reason=reason):
                self._dropped(connection, reason)
            case e.TellEnd(reason=reason, moderate=moderate):
                self._tell_all(m.Moderation("terminate", message=reason) if moderate else m.SessionEnded(reason))
            case e.TellTime(seconds_left=seconds):
                self._tell_all(m.RuntimeMessage("timeWarning", {"seconds": seconds}))
            case e.OpenStage(session=session):
                self._open(session)
            case e.CloseStage(reason=reason):
                self._close(reason)
            case e.StateMoved():
                self._state_moved(effect)
            case e.MadeLive():
                pass  # what is held leaves when the format is known

    def _open(self, asked: SessionAsked) -> None:
        self.failure = None
        structlog.contextvars.bind_contextvars(session=asked.id)
        self.uploads.begin(asked.id)
        start = SessionStart(asked.id, asked.extra_args, asked.stepped, asked.starting, asked.steps)
        self._opening = self.stage.open(start)

    def _close(self, reason: str) -> None:
        """The model tidies up; one that hangs longer than the exit timeout ends the process."""
        self._count_session(reason)
        self._peers.forget_candidates()

        async def close() -> None:
            try:
                await asyncio.wait_for(asyncio.wrap_future(self.stage.close(reason)), self.limits.exit_timeout)
            except TimeoutError:
                self.failure = f"the model did not end its step within {self.limits.exit_timeout:g} s"
                self._room_loop.handle(ModelBroken(self.failure))
                self._finish(UnavailableError(self.failure))
                return
            except LivereactorError as error:  # the Stage has stopped: the process ends anyway
                log.info("stage already stopped", reason=error.message)
            self.outputs.reset()
            await self.uploads.end()
            self._room_loop.handle(StageClosed())

        self._spawn(close())

    def _joined(self, connection: int, role: Role) -> None:
        client = ClientInfo(connection, role, time.time())
        self._clients[connection] = client
        self.stage.join(client)
        log.info("client joined", connection=connection, role=role)

    def _dropped(self, connection: int, reason: str) -> None:
        self._forget(connection)
        self.metrics.connections(len(self._connections))
        log.info("connection closed", connection=connection, reason=reason)

    def _forget(self, connection: int) -> None:
        if (wire := self._connections.pop(connection, None)) is not None:
            wire.close()
        self._peers.drop(connection)

    def _tell(self, connection: int, message: m.ServerMessage) -> None:
        if (wire := self._connections.get(connection)) is not None:
            wire.tell(message)

    def _tell_all(self, message: m.ServerMessage) -> None:
        for connection in list(self._connections.values()):
            connection.tell(message)

    def _state_moved(self, moved: e.StateMoved) -> None:
        started = self._room_loop.room.started
        if moved.before is SessionState.WAITING and moved.after is SessionState.STREAMING and started is not None:
            self.metrics.first_client(time.monotonic() - started)
        self.journal.record(moved.before.value, moved.after.value, moved.reason)
        log.info("session state", before=moved.before.value, after=moved.after.value, reason=moved.reason)
        waiting, self._moved = self._moved, asyncio.Event()
        waiting.set()

    def _count_session(self, reason: str) -> None:
        if (started := self._room_loop.room.started) is not None:
            self.metrics.session_ended(reason, time.monotonic() - started)

    async def _until(self, condition: Callable[[], bool], timeout: float) -> None:
        """Wait for a state, `timeout` seconds at most; the caller looks at what came of it."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    await self._moved.wait()
        except TimeoutError:
            return

    def _finish(self, error: LivereactorError | None) -> None:
        if not self.ended.done():
            self.ended.set_result(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
