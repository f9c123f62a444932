"""The Session in progress: carries out what the Membership decides, hears the Stage, serves Connections and Peers.

The shell around `room.py`, and the middle of a Command's way: `connection.py`, here (may it?), `calls.py`, `stage.py`.
`runtime.py` is its door for HTTP. Loop only, but for what is marked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future

import structlog

from livereactor.base.changes import Changes
from livereactor.base.errors import (
    IllegalTransitionError,
    LivereactorError,
    ModelLoadError,
    UnavailableError,
    UsageError,
)
from livereactor.base.sparse_log import SparseLog
from livereactor.blobs.port import Blobs
from livereactor.engine.port import Channel, Engine
from livereactor.media.frames import Frame, Sound
from livereactor.protocol import messages as m
from livereactor.protocol.openapi import to_openapi
from livereactor.runtime.authoring.model import Model, definition_of
from livereactor.runtime.execution.model_thread import Stage
from livereactor.runtime.interfaces import (
    ClientInfo,
    LoadFailed,
    LoadFinished,
    MessageSent,
    ModelEvent,
    Progress,
    Role,
    SessionFailed,
    StepsDone,
    StreamEnded,
)
from livereactor.runtime.options import Options
from livereactor.runtime.outputs.outputs import Outputs
from livereactor.runtime.recording.recorder import Recorder
from livereactor.runtime.session import events as e
from livereactor.runtime.session.calls import Calls
from livereactor.runtime.session.data_channels import Connection, Connections
from livereactor.runtime.session.describing import capabilities
from livereactor.runtime.session.event_log import EventLog
from livereactor.runtime.session.lifecycle import (
    EndRequested,
    ModelBroken,
    ModelClosed,
    ModelLoaded,
    SessionRequested,
    SessionState,
)
from livereactor.runtime.session.membership import Membership
from livereactor.runtime.session.membership_loop import MembershipLoop
from livereactor.runtime.session.metrics import Metrics
from livereactor.runtime.session.peers import Peers
from livereactor.runtime.session.scope import SessionScope, start_of
from livereactor.runtime.session.steps import refused
from livereactor.runtime.session.transitions import SessionTransitions
from livereactor.runtime.session.uploads import Uploads

log = structlog.get_logger("livereactor.session")


class SessionShell:
    """One model, its Stage and Outputs, its Membership, and whoever is in it.

    Attributes:
        failure: why the last Session failed, for the operator and a page on loopback.
        opening: completes when the model has opened the Session.
        ended: completes when the process has to end, with the error that says why.
        reloading: a newer version of the class is on its way in.
        changes: stirred whenever the Session's state moved or somebody left.
    """

    def __init__(self, model: type[Model], *, engine: Engine, blobs: Blobs, options: Options) -> None:
        self.options, self.limits = options, options.limits
        self.metrics, self.event_log = Metrics(), EventLog()
        self.moves = SessionTransitions(self.metrics, self.event_log)
        self.uploads = Uploads(blobs, self.limits, options.upload_types, self.metrics.uploaded)
        self.outputs = Outputs(definition_of(model).outputs)
        self.metrics.watch_outputs(self.outputs.counters)
        self.recorder = Recorder(self.outputs, blobs, options.recorder, post=self._post)
        self.metrics.watch_recorder(self.recorder.counters)
        self.stage = Stage(
            model,
            sink=self.outputs,
            listener=lambda event: self._post(self._on_stage, event),
            config=options.config,
            path=options.config_path,
            limits=self.limits,
        )
        self.calls = Calls(self.stage, self.uploads, self.limits, self.metrics)
        self.peers = Peers(self, engine, options.peers, self.limits, self.outputs)
        self.connections = Connections()
        self.progress: Progress | None = None
        self.failure: str | None = None
        self.opening: Future[None] | None = None
        self.ended: asyncio.Future[LivereactorError | None]
        self.reloading, self._sessions = False, 0
        self.changes = Changes()
        self._tidying: asyncio.Task[None] | None = None  # kept, or it might be collected
        self._loop: asyncio.AbstractEventLoop
        self._room_loop = MembershipLoop(self._carry_out)
        self._sparse = SparseLog(log)
        self._scope = SessionScope(0, self._sparse)
        self.take(model)

    def take(self, model: type[Model]) -> None:
        """Everything that follows from the class; a Membership in `created`."""
        self.definition = definition_of(model)
        self.schema = self.definition.schema
        self.document = to_openapi(self.schema)
        idle = self.options.idle_timeout or self.definition.idle_timeout or 0.0
        outputs = [track.name for track in self.definition.outputs]
        inputs = list(self.definition.inputs)
        self._room_loop.enter(Membership(self.limits, outputs=outputs, inputs=inputs, idle_timeout=idle))
        self.peers.tracks = tuple(self.schema.tracks)

    def start(self) -> None:
        """Start loading the model."""
        self._loop = asyncio.get_running_loop()
        self.ended = self._loop.create_future()
        self.stage.start()

    def close(self) -> None:
        """Wake the Membership no more and let event streams end."""
        self._room_loop.close()
        self.event_log.close()

    @property
    def look(self) -> Membership:
        """The Membership, to be looked at."""
        return self._room_loop.room

    @property
    def is_settled(self) -> bool:
        """Neither loading, closing nor reloading: what is asked now can be answered now."""
        return self.look.state not in (SessionState.CREATED, SessionState.CLOSING) and not self.reloading

    def end(self, reason: str, *, moderate: bool = False, quietly: bool = False) -> None:
        """End the Session; without one, nothing happens. `quietly`: its clients are not told why."""
        if self.look.is_open():
            notice = bool(self.connections) and not quietly
            self.room(EndRequested(reason, notice=notice, moderate=moderate))

    def connect(self, connection: int, *, ours: bool, records: bool) -> None:
        """A Connection has a new offer: whatever it had before is closed silently (protocol 10.3)."""
        self._forget(connection)
        wire = Connection(connection, self, self.limits, ours=ours, records=records, log=self._scope.log)
        self.connections[connection] = wire
        self._scope.times.trace.offered(connection)
        self.metrics.connections(len(self.connections))

    # --- what Connections and Peers ask (ConnectionHost, PeersHost) ------------------------------------------------

    def room(self, event: e.MembershipEvent) -> None:
        self._room_loop.handle(event)

    def command(self, connection: Connection, command: m.Command) -> None:
        try:
            client = self._may_command(connection.number)
        except LivereactorError as error:
            connection.tell(m.Failure(command.request_id, error.code, error.message))
            return
        self.calls.command(connection, client, self.schema, command)

    def step(self, connection: Connection, request: m.RequestStep) -> None:
        session = self.look.session
        try:
            client = self._may_command(connection.number)
            if session is None or not session.stepped:
                raise UnavailableError("this session streams; start one with generation 'stepped'", code="NOT_READY")
        except LivereactorError as error:
            connection.tell(refused(request.request_id, error))
            return
        tracks = (self.definition.outputs, self.definition.inputs)
        self.calls.step(connection, client, self.schema, tracks, request)

    def _may_command(self, connection: int) -> ClientInfo:
        client = self._scope.clients.get(connection)
        try:
            self.room(e.CommandReceived(connection))
        except IllegalTransitionError:
            client = None
        if client is None:
            raise UnavailableError("the session has ended; connect again", code="session_ended")
        return client

    def uploaded(self, connection: int, upload_id: str) -> None:
        scope = self._scope
        client = scope.clients.get(connection)
        wanted = "uploaded" in self.definition.hooks and client is not None and client.role == "owner"
        if not wanted or not self.uploads.notice(upload_id):
            return
        scope.spawn(self.calls.uploaded(upload_id, scope.log))

    def schema_document(self) -> m.JsonObject:
        return self.document

    def capabilities_document(self) -> m.JsonObject:
        return capabilities(self.definition).to_body()

    def clip(self, connection: Connection, request: m.RequestClip | m.RequestRecording) -> None:
        self.recorder.answer(request, connection.tell)

    def client_stats(self, connection: int, stats: m.ClientStats) -> None:
        self.metrics.client(stats)
        self._scope.times.reported(stats, [track.name for track in self.definition.outputs])

    def answered(self, seconds: float) -> None:
        self.metrics.answered(seconds)

    def channel(self, connection: int, channel: Channel) -> None:
        if (wire := self.connections.get(connection)) is not None:
            wire.add_channel(channel)

    def feed(self, track: str, item: Frame | Sound) -> None:
        self.stage.feed(track, item)

    def may_feed(self, connection: int, track: str) -> bool:
        return self._scope.publishers.get(track) == connection

    def is_free(self, track: str) -> bool:
        return track not in self._scope.publishers

    # --- what the Stage tells: its thread, then the loop -----------------------------------------------------------

    def _post(self, work: Callable[..., None], *arguments: object) -> None:
        """Do it on the loop; from any thread."""
        try:
            self._loop.call_soon_threadsafe(work, *arguments)
        except RuntimeError:  # the loop has closed: nobody is left to be told
            return

    def _on_stage(self, event: ModelEvent) -> None:
        match event:
            case MessageSent(session=session) if session != self._scope.number:
                pass  # of a Session before: nobody of this one is meant
            case MessageSent(message=message, client=client):
                self.connections.tell(client, m.ModelMessage(message.type, message.data))
            case Progress():
                self.progress = event
                self.changes.stir()
                log.info("loading", progress=event.fraction, text=event.text)
            case LoadFinished(seconds=seconds):
                self.metrics.loaded(seconds)
                log.info("model loaded", model=self.definition.name, seconds=round(seconds, 3))
                self.room(ModelLoaded())
            case LoadFailed(reason=reason):
                self.failure = reason
                self.room(ModelBroken(reason))
                self._finish(ModelLoadError(reason))
            case SessionFailed(reason=reason, reusable=reusable):
                self.failure = reason
                self._scope.log.error("session failed", reason=reason)
                self.end("error")
                if not reusable and not self.options.reloads:
                    self._broken(reason)
            case StreamEnded() | StepsDone():
                self.end("stopped")

    def _broken(self, reason: str) -> None:
        """The model can serve nobody any more: the process has to be replaced (behaviour 21.23)."""
        self.failure = reason
        if self.look.state is not SessionState.TERMINATED:
            self.room(ModelBroken(reason))
        self._finish(UnavailableError(reason))

    # --- the Membership's effects ---------------------------------------------------------------------------------

    def _carry_out(self, effect: e.MembershipEffect) -> None:
        match effect:
            case e.ResumeOutput(connection=connection, track=track):
                self.outputs.resume(track, connection)
            case e.PauseOutput(connection=connection, track=track):
                self.outputs.pause(track, connection)
            case e.WantOutputs(tracks=tracks):
                self.stage.want(tracks)
                self.recorder.run(bool(tracks) or self.definition.run_without_viewers)
            case e.OpenInput(track=track, connection=publisher):
                self._scope.publishers[track] = publisher
                self.stage.input_active(track, True)
            case e.CloseInput(track=track):
                self._scope.publishers.pop(track, None)
                self.stage.input_active(track, False)
            case e.ProbeInputs(connection=connection):
                self.peers.probe(connection)
            case e.JoinModel(connection=connection, role=role):
                self._joined(connection, role)
            case e.LeaveModel(connection=connection):
                if (client := self._scope.clients.pop(connection, None)) is not None:
                    self.stage.leave(client)
            case e.GrantPublish(connection=connection, track=track, request_id=request):
                self.connections.tell(connection, m.PublishGranted(track, request))
            case e.RefusePublish(connection=connection):
                if (wire := self.connections.get(connection)) is not None:
                    wire.refuse_publish(effect)
            case e.AssumeFormat(connection=connection):
                if (wire := self.connections.get(connection)) is not None:
                    wire.assume_listener()
            case e.ClosePeer(connection=connection, reason=reason):
                self._dropped(connection, reason)
            case e.AnnounceEnd(reason=reason, moderate=moderate):
                self.calls.end()
                parting = m.Moderation("terminate", message=reason) if moderate else m.SessionEnded(reason)
                self.connections.tell(None, parting)
            case e.AnnounceTimeLeft(seconds_left=seconds):
                self.connections.tell(None, m.RuntimeMessage("timeWarning", {"seconds": seconds}))
            case e.OpenModel(session=session):
                self._open(session)
            case e.CloseModel(reason=reason):
                self._close(reason)
            case e.RecordTransition():
                self._state_moved(effect)
            case e.BecameLive():
                pass  # what was held leaves when the format is known, what was said is heard once it has joined

    def _open(self, asked: SessionRequested) -> None:
        self.failure = self.opening = None
        self._sessions += 1
        scope = self._scope = SessionScope(self._sessions, self._sparse, asked.id)
        self.peers.log = scope.log
        try:
            journal = self.recorder.begin(asked, self.definition, scope.log)
            self.uploads.begin(asked.id)
            self.calls.times = scope.times
            self.outputs.time(scope.times.timings, scope.times.trace)
            self.opening = self.stage.open(start_of(asked, scope, journal))
            scope.times.trace.opening(self.opening)
        except Exception:
            scope.log.exception("session not opened")
            self.end("error")
        else:
            self.opening.add_done_callback(lambda done: self._post(self._opened, scope, asked, done))

    def _opened(self, scope: SessionScope, asked: SessionRequested, done: Future[None]) -> None:
        """A Session that did not open ends; who asked for a start that the model refused ends it himself."""
        error = None if done.cancelled() else done.exception()
        if error is None or scope is not self._scope or (asked.starting and isinstance(error, UsageError)):
            return
        if not isinstance(error, LivereactorError):
            scope.log.error("session not opened", exc_info=error)
        self.end("error")

    def _close(self, reason: str) -> None:
        """The model tidies up; one that hangs longer than the exit timeout ends the process."""
        if (started := self.look.started) is not None:
            self.metrics.session_ended(reason, time.monotonic() - started)
        self.recorder.end()
        self.calls.end()
        self.peers.forget_session()
        self._scope.close()
        self._tidying = asyncio.create_task(self._tidy_up(reason, self._scope))

    async def _tidy_up(self, reason: str, scope: SessionScope) -> None:
        broken = await scope.tidied(self.stage, self.outputs, reason, self.limits.exit_timeout)
        if broken is not None:
            self._broken(broken)
            return
        try:
            await self.uploads.end()
        except Exception as error:  # the store is away: its files stay, unreachable, and the next user is served
            scope.log.error("uploads not erased", reason=str(error) or type(error).__name__)
        if self.look.state is SessionState.CLOSING:
            self.room(ModelClosed())
            self._scope = SessionScope(0, self._sparse)

    def _joined(self, connection: int, role: Role) -> None:
        client = ClientInfo(connection, role, time.time())
        self._scope.clients[connection] = client
        self._scope.times.trace.connected(connection)
        self.stage.join(client)
        self._scope.log.info("client joined", connection=connection, role=role)
        if (wire := self.connections.get(connection)) is not None:
            wire.join()

    def _dropped(self, connection: int, reason: str) -> None:
        self._forget(connection)
        self.metrics.connections(len(self.connections))
        self._scope.log.info("connection closed", connection=connection, reason=reason)
        self.changes.stir()

    def _forget(self, connection: int) -> None:
        if (wire := self.connections.pop(connection, None)) is not None:
            wire.close()
        self._scope.times.trace.dropped(connection)
        self.calls.forget(connection)
        self.peers.drop(connection)

    def _state_moved(self, moved: e.RecordTransition) -> None:
        asked = self.look.session  # that moves first, and opens then
        log = self._sparse.bind(session=asked.id) if asked else self._scope.log
        session = asked.id if asked else self._scope.id
        self.moves.moved(moved, session=session, started=self.look.started, log=log)
        self.changes.stir()

    def _finish(self, error: LivereactorError) -> None:
        if not self.ended.done():
            self.ended.set_result(error)
