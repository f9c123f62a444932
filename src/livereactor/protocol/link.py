"""Messages between a worker and its coordinator over the worker's outbound WebSocket. Pure.

The Worker dials `GET /workers/link` with `Authorization: Bearer <worker secret>`; every text frame is one of these as
JSON. The socket carries two things: the lease (`Hello`, `Beat`, `Renewed`, `Assign`, `End`, `SessionReport`, `Bye`),
and the local mode of the protocol, request by request (`Request`, `Reply`), which the Worker hands to the same HTTP app
that `livereactor run` serves. Both directions keep their order: what follows a `Renewed` finds its Session started.

Accepting a Session is a renewal: on `Assign`, which is only a hint, the Worker sends a `Beat` that reports the Slot as
`accepting` under that fence, and starts the Session when the matching `Renewed` says `held`. So late, doubled and
reordered assignments do no harm.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from livereactor.base.errors import PeerError
from livereactor.protocol.http import Body

PATH: Final = "/workers/link"
FRAME_BYTES: Final = 2 * 1024 * 1024  # the largest body is 1 MiB, escaped in JSON a little more; a thumbnail is smaller
BEAT_EVERY: Final = 2.0  # seconds
LEASE: Final = 15.0  # seconds without a beat after which a Worker is lost: seven beats may be
FENCED: Final = "FENCED"  # code of the answer to a request about a Session that the Worker does not hold (any more)
SELF_FENCE: Final = 60.0  # seconds without an acknowledged beat after which a Worker ends its Sessions by itself
SlotPhase: TypeAlias = Literal["free", "accepting", "waiting", "streaming", "orphaned", "closing"]


class SlotReport(Body):
    """A slot as its worker sees it; `session` and `fence` are the last that it was given."""

    n: int = Field(ge=0, le=255)
    phase: SlotPhase = "free"
    session: str | None = None
    fence: int = Field(default=0, ge=0)


# --- Worker to coordinator ---------------------------------------------------------------------------------------


class Hello(Body):
    """The first frame of every socket. A process that comes back to its Sessions keeps its incarnation.

    `spec` is `ModelRecord.spec`; empty until the model's class is imported.
    """

    type: Literal["hello"] = "hello"
    worker: str = Field(min_length=1, max_length=64, pattern=r"^[\w.\-]+$")
    incarnation: str = Field(min_length=8, max_length=64)
    node: str = Field(default="", max_length=255)
    pid: int = 0
    pooled: bool = False
    model: str = Field(min_length=1, max_length=128)
    version: str = ""
    spec: dict[str, Any] = Field(default_factory=dict[str, Any])
    state: Literal["starting", "ready", "draining"] = "starting"
    slots: list[SlotReport] = Field(default_factory=list[SlotReport], min_length=1, max_length=256)


class Beat(Body):
    """A beat, every `BEAT_EVERY` seconds and at once after a change; `number` counts up within a socket."""

    type: Literal["beat"] = "beat"
    number: int
    state: Literal["starting", "ready", "draining"]
    progress: float | None = None
    text: str = Field(default="", max_length=500)
    load: dict[str, float] = Field(default_factory=dict[str, float])
    slots: list[SlotReport] = Field(default_factory=list[SlotReport], max_length=256)


class SessionReport(Body):
    """The session of a slot moved to a phase; `closed`, with its reason: the slot is empty again."""

    type: Literal["session"] = "session"
    slot: int
    session: str
    fence: int
    phase: Literal["waiting", "streaming", "orphaned", "closing", "closed"]
    reason: str = Field(default="", max_length=64)
    detail: str = Field(default="", max_length=500)  # what the model said, for its owner's eyes
    first_frame: bool = False


class Reply(Body):
    """The answer to the `Request` with this `id`: text in `body`, or other bytes in `base64`."""

    type: Literal["reply"] = "reply"
    id: int
    status: int
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    body: str = ""
    base64: str = ""


class Bye(Body):
    """The Worker ends; its Slots are empty."""

    type: Literal["bye"] = "bye"


# --- coordinator to Worker ---------------------------------------------------------------------------------------


class Welcome(Body):
    """The registration is valid. `held` lists the reported slots that are still the worker's own."""

    type: Literal["welcome"] = "welcome"
    held: list[int] = Field(default_factory=list[int])


class Refused(Body):
    """The registration or a frame is refused; `stale`: drop everything and register under a new incarnation."""

    type: Literal["refused"] = "refused"
    code: Literal["stale", "bad_frame", "unavailable"]
    message: str = ""


class Renewed(Body):
    """The coordinator accepted the beat `number`. Slots in `held` are the worker's under the fences it reported; others
    that it reported with a session are not (any more): it ends those sessions without a report."""

    type: Literal["renewed"] = "renewed"
    number: int
    held: list[int] = Field(default_factory=list[int])


class Assign(Body):
    """A hint that a slot has a session; `start` is the body of `start_session`."""

    type: Literal["assign"] = "assign"
    slot: int
    fence: int
    session: str
    start: dict[str, Any] = Field(default_factory=dict[str, Any])


class End(Body):
    """An order to end a session, with the reason for its clients; ignored if the slot holds another fence."""

    type: Literal["end"] = "end"
    slot: int
    fence: int
    session: str
    reason: str = "stopped"
    moderate: bool = False


class Request(Body):
    """A request of local mode. Refused 409 if the slot does not hold this fence; `fence` None: about no session.

    A connection of a `viewer` may send nothing; one with `records` false may not ask for clips. `caller` only tells
    callers apart: the connections of one are refused (409) to all others. `link` is the id of the share link that the
    caller came by; each link has a bound of its own.
    """

    type: Literal["request"] = "request"
    id: int
    slot: int = 0
    fence: int | None = None
    role: Literal["owner", "viewer"] = "owner"
    records: bool = True
    caller: str = Field(default="", max_length=64)
    link: str = Field(default="", max_length=64)
    method: str
    path: str
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    body: str = ""


class Drain(Body):
    """An order to finish sessions for up to `grace` seconds, take no new ones, then say `Bye` and end."""

    type: Literal["drain"] = "drain"
    grace: float = 30.0


FromWorker: TypeAlias = Hello | Beat | SessionReport | Reply | Bye
FromCoordinator: TypeAlias = Welcome | Refused | Renewed | Assign | End | Request | Drain
_UP: Final[TypeAdapter[FromWorker]] = TypeAdapter(Annotated[FromWorker, Field(discriminator="type")])
_DOWN: Final[TypeAdapter[FromCoordinator]] = TypeAdapter(Annotated[FromCoordinator, Field(discriminator="type")])


def read_from_worker(text: str | bytes) -> FromWorker:
    """Return a worker's frame; raises `PeerError` if it is invalid."""
    return _read(_UP, text)


def read_from_coordinator(text: str | bytes) -> FromCoordinator:
    """Return a coordinator's frame; raises `PeerError` if it is invalid."""
    return _read(_DOWN, text)


def write(frame: FromWorker | FromCoordinator) -> str:
    """Return the text of a frame."""
    return frame.model_dump_json(exclude_none=True)


def _read(adapter: TypeAdapter[Any], text: str | bytes) -> Any:
    if len(text) > FRAME_BYTES:
        raise PeerError(f"a frame of {len(text)} bytes exceeds {FRAME_BYTES}; send less at once")
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "frame"
        raise PeerError(f"link: {where[:80]}: {first['msg'][:200]}") from error
