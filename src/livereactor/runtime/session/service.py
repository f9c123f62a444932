"""The Runtime: one loaded model, served. What HTTP and `wiring.py` ask of it; the work is `session_shell.py`'s.

Loop only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

import structlog

from livereactor.base.errors import (
    ConflictError,
    LivereactorError,
    NotFoundError,
    PeerError,
    UnavailableError,
    UsageError,
)
from livereactor.base.ids import session_id
from livereactor.blobs.port import Blobs
from livereactor.engine.port import Candidate, Engine, IceServer
from livereactor.media.frames import Pixels
from livereactor.protocol import messages as m
from livereactor.protocol.http import Offer, StartSession, StopSession
from livereactor.protocol.stages import SessionStages
from livereactor.runtime.authoring.model import Model, definition_of
from livereactor.runtime.interfaces import Call, Progress, Role
from livereactor.runtime.options import Options
from livereactor.runtime.session.connection_ids import FLAT_CONNECTION, ConnectionIds
from livereactor.runtime.session.describing import descriptor
from livereactor.runtime.session.lifecycle import ModelLoaded, SessionRequested, SessionState
from livereactor.runtime.session.member import Offered
from livereactor.runtime.session.shell import SessionShell
from livereactor.runtime.session.steps import StepRefusedError, checked_calls
from livereactor.runtime.session.transitions import SessionTransition
from livereactor.runtime.session.uploads import Uploads, folder_of

ENGINE_CLOSE: Final = 1.0  # seconds

log = structlog.get_logger("livereactor.runtime")


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
        self.engine, self.blobs = engine, blobs
        self._shell = SessionShell(model, engine=engine, blobs=blobs, options=self.options)
        self.metrics, self.event_log = self._shell.metrics, self._shell.event_log
        self._numbers = ConnectionIds()
        self._makes_credentials = False  # for the relays of the Session that runs

    # --- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start loading the model and warm the engine up; both go on while HTTP answers already."""
        self._shell.start()
        await self.engine.start()

    async def loading(self) -> AsyncIterator[Progress]:
        """How loading goes on; ends when the model is there, or never will be."""
        told: Progress | None = None
        while True:
            await self._shell.changes.until(
                lambda: self._shell.progress is not told or self.state is not SessionState.CREATED, None
            )
            if self.state is not SessionState.CREATED:
                return
            if (told := self._shell.progress) is not None:
                yield told

    @property
    def ended(self) -> asyncio.Future[LivereactorError | None]:
        """Completes when the process has to end by itself, with the error that says why."""
        return self._shell.ended

    async def aclose(self) -> bool:
        """End the Session and everything else within the exit timeout; False when the model hangs."""
        shell, patience = self._shell, (self.limits.exit_timeout - 2 * ENGINE_CLOSE) / 2
        shell.end("stopped")
        await shell.changes.until(lambda: self.state is not SessionState.CLOSING, patience)
        shell.calls.end()
        await shell.peers.aclose()
        shell.close()
        # The last Segments are stored while the model ends.
        stopping = asyncio.to_thread(shell.stage.stop, patience)
        clean, _ = await asyncio.gather(stopping, shell.recorder.aclose(patience))
        shell.outputs.close()
        try:
            async with asyncio.timeout(ENGINE_CLOSE):
                await shell.uploads.end()
                await self.engine.aclose()
        except (LivereactorError, TimeoutError) as error:  # the process ends anyway
            log.warning("not closed in order", reason=str(error) or type(error).__name__)
        return clean

    async def become(self, model: type[Model], keep: bool) -> bool:
        """Serve a newer version of the class: the Session ends, its clients come back by themselves.

        Returns:
            False, with the reason in the log, where it does not load; the version before serves on as it was.
        """
        shell = self._shell
        shell.reloading = True
        shell.end("reloaded")
        try:
            settled = (SessionState.READY, SessionState.TERMINATED)
            await shell.changes.until(lambda: self.state in settled, self.limits.exit_timeout)
            await asyncio.wrap_future(shell.stage.become(model, keep=keep))
            shell.outputs.redeclare(definition_of(model).outputs)
            shell.take(model)
            shell.failure = None
            shell.room(ModelLoaded())
        except LivereactorError as error:
            log.error("not reloaded, the version before runs on", reason=error.message)
            shell.failure = error.message
            return False
        else:
            return True
        finally:
            shell.reloading = False
            shell.changes.stir()

    def watch(self, watcher: Callable[[SessionTransition], None]) -> None:
        """Call it, on the loop, with every move of the Session."""
        self._shell.moves.watchers.append(watcher)

    # --- what it says of itself ------------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        return self._shell.look.state

    @property
    def progress(self) -> Progress | None:
        """How far loading has come."""
        return self._shell.progress

    @property
    def end_reason(self) -> str | None:
        """Why the Session that ends, or the last one, does."""
        return self._shell.look.end_reason

    @property
    def connections(self) -> int:
        """How many Connections there are."""
        return len(self._shell.look.connections)

    @property
    def frames(self) -> float:
        """Frames that the model has given, of all tracks, since the start."""
        return sum(each.get("emitted", 0.0) for each in self._shell.outputs.counters().values())

    @property
    def ice_servers(self) -> Sequence[IceServer]:
        """What the Session's Peers and clients gather with; credentials made here are as fresh as can be."""
        running, relays = self._shell.look.session, self.options.relays
        if self._makes_credentials and relays is not None and running is not None:
            return (*self.options.peers.ice_servers, relays.server(running.id, now_at=time.time()))
        return self._shell.peers.config.ice_servers

    @property
    def failure(self) -> str | None:
        """Why the last Session failed, for the operator and a page on loopback."""
        return self._shell.failure

    @property
    def is_loaded(self) -> bool:
        """The model's `load` has ended well."""
        return self.state not in (SessionState.CREATED, SessionState.TERMINATED)

    def schema(self) -> dict[str, Any]:
        """The OpenAPI document; empty before the model is loaded (protocol 1.6)."""
        return dict(self._shell.document) if self.is_loaded else {}

    def track_map(self) -> dict[str, Any]:
        """The model's tracks as `POST …/connections` shows them, for information."""
        return {each.name: {"kind": each.kind, "direction": each.direction} for each in self._shell.schema.tracks}

    def describe(self) -> dict[str, Any]:
        """The descriptor of protocol 1.4, as of now."""
        shell = self._shell
        segments = shell.recorder.segments_of(shell.definition)
        return descriptor(shell.definition, self.state, shell.look.session, segments=segments)

    def newest_picture(self) -> Pixels | None:
        """The newest Frame of the model's first video output; None while there is none.

        Raises:
            NotFoundError: the model has no video output.
        """
        tracks = [each.name for each in self._shell.definition.outputs if each.kind == "video"]
        if not tracks:
            raise NotFoundError(f"model {self._shell.definition.name} has no video output, so there is no thumbnail")
        return self._shell.outputs.newest(tracks[0])

    async def figures(self) -> bytes:
        """What `GET /metrics` shows, the Peers' own figures sampled now."""
        for stats in await self._shell.peers.stats():
            self.metrics.peer(stats)
        return self.metrics.render()

    async def stages(self, session: str) -> SessionStages:
        """Where the time of the open Session goes; raises `NotFoundError` for any other."""
        self.must_be_open(session)
        peers = await self._shell.peers.stats()
        return self._shell.calls.times.told(session, peers, self._shell.outputs.pictures())

    # --- sessions ------------------------------------------------------------------------------------------------

    def must_be_open(self, session: str) -> None:
        """Raise `NotFoundError` unless this is the Session that can be joined now."""
        room = self._shell.look
        if not room.is_open() or room.session is None or room.session.id != session:
            raise NotFoundError(f"no open session {session[:64]!r}; start one with POST /start_session")

    def runs(self, session: str) -> bool:
        """Whether that Session is there, be it that it closes."""
        running = self._shell.look.session
        return running is not None and running.id == session

    async def start_session(self, body: StartSession) -> dict[str, Any]:
        """Start a Session, or come back to the one that runs; held while the model loads or another closes.

        Raises:
            UnavailableError: the model is not there in time, or is dead.
            ConflictError: the Session that runs is of the other generation.
            UsageError, PeerError: `starting_input` breaks the schema, or the model refused it.
        """
        if self.is_loaded:
            self._starting_calls(body)  # what is wrong is told at once
        await self._shell.changes.until(lambda: self._shell.is_settled, self.limits.answer_hold)
        if self._shell.look.is_open():
            return self._come_back(body)
        await self.begin(body)
        return self.describe()

    def begin(self, body: StartSession, *, ice_servers: Sequence[IceServer] | None = None) -> Awaitable[None]:
        """Start a Session at once, where there is none and the model is there.

        Args:
            ice_servers: for its Peers; None = the runtime's own.

        Returns:
            what raises `PeerError` where the model refuses the `starting_input`; the Session has ended then.

        Raises:
            UnavailableError: the model is not there, or serves another Session.
            UsageError, PeerError: `starting_input` breaks the schema.
        """
        if self.state is not SessionState.READY or self._shell.reloading:
            raise self._not_ready()
        asked = SessionRequested(
            body.session_id or session_id(),
            body.arguments,
            body.is_stepped,
            body.max_duration,
            body.reconnection_window,
            self._starting_calls(body),
            body.steps,
            body.unclaimed_window,
            body.account,
        )
        folder_of(asked.id)  # an id that cannot name a folder is refused before anything begins
        self._numbers.forget()
        self._makes_credentials = ice_servers is None
        if ice_servers is not None:
            self._shell.peers.gather_with(ice_servers)
        self._shell.room(asked)
        return self._started(self._shell.opening if asked.starting else None)

    async def stop_session(self, body: StopSession) -> None:
        """End the Session; without one, nothing happens."""
        self._shell.end("moderated" if body.moderate else (body.reason or "stopped"), moderate=body.moderate)

    def end(self, session: str, reason: str, *, moderate: bool = False, quietly: bool = False) -> None:
        """End that Session; nothing if it is not the one that runs. `quietly`: its clients are not told why."""
        running = self._shell.look.session
        if running is not None and running.id == session:
            self._shell.end("moderated" if moderate else reason, moderate=moderate, quietly=quietly)

    async def _started(self, opening: Future[None] | None) -> None:
        if opening is None:
            return
        try:
            await asyncio.wrap_future(opening)
        except UsageError as error:  # the model refused what it should start with
            self._shell.end("start_refused")
            raise PeerError(f"starting_input.{error.message}", code=error.code) from error

    def _come_back(self, body: StartSession) -> dict[str, Any]:
        """A reloaded page finds its Session; who wants another generation must not take this one for its own."""
        session = self._shell.look.session
        runs = "stepped" if session is not None and session.stepped else "streamed"
        asked = "stepped" if body.is_stepped else body.generation
        if asked is not None and asked != runs:
            raise ConflictError(f"a {runs} session is running; stop it before starting a {asked} one")
        return self.describe()

    def _starting_calls(self, body: StartSession) -> tuple[tuple[str, Call], ...]:
        starting = body.starting_input
        if starting is None:
            return ()
        commands = [m.Command(each.command, each.data) for each in starting.commands]
        try:
            calls = checked_calls(self._shell.schema, starting.state, commands)
        except StepRefusedError as error:
            raise PeerError(f"starting_input.{error.entry}: {error.message}", code=error.code) from error
        if calls.uploads:
            raise PeerError("starting_input: a session cannot start with files; upload them once it runs")
        return (*calls.state, *calls.commands)

    def _not_ready(self) -> UnavailableError:
        if self.state is SessionState.TERMINATED:
            return UnavailableError(f"the model is gone ({self.failure or 'it ended'}); start it again", retry_after=5)
        if self.state is SessionState.CLOSING:
            return UnavailableError("the last session is still closing; retry in 5 s", retry_after=5)
        progress = f" ({self.progress.fraction:.0%}, {self.progress.text})" if self.progress else ""
        return UnavailableError(f"the model is loading{progress}; retry in 5 s", code="MODEL_LOADING", retry_after=5)

    # --- signalling ----------------------------------------------------------------------------------------------

    def new_connection(self, *, caller: str = "") -> int:
        """A fresh Connection id of the caller's; raises `UnavailableError` where the Session is full."""
        room = self._shell.look
        room.check_room(None)
        return self._numbers.mint(caller, room.connections)

    def offer(
        self, connection: int, body: Offer, *, role: Role = "owner", records: bool = True, caller: str = ""
    ) -> None:
        """Take an offer; its answer is made in the background.

        Args:
            records: it may ask for Clips.
            caller: who asks, as the coordinator tells callers apart; what is his, nobody else may use.

        Raises:
            PeerError: not an offer that can be answered; nothing was changed.
            ConflictError: the Connection is somebody else's.
            UnavailableError: the Session is full.
        """
        self._must_be_theirs(connection, caller)
        description = self._shell.peers.check(body)
        self._shell.room(Offered(connection, role, flat=connection == FLAT_CONNECTION))
        self._numbers.took(connection, caller)
        self._shell.connect(connection, ours=body.client_info.is_livereactor, records=records)
        self._shell.peers.gather_with(self.ice_servers)
        self._shell.peers.negotiate(connection, body, description)

    async def answer(self, connection: int, *, caller: str = "") -> str | None:
        """The answer to the last offer, held for a while; None while it is not there.

        Raises:
            NotFoundError: no such Connection.
            ConflictError: it is somebody else's.
            LivereactorError: the offer could not be answered.
        """
        self._must_be_theirs(connection, caller)
        if not self._shell.peers.knows(connection):
            nobody_yet = self.state in (SessionState.WAITING, SessionState.ORPHANED)
            if self._numbers.is_minted(connection) or (connection == FLAT_CONNECTION and nobody_yet):
                return None
        return await self._shell.peers.answer(connection)

    async def candidates(self, connection: int, candidates: list[Candidate], *, caller: str = "") -> None:
        """Candidates for an offer that came or will come.

        Raises:
            ConflictError: the Connection is somebody else's.
            LimitError: more than anybody has.
        """
        self._must_be_theirs(connection, caller)
        await self._shell.peers.candidates(connection, candidates)

    def _must_be_theirs(self, connection: int, caller: str) -> None:
        self._numbers.check(connection, caller, self._shell.look.connections)

    # --- uploads -------------------------------------------------------------------------------------------------

    @property
    def uploads(self) -> Uploads:
        """Files that clients give to the Session."""
        return self._shell.uploads
