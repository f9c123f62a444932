"""A Slot of a Worker: one Runtime, with its own instance of the model, that serves one Session at a time. Loop only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import structlog
from pydantic import ValidationError

from livereactor.base import spans
from livereactor.base.errors import LivereactorError, PeerError, UnavailableError, UsageError
from livereactor.base.tasks import TaskSet
from livereactor.engine.port import IceServer
from livereactor.protocol import link
from livereactor.protocol.http import IceServerBody, StartSession
from livereactor.runtime.session.events import SessionTransition
from livereactor.runtime.session.lifecycle import OPEN, SessionState
from livereactor.runtime.session.service import Runtime
from livereactor.runtime.worker.events import SlotBroken, SlotClosed, SlotMoved
from livereactor.runtime.worker.requests import call, refusal, relayed_app

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

log = structlog.get_logger("livereactor.worker")


class Slot:
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
                refused = self.runtime.begin(asked, ice_servers=_servers(asked.ice_servers))
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

    def end(self, session: str, reason: str, *, moderate: bool, quietly: bool) -> None:
        """End that Session if it runs in this Slot."""
        self.runtime.end(session, reason, moderate=moderate, quietly=quietly)

    def ask(self, request: link.Request, replied: Callable[[link.Reply], None]) -> None:
        """Answer a request in the background; `replied` is called once."""
        if self._asked >= AT_ONCE:
            text = f"{AT_ONCE} of {AT_ONCE} requests of this session wait for their answers; take those first"
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
