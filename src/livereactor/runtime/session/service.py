"""The session service: one loaded model, served to one Session at a time.

HTTP routes, a Worker and `wiring` call it; the model's thread, the data channels and the Peers report to it. Whatever
happens becomes an event for the membership machine, and the service applies the effects that the machine returns. It is
one class because callers on both sides share that one sequence of events. Loop only, except where a method says "any
thread".

A command passes these modules: `data_channels` (decoded), `service` (who sent it), `membership` (may it), `calls`
(checked and converted, once), then `model_thread`, `command_queue` and `runner`, which calls the handler.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final

import structlog

from livereactor.base.errors import (
    ConflictError,
    IllegalTransitionError,
    LivereactorError,
    ModelLoadError,
    NotFoundError,
    PeerError,
    UnavailableError,
    UsageError,
)
from livereactor.base.ids import session_id
from livereactor.base.machine_loop import MachineLoop
from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import Changes
from livereactor.blobs.port import Blobs
from livereactor.engine.port import Candidate, Channel, Engine, IceServer
from livereactor.media.frames import Pixels
from livereactor.protocol import messages as m
from livereactor.protocol.http import ModerationTerms, Offer, StartSession, StopSession
from livereactor.protocol.openapi import to_openapi
from livereactor.protocol.stages import SessionStages
from livereactor.runtime.authoring.model import Model, definition_of
from livereactor.runtime.execution.model_thread import ModelThread
from livereactor.runtime.interfaces import (
    ClientInfo,
    LoadFailed,
    LoadFinished,
    MessageSent,
    ModelEvent,
    Progress,
    Role,
    SessionFailed,
    SessionObserver,
    StepsDone,
    StreamEnded,
)
from livereactor.runtime.options import RuntimeOptions
from livereactor.runtime.outputs.outputs import Outputs
from livereactor.runtime.recording.options import segments_of
from livereactor.runtime.recording.recorder import Recorder
from livereactor.runtime.replay.journal_writer import JournalObserver
from livereactor.runtime.session import events as e
from livereactor.runtime.session.allowance import Allowances, bounds_of
from livereactor.runtime.session.calls import Calls, soon
from livereactor.runtime.session.data_channels import DataChannels
from livereactor.runtime.session.describing import capabilities, descriptor
from livereactor.runtime.session.early_candidates import Sender
from livereactor.runtime.session.lifecycle import (
    EndRequested,
    ModelBroken,
    ModelClosed,
    ModelLoaded,
    SessionRequested,
    SessionState,
)
from livereactor.runtime.session.member import FLAT_CONNECTION, ConnectionIds, Offered, rank_of
from livereactor.runtime.session.membership import Membership
from livereactor.runtime.session.metrics import EventLog, Metrics
from livereactor.runtime.session.moderation import Moderation
from livereactor.runtime.session.peers import Peers
from livereactor.runtime.session.running import RunningSession
from livereactor.runtime.session.steps import refused, starting_calls
from livereactor.runtime.session.uploads import Uploads, folder_of

ENGINE_CLOSE: Final = 1.0  # seconds
FAULT_CHARACTERS: Final = 64  # of what a client calls its error, for the log

log = structlog.get_logger("livereactor.session")


class Runtime:
    """A model, served.

    Args:
        model: the class.
        engine: makes Peers; started and closed here.
        blobs: where Uploads are stored.

    Attributes:
        progress: how far loading has come.
        failure: why the last Session failed, for the operator and a page on loopback.
        ended: completes when the process has to end by itself, with the error that says why.
        changes: notified whenever the Session's state changed or a Connection left.
        channels: the data channels of each Connection.
    """

    def __init__(
        self, model: type[Model], *, engine: Engine, blobs: Blobs, options: RuntimeOptions | None = None
    ) -> None:
        self.options = options or RuntimeOptions()
        self.limits = self.options.limits
        self.engine, self.blobs = engine, blobs
        self.metrics, self.event_log = Metrics(), EventLog()
        self.uploads = Uploads(blobs, self.limits, self.options.upload_types, self.metrics.uploaded.inc)
        self.outputs = Outputs(definition_of(model).outputs)
        self.recorder = Recorder(self.outputs, blobs, self.options.recorder, post=self.post)
        self.metrics.watch_outputs(self.outputs.counters)
        self.metrics.watch_recorder(self.recorder.counters)
        self.model_thread = ModelThread(
            model,
            sink=self.outputs,
            listener=lambda event: self.post(self.model_event, event),
            config=self.options.config,
            path=self.options.config_path,
            limits=self.limits,
        )
        self.moderation = Moderation(self.options.moderation, definition_of(model).name, self.limits)
        self.calls = Calls(
            self.model_thread, self.uploads, self.limits, self.metrics, self.moderation, notify=self._moderated
        )
        self.peers = Peers(
            self,
            engine,
            self.options.peers,
            self.limits,
            self.outputs,
            feed=self.model_thread.feed,
            answered=self.metrics.answered.observe,
        )
        self.channels: dict[int, DataChannels] = {}
        self.progress: Progress | None = None
        self.failure: str | None = None
        self.ended: asyncio.Future[LivereactorError | None]
        self.changes = Changes()
        self._allowances = Allowances()
        self._connection_ids = ConnectionIds(self.limits.minted_ids)
        self._makes_credentials = False  # for the relays of the running Session
        self._watchers: list[Callable[[e.SessionTransition], None]] = []
        self._loop: asyncio.AbstractEventLoop
        self._machine_loop = MachineLoop[e.MembershipEvent, e.MembershipEffect](self._apply, e.TimedOut)
        self._sparse = SparseLog(log)
        self._reloading, self._sessions = False, 0
        self._running = RunningSession(0, self._sparse)
        self._closing: asyncio.Task[None] | None = None  # kept, or it might be collected
        self._adopt(model)

    # --- life of the process -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start loading the model and warm the engine up; both go on while HTTP is answered already."""
        self._loop = asyncio.get_running_loop()
        self.ended = self._loop.create_future()
        self.model_thread.start()
        await self.engine.start()

    async def loading(self) -> AsyncIterator[Progress]:
        """Yield each step of loading; the iterator ends when the model has loaded, or never will."""
        seen: Progress | None = None
        while True:
            await self.changes.until(lambda: self.progress is not seen or self.state is not SessionState.CREATED, None)
            if self.state is not SessionState.CREATED:
                return
            if (seen := self.progress) is not None:
                yield seen

    async def aclose(self) -> bool:
        """End the Session and everything else within the exit timeout; False when the model hangs."""
        patience = (self.limits.exit_timeout - 2 * ENGINE_CLOSE) / 2
        self._end("stopped")
        await self.changes.until(lambda: self.state is not SessionState.CLOSING, patience)
        self.calls.end()
        await self.peers.aclose()
        self._machine_loop.close()
        self.event_log.close()
        # The last Segments are stored while the model ends.
        stopping = asyncio.to_thread(self.model_thread.stop, patience)
        clean, _ = await asyncio.gather(stopping, self.recorder.aclose(patience))
        self.outputs.close()
        try:
            async with asyncio.timeout(ENGINE_CLOSE):
                await self.uploads.end()
                await self.engine.aclose()
        except (LivereactorError, TimeoutError) as error:  # the process ends anyway
            log.warning("not closed cleanly", reason=str(error) or type(error).__name__)
        return clean

    async def reload(self, model: type[Model], keep: bool) -> bool:
        """Serve a newer version of the class. The Session ends first; its clients come back by themselves.

        Returns:
            False, with the reason in the log, where the newer version does not load; the older one serves on.
        """
        self._reloading = True
        self._end("reloaded")
        try:
            ready = (SessionState.READY, SessionState.TERMINATED)
            await self.changes.until(lambda: self.state in ready, self.limits.exit_timeout)
            await asyncio.wrap_future(self.model_thread.reload(model, keep=keep))
            self.outputs.redeclare(definition_of(model).outputs)
            self._adopt(model)
            self.failure = None
            self.dispatch(ModelLoaded())
        except LivereactorError as error:
            log.error("not reloaded; the previous version keeps running", reason=error.message)
            self.failure = error.message
            return False
        else:
            return True
        finally:
            self._reloading = False
            self.changes.notify()

    def _adopt(self, model: type[Model]) -> None:
        """Set what follows from the class, with a membership machine in `created`."""
        self.definition = definition_of(model)
        self._document = m.SchemaDocument(to_openapi(self.definition.schema))
        self.peers.tracks = tuple(self.definition.schema.tracks)
        self.members = Membership(
            self.limits,
            outputs=[track.name for track in self.definition.outputs],
            inputs=list(self.definition.inputs),
            idle_timeout=self.options.idle_timeout or self.definition.idle_timeout or 0.0,
        )
        self._machine_loop.enter(self.members)

    def watch(self, watcher: Callable[[e.SessionTransition], None]) -> None:
        """Call `watcher`, on the loop, with every transition of the Session; it must not raise."""
        self._watchers.append(watcher)

    # --- state, for reading ------------------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        """The Session's state."""
        return self.members.state

    @property
    def frames(self) -> float:
        """The number of Frames that the model has given since the start, of all tracks."""
        return sum(each.get("emitted", 0.0) for each in self.outputs.counters().values())

    @property
    def ice_servers(self) -> Sequence[IceServer]:
        """The STUN and TURN servers of the Session's Peers and clients; credentials made here start now."""
        running, relays = self.members.session, self.options.relays
        if self._makes_credentials and relays is not None and running is not None:
            return (*self.options.peers.ice_servers, relays.server(running.id, now_at=time.time()))
        return self.peers.config.ice_servers

    @property
    def is_loaded(self) -> bool:
        """Whether the model's `load` has ended well."""
        return self.state not in (SessionState.CREATED, SessionState.TERMINATED)

    def schema(self) -> dict[str, Any]:
        """Return the model's OpenAPI document; empty before the model has loaded."""
        return dict(self._document.openapi) if self.is_loaded else {}

    def track_map(self) -> dict[str, Any]:
        """Return the model's tracks as `POST …/connections` shows them, for information."""
        return {each.name: {"kind": each.kind, "direction": each.direction} for each in self.definition.schema.tracks}

    def describe(self) -> dict[str, Any]:
        """Return the session descriptor as of now."""
        segments = segments_of(self.options.recorder, self.definition.outputs)
        return descriptor(self.definition, self.state, self.members.session, segments=segments)

    def newest_picture(self) -> Pixels | None:
        """Return the newest Frame of the model's first video output; None before the first one.

        Raises:
            NotFoundError: the model has no video output.
        """
        tracks = [each.name for each in self.definition.outputs if each.kind == "video"]
        if not tracks:
            raise NotFoundError(f"model {self.definition.name} has no video output, so there is no thumbnail")
        return self.outputs.newest(tracks[0])

    async def render_metrics(self) -> bytes:
        """Return the text of `GET /metrics`, with a fresh sample of the Peers."""
        for stats in await self.peers.stats():
            self.metrics.peer(stats)
        return self.metrics.render()

    async def stages(self, session: str) -> SessionStages:
        """Return where the time of the open Session goes; raises `NotFoundError` for any other."""
        self.must_be_open(session)
        return self._running.times.report(session, await self.peers.stats(), self.outputs.pictures())

    # --- starting and ending Sessions --------------------------------------------------------------------------------

    def must_be_open(self, session: str) -> None:
        """Raise `NotFoundError` unless this is the Session that can be joined now."""
        if not self.members.is_open() or not self.runs(session):
            raise NotFoundError(f"no open session {session[:64]!r}; start one with POST /start_session")

    def runs(self, session: str) -> bool:
        """Return whether that Session is here, open or closing."""
        running = self.members.session
        return running is not None and running.id == session

    async def start_session(self, body: StartSession) -> dict[str, Any]:
        """Start a Session, or return to the running one. Waits while the model loads or another Session closes.

        Raises:
            UnavailableError: the model is not ready in time, or has stopped.
            ConflictError: the running Session is of the other generation.
            ModeratedError: a moderator refused what it would start with.
            UsageError, PeerError: `starting_input` breaks the schema, or the model refused it.
        """
        if self.is_loaded:
            starting_calls(self.definition.schema, body.starting_input)  # an error in it is reported at once
        await self.changes.until(lambda: self._answers_now, self.limits.answer_hold)
        if not self.members.is_open():
            await self.moderation.must_allow_start(body)
        if self.members.is_open():
            self._must_match(body)
        else:
            await self.begin(body)
        return self.describe()

    def begin(
        self,
        body: StartSession,
        *,
        ice_servers: Sequence[IceServer] | None = None,
        moderation: ModerationTerms | None = None,
    ) -> Awaitable[None]:
        """Start a Session at once.

        Args:
            ice_servers: for its Peers; None = the runtime's own.
            moderation: the terms of whoever relays the Session; those of the runtime's options come first.

        Returns:
            An awaitable that raises `PeerError` where the model refuses the `starting_input`; the Session ends then.

        Raises:
            UnavailableError: the model is not ready, or serves another Session.
            UsageError, PeerError: `starting_input` breaks the schema.
        """
        if self.state is not SessionState.READY or self._reloading:
            raise self._not_ready()
        request = SessionRequested(
            body.session_id or session_id(),
            body.arguments,
            body.is_stepped,
            body.max_duration,
            body.reconnection_window,
            starting_calls(self.definition.schema, body.starting_input),
            body.steps,
            body.unclaimed_window,
            body.account,
        )
        folder_of(request.id)  # an id that cannot name a folder is refused before anything begins
        self._connection_ids.forget()
        self._allowances.forget()
        self._makes_credentials = ice_servers is None
        if ice_servers is not None:
            self.peers.gather_with(ice_servers)
        self.moderation.begin(request.id, request.account, moderation, self.definition.schema)
        self.dispatch(request)
        return self._started(self._running.opening if request.starting else None)

    async def stop_session(self, body: StopSession) -> None:
        """End the Session; nothing happens where none is open."""
        self._end("moderated" if body.moderate else (body.reason or "stopped"), moderate=body.moderate)

    def end(self, session: str, reason: str, *, moderate: bool = False, quietly: bool = False) -> None:
        """End that Session; nothing happens where it does not run. `quietly`: its clients get no reason."""
        if self.runs(session):
            self._end("moderated" if moderate else reason, moderate=moderate, quietly=quietly)

    def _end(self, reason: str, *, moderate: bool = False, quietly: bool = False) -> None:
        if self.members.is_open():
            notice = bool(self.channels) and not quietly
            self.dispatch(EndRequested(reason, notice=notice, moderate=moderate))

    @property
    def _answers_now(self) -> bool:
        """Neither loading, closing nor reloading: a request to start can be answered."""
        return self.state not in (SessionState.CREATED, SessionState.CLOSING) and not self._reloading

    async def _started(self, opening: Future[None] | None) -> None:
        if opening is None:
            return
        try:
            await asyncio.wrap_future(opening)
        except UsageError as error:  # the model refused what it should start with
            self._end("start_refused")
            raise PeerError(f"starting_input.{error.message}", code=error.code) from error

    def _must_match(self, body: StartSession) -> None:
        """Let a reloaded page find its Session, and refuse a client that wants the other generation."""
        session = self.members.session
        runs = "stepped" if session is not None and session.stepped else "streamed"
        asked = "stepped" if body.is_stepped else body.generation
        if asked is not None and asked != runs:
            raise ConflictError(f"a {runs} session is running; stop it before starting a {asked} one")

    def _not_ready(self) -> UnavailableError:
        if self.state is SessionState.TERMINATED:
            return UnavailableError(
                f"the model has stopped ({self.failure or 'it ended'}); restart its process", retry_after=5
            )
        if self.state is SessionState.CLOSING:
            return UnavailableError("the last session is still closing; retry in 5 s", retry_after=5)
        progress = f" ({self.progress.fraction:.0%}, {self.progress.text})" if self.progress else ""
        return UnavailableError(f"the model is loading{progress}; retry in 5 s", code="MODEL_LOADING", retry_after=5)

    # --- signalling --------------------------------------------------------------------------------------------------

    def new_connection(self, *, role: Role = "owner", caller: str = "", link: str = "") -> int:
        """Return a fresh connection id for the caller; raises `UnavailableError` where it would get no place."""
        self.members.check_place(None, role, link)
        return self._connection_ids.mint(caller, self.members.connections)

    def offer(
        self,
        connection: int,
        body: Offer,
        *,
        role: Role = "owner",
        records: bool = True,
        caller: str = "",
        link: str = "",
    ) -> None:
        """Accept an offer; its answer is made in the background.

        Args:
            records: the Connection may ask for Clips.
            caller: the client, as the coordinator tells clients apart; only this client may use the Connection.
            link: the share link that the client came by; "" = none.

        Raises:
            PeerError: not an offer that can be answered; nothing has changed.
            ConflictError: the Connection is another client's.
            UnavailableError: the Session is full, or too many of its Peers are still closing.
        """
        self._connection_ids.check(connection, caller, self.members.connections)
        sender = Sender(caller, rank_of(role, link))
        self.members.check_place(connection, role, link)  # costs less than reading the offer, which may be long
        description = self.peers.check(body, sender)
        self.dispatch(Offered(connection, role, link, flat=connection == FLAT_CONNECTION))
        self._connection_ids.claim(connection, caller)
        self._forget(connection)  # a new offer replaces whatever transport the Connection had, without a notice
        session = self.members.session
        bounds = bounds_of(self.limits, role, stepped=session is not None and session.stepped, link=link)
        client = (role, link, caller or connection)
        self.channels[connection] = channels = DataChannels(
            connection,
            self,
            self.limits,
            role=role,
            allowance=self._allowances.take(client, bounds, time.monotonic()),
            is_ours=body.client_info.is_livereactor,
            may_record=records,
            log=self._running.log,
            leaves=lambda allowance: self._allowances.keep(client, allowance),
        )
        self._running.times.trace.offered(connection)
        self.metrics.connections.set(len(self.channels))
        self.peers.gather_with(self.ice_servers)
        self.peers.negotiate(connection, body, description, channels.receiving(self.peers.config), sender=sender)

    async def answer(self, connection: int, *, caller: str = "") -> str | None:
        """Return the answer to the last offer; waits for a while, and returns None where there is none yet.

        Raises:
            NotFoundError: no such Connection.
            ConflictError: the Connection is another client's.
            LivereactorError: the offer could not be answered.
        """
        self._connection_ids.check(connection, caller, self.members.connections)
        if not self.peers.knows(connection):
            nobody_yet = self.state in (SessionState.WAITING, SessionState.ORPHANED)
            if self._connection_ids.is_minted(connection) or (connection == FLAT_CONNECTION and nobody_yet):
                return None
        return await self.peers.answer(connection)

    async def candidates(
        self, connection: int, candidates: list[Candidate], *, role: Role = "owner", caller: str = "", link: str = ""
    ) -> None:
        """Add candidates to an offer that came or will come; see `offer` for the client's `role`, `caller` and `link`.

        Raises:
            ConflictError: the Connection is another client's.
            LimitError: more candidates than any client has.
        """
        self._connection_ids.check(connection, caller, self.members.connections)
        await self.peers.candidates(connection, candidates, Sender(caller, rank_of(role, link)))

    # --- events: from Peers, data channels and the model's thread ----------------------------------------------------

    def dispatch(self, event: e.MembershipEvent) -> None:
        """Give an event to the membership machine and apply its effects; raises what the machine raises."""
        self._machine_loop.handle(event)

    def add_channel(self, connection: int, channel: Channel) -> None:
        """Add a channel that the Connection's client has opened."""
        if (channels := self.channels.get(connection)) is not None:
            channels.add(channel)

    def receive(self, channels: DataChannels, message: m.ClientMessage) -> None:
        """Act on a client's message; raises what the membership machine raises."""
        connection = channels.connection
        match message:
            case m.Command():
                self._command(channels, message)
            case m.RequestStep():
                self._step(channels, message)
            case m.ResumeTrack(name=track):
                self.dispatch(e.ResumeRequested(connection, track))
            case m.PauseTrack(name=track):
                self.dispatch(e.PauseRequested(connection, track))
            case m.PublishTrack(name=track, request_id=request_id):
                self.dispatch(e.PublishRequested(connection, track, request_id))
            case m.UnpublishTrack(name=track):
                self.dispatch(e.UnpublishRequested(connection, track))
            case m.Ping():
                if channels.is_ours:  # other clients do not expect an answer
                    channels.send(m.Pong())
            case m.ClientStats():
                self.metrics.client(message)
                self._running.times.add_client_stats(message, [track.name for track in self.definition.outputs])
            case m.FileUploaded(file=file):
                self._file_uploaded(connection, file.upload_id)
            case m.RequestSchema(request_id=request_id):
                channels.send(replace(self._document, request_id=request_id))
            case m.RequestCapabilities():
                channels.send(m.ModelCapabilities(capabilities(self.definition).to_body()))
            case m.RequestClip() | m.RequestRecording():
                if channels.may_record:
                    self.recorder.answer(message, channels.send)
                else:
                    channels.refuse_recording(message.request_id)
            case m.PeerFault(code=code):
                channels.log.info("client reports an error", connection=connection, code=str(code)[:FAULT_CHARACTERS])

    def _command(self, channels: DataChannels, command: m.Command) -> None:
        try:
            client = self._commanding(channels.connection)
        except LivereactorError as error:
            channels.answer(m.Failure(command.request_id, error.code, error.message))
            return
        self.calls.command(channels, client, self.definition.schema, command)

    def _step(self, channels: DataChannels, request: m.RequestStep) -> None:
        session = self.members.session
        try:
            client = self._commanding(channels.connection)
            if session is None or not session.stepped:
                raise UnavailableError("this session streams; start one with generation 'stepped'", code="NOT_READY")
        except LivereactorError as error:
            channels.answer(refused(request.request_id, error))
            return
        tracks = (self.definition.outputs, self.definition.inputs)
        self.calls.step(channels, client, self.definition.schema, tracks, request)

    def _commanding(self, connection: int) -> ClientInfo:
        """Return the client that gives a command; raises where it may not, or the Session has ended."""
        client = self._running.clients.get(connection)
        try:
            if effects := self.members.command_received(connection, time.monotonic()):
                self._machine_loop.apply(effects)
        except IllegalTransitionError:
            client = None
        if client is None:
            raise UnavailableError("the session has ended; connect again", code="session_ended")
        return client

    def _file_uploaded(self, connection: int, upload: str) -> None:
        client = self._running.clients.get(connection)
        wanted = "uploaded" in self.definition.hooks and client is not None and client.role == "owner"
        if wanted and self.uploads.notice(upload):
            self._running.tasks.start(self.calls.uploaded(upload, connection, self._running.log))

    def _moderated(self, connection: int, notice: m.Moderation) -> None:
        """Act on a notice of moderation for a Connection."""
        if notice.action != "terminate":
            self._send(connection, notice)
        elif self.members.is_open():
            self.moderation.offended(connection, notice)
            self._end("moderated", moderate=True)

    def post(self, work: Callable[..., None], *arguments: object) -> None:
        """Do `work` on the loop. Any thread."""
        soon(self._loop, work, *arguments)

    def model_event(self, event: ModelEvent) -> None:
        """Act on an event of the model's thread."""
        match event:
            case MessageSent(session=session) if session != self._running.number:
                pass  # of an earlier Session, so not for the clients of this one
            case MessageSent(message=message, client=client):
                self._send(client, m.ModelMessage(message.type, message.data))
            case Progress():
                self.progress = event
                self.changes.notify()
                log.info("loading", progress=event.fraction, text=event.text)
            case LoadFinished(seconds=seconds):
                self.metrics.loaded.set(seconds)
                log.info("model loaded", model=self.definition.name, seconds=round(seconds, 3))
                self.dispatch(ModelLoaded())
            case LoadFailed(reason=reason):
                self.failure = reason
                self.dispatch(ModelBroken(reason))
                self._finish(ModelLoadError(reason))
            case SessionFailed(reason=reason, reusable=reusable):
                self.failure = reason
                self._running.log.error("session failed", reason=reason)
                self._end("error")
                if not reusable and not self.options.reloads:
                    self._broken(reason)
            case StreamEnded() | StepsDone():
                self._end("stopped")

    def _broken(self, reason: str) -> None:
        """End: the model cannot serve any more, so its process has to be replaced."""
        self.failure = reason
        if self.state is not SessionState.TERMINATED:
            self.dispatch(ModelBroken(reason))
        self._finish(UnavailableError(reason))

    def _finish(self, error: LivereactorError) -> None:
        if not self.ended.done():
            self.ended.set_result(error)

    # --- effects of the membership machine ---------------------------------------------------------------------------

    def _apply(self, effect: e.MembershipEffect) -> None:
        match effect:
            case e.ResumeOutput(connection=connection, track=track):
                self.outputs.resume(track, connection)
            case e.PauseOutput(connection=connection, track=track):
                self.outputs.pause(track, connection)
            case e.WantOutputs(tracks=tracks):
                self.model_thread.want(tracks)
                self.recorder.run(bool(tracks) or self.definition.run_without_viewers)
            case e.OpenInput(track=track, connection=publisher):
                self.peers.open_input(track, publisher)
                self.model_thread.runner.input_active(track, True)
            case e.CloseInput(track=track):
                self.peers.close_input(track)
                self.model_thread.runner.input_active(track, False)
            case e.ProbeInputs(connection=connection):
                self.peers.probe(connection)
            case e.JoinModel(connection=connection, role=role):
                self._join(connection, role)
            case e.LeaveModel(connection=connection):
                if (client := self._running.clients.pop(connection, None)) is not None:
                    self.model_thread.leave(client)
            case e.GrantPublish(connection=connection, track=track, request_id=request):
                self._send(connection, m.PublishGranted(track, request))
            case e.RefusePublish(connection=connection):
                if (channels := self.channels.get(connection)) is not None:
                    channels.refuse_publish(effect)
            case e.AssumeFormat(connection=connection):
                if (channels := self.channels.get(connection)) is not None:
                    channels.assume_v0()
            case e.ClosePeer(connection=connection, reason=reason):
                self._disconnect(connection, reason)
            case e.AnnounceEnd(reason=reason, moderate=moderate):
                self.calls.end()
                self._announce_end(reason, moderate=moderate)
            case e.AnnounceDisplaced(connection=connection):
                self._send(connection, m.SessionEnded("displaced"))
            case e.AnnounceTimeLeft(seconds_left=seconds):
                self._send(None, m.RuntimeMessage("timeWarning", {"seconds": seconds}))
            case e.OpenModel(session=session):
                self._open_model(session)
            case e.CloseModel(reason=reason):
                self._close_model(reason)
            case e.RecordTransition():
                self._record_transition(effect)
            case e.BecameLive():
                pass  # held messages leave when the format is known; early ones are read once the client has joined

    def _announce_end(self, reason: str, *, moderate: bool) -> None:
        for connection in list(self.channels):
            moderated = self.moderation.end_notice(connection, reason) if moderate else None
            self._send(connection, moderated or m.SessionEnded(reason))

    def _send(self, connection: int | None, message: m.ServerMessage) -> None:
        """Send to one Connection, if it is there, or to all where `connection` is None."""
        for channels in list(self.channels.values()) if connection is None else [self.channels.get(connection)]:
            if channels is not None:
                channels.send(message)

    def _open_model(self, request: SessionRequested) -> None:
        self.failure = None
        self._sessions += 1
        running = self._running = RunningSession(self._sessions, self._sparse, request.id)
        self.peers.log = running.log
        try:
            journal = self.recorder.begin(
                request.id, request.account, self.definition, stepped=request.stepped, log=running.log
            )
            observer = (
                SessionObserver() if journal is None else JournalObserver(self.definition, self.options.config, journal)
            )
            self.uploads.begin(request.id)
            self.calls.times = running.times
            self.outputs.time(running.times.timings, running.times.trace.origin)
            running.opening = self.model_thread.open(running.start(request, observer))
            running.times.trace.opening(running.opening)
        except Exception:
            running.log.exception("session not opened")
            self._end("error")
        else:
            running.opening.add_done_callback(lambda done: self.post(self._opened, running, request, done))

    def _opened(self, running: RunningSession, request: SessionRequested, done: Future[None]) -> None:
        """End a Session that did not open. Where the model refused the `starting_input`, `_started` ends it."""
        error = None if done.cancelled() else done.exception()
        if error is None or running is not self._running or (request.starting and isinstance(error, UsageError)):
            return
        if not isinstance(error, LivereactorError):
            running.log.error("session not opened", exc_info=error)
        self._end("error")

    def _close_model(self, reason: str) -> None:
        if (started := self.members.started) is not None:
            self.metrics.session_ended(reason, time.monotonic() - started)
        self.recorder.end()
        self.calls.end()
        self.peers.forget_session()
        self._running.tasks.cancel()
        self._closing = asyncio.create_task(self._close_session(reason, self._running))

    async def _close_session(self, reason: str, running: RunningSession) -> None:
        broken = await running.close_model(self.model_thread, self.outputs, reason, self.limits.exit_timeout)
        if broken is not None:
            self._broken(broken)
            return
        try:
            await self.uploads.end()
        except Exception as error:  # the store is away: its files stay, unreachable, and the next client is served
            running.log.error("uploads not erased", reason=str(error) or type(error).__name__)
        if self.state is SessionState.CLOSING:
            self.dispatch(ModelClosed())
            self._running = RunningSession(0, self._sparse)

    def _join(self, connection: int, role: Role) -> None:
        client = ClientInfo(connection, role, time.time())
        self._running.clients[connection] = client
        self._running.times.trace.connected(connection)
        self.model_thread.join(client)
        self._running.log.info("client joined", connection=connection, role=role)
        if (channels := self.channels.get(connection)) is not None:
            channels.read_early()

    def _disconnect(self, connection: int, reason: str) -> None:
        self._forget(connection)
        self.metrics.connections.set(len(self.channels))
        self._running.log.info("connection closed", connection=connection, reason=reason)
        self.changes.notify()

    def _forget(self, connection: int) -> None:
        """Close the Connection's channels and Peer, and drop its waiting calls."""
        if (channels := self.channels.pop(connection, None)) is not None:
            channels.close()
        self._running.times.trace.dropped(connection)
        self.calls.forget(connection)
        self.peers.drop(connection)

    def _record_transition(self, move: e.RecordTransition) -> None:
        """Report a transition to the event log, the metrics, the log and the watchers."""
        requested, before, after = self.members.session, move.before, move.after
        # The transition comes first; the model is opened, and `_running` made, by the next effect.
        session = requested.id if requested else self._running.id
        session_log = self._sparse.bind(session=session) if requested else self._running.log
        started = self.members.started
        if before is SessionState.WAITING and after is SessionState.STREAMING and started is not None:
            self.metrics.first_client.observe(time.monotonic() - started)
        self.event_log.record(before.value, after.value, move.reason)
        apart = f"{before.value} {after.value}"
        session_log.info("session state", apart=apart, before=before.value, after=after.value, reason=move.reason)
        for watcher in self._watchers:
            watcher(e.SessionTransition(session, before, after, move.reason))
        self.changes.notify()
