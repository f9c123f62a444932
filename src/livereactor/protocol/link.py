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
    """Every `BEAT_EVERY` seconds, and at once when something of it changed; `number` counts up within a socket."""

    type: Literal["beat"] = "beat"
    number: int
    state: Literal["starting", "ready", "draining"]
    progress: float | None = None
    text: str = Field(default="", max_length=500)
    load: dict[str, float] = Field(default_factory=dict[str, float])
    slots: list[SlotReport] = Field(default_factory=list[SlotReport], max_length=256)


class SessionReport(Body):
    """A Session moved. `closed` with its reason: the Slot is empty again."""

    type: Literal["session"] = "session"
    slot: int
    session: str
    fence: int
    phase: Literal["waiting", "streaming", "orphaned", "closing", "closed"]
    reason: str = Field(default="", max_length=64)
    detail: str = Field(default="", max_length=500)  # what the model said, for its owner's eyes
    first_frame: bool = False


class Reply(Body):
    """The answer to the `Request` of that `id`; `body` is text, `base64` bytes that are none."""

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
    """The registration stands. `held` says which of the Slots reported are still its own."""

    type: Literal["welcome"] = "welcome"
    held: list[int] = Field(default_factory=list[int])


class Refused(Body):
    """The registration does not stand (`stale`: drop everything, come back with a new incarnation), or a bad frame."""

    type: Literal["refused"] = "refused"
    code: Literal["stale", "bad_frame", "unavailable"]
    message: str = ""


class Renewed(Body):
    """The beat of that number counts. Slots in `held` are the Worker's under the fences it reported; all others that it
    reported with a Session are not (any more): it ends what runs there without telling anybody."""

    type: Literal["renewed"] = "renewed"
    number: int
    held: list[int] = Field(default_factory=list[int])


class Assign(Body):
    """A hint that a Slot has a Session; `start` is the body of `start_session`."""

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
    """A local-mode request. Refused 409 where the Slot does not hold this fence; `fence` None: about no Session.

    A Connection offered by who is a `viewer` may send nothing; one by whom `records` is false, not ask for Clips.
    `caller` tells those who ask apart, and says no more of them: Connections of one are refused (409) to all others.
    """

    type: Literal["request"] = "request"
    id: int
    slot: int = 0
    fence: int | None = None
    role: Literal["owner", "viewer"] = "owner"
    records: bool = True
    caller: str = Field(default="", max_length=64)
    method: str
    path: str
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    body: str = ""


class Drain(Body):
    """Finish what runs for up to `grace` seconds, take nothing new, then say `Bye` and end."""

    type: Literal["drain"] = "drain"
    grace: float = 30.0


FromWorker: TypeAlias = Hello | Beat | SessionReport | Reply | Bye
FromCoordinator: TypeAlias = Welcome | Refused | Renewed | Assign | End | Request | Drain
_UP: Final[TypeAdapter[FromWorker]] = TypeAdapter(Annotated[FromWorker, Field(discriminator="type")])
_DOWN: Final[TypeAdapter[FromCoordinator]] = TypeAdapter(Annotated[FromCoordinator, Field(discriminator="type")])


def read_from_worker(text: str | bytes) -> FromWorker:
    """Raises `PeerError` for a frame that is none of ours."""
    return _read(_UP, text)


def read_from_coordinator(text: str | bytes) -> FromCoordinator:
    """Raises `PeerError` for a frame that is none of ours."""
    return _read(_DOWN, text)


def write(frame: FromWorker | FromCoordinator) -> str:
    """The text of a frame."""
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
