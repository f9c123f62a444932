"""Events and effects of the membership machine: frozen data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from livereactor.runtime.interfaces import Role
from livereactor.runtime.session.lifecycle import (
    EndRequested,
    ModelBroken,
    ModelClosed,
    ModelLoaded,
    SessionRequested,
    SessionState,
)
from livereactor.runtime.session.member import DataOpened, Offered, TransportUp

# --- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TransportLost:
    """The peer of a Connection failed, closed, or could not be made."""

    connection: int
    reason: str


@dataclass(frozen=True, slots=True)
class ControlOpened:
    """The channel `control` has opened: this client resumes and publishes by itself."""

    connection: int


@dataclass(frozen=True, slots=True)
class PublishRequested:
    """The client wants to publish an input Track; the outcome repeats `request_id`."""

    connection: int
    track: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class UnpublishRequested:
    """The client publishes the Track no more."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """The client wants to receive this output Track."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class PauseRequested:
    """The client wants to receive this output Track no more."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class MediaArrived:
    """Media of an input Track came from a client that cannot ask: the media asks to publish."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The machine's `deadline()` has passed."""


MembershipEvent: TypeAlias = (
    ModelLoaded
    | ModelBroken
    | SessionRequested
    | EndRequested
    | ModelClosed
    | Offered
    | TransportUp
    | TransportLost
    | DataOpened
    | ControlOpened
    | PublishRequested
    | UnpublishRequested
    | ResumeRequested
    | PauseRequested
    | MediaArrived
    | TimedOut
)

# --- effects -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenModel:
    """Open the model for this Session."""

    session: SessionRequested


@dataclass(frozen=True, slots=True)
class CloseModel:
    """Close the Session in the model, and drop its outputs, uploads and signalling; `ModelClosed` follows."""

    reason: str


@dataclass(frozen=True, slots=True)
class AnnounceEnd:
    """Tell every Connection that the Session ends; it has `lifecycle.NOTICE_TIME` to leave."""

    reason: str
    moderate: bool


@dataclass(frozen=True, slots=True)
class AnnounceTimeLeft:
    """Tell every Connection that `max_duration` ends the Session in `seconds_left`."""

    seconds_left: float


@dataclass(frozen=True, slots=True)
class ClosePeer:
    """Close this Connection's Peer, and drop the Connection."""

    connection: int
    reason: str


@dataclass(frozen=True, slots=True)
class JoinModel:
    """Tell the model that this client has joined."""

    connection: int
    role: Role


@dataclass(frozen=True, slots=True)
class LeaveModel:
    """Tell the model that this client has left."""

    connection: int


@dataclass(frozen=True, slots=True)
class BecameLive:
    """Transport and `data` are open: messages held for this Connection may leave."""

    connection: int


@dataclass(frozen=True, slots=True)
class AssumeFormat:
    """Speak v0 to this Connection: a client of v1 would have said something by now."""

    connection: int


@dataclass(frozen=True, slots=True)
class ResumeOutput:
    """Send the Track, the newest picture at once."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class PauseOutput:
    """Stop sending the Track."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class WantOutputs:
    """The set of outputs that at least one Connection receives has changed."""

    tracks: frozenset[str]


@dataclass(frozen=True, slots=True)
class ProbeInputs:
    """Report the first media of each input Track of this Connection, which has no `control` to ask on."""

    connection: int


@dataclass(frozen=True, slots=True)
class OpenInput:
    """Deliver this Connection's media of the Track to the model."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class CloseInput:
    """Deliver no more media of the Track."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class GrantPublish:
    """Answer a request to publish: granted."""

    connection: int
    track: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class RefusePublish:
    """Answer a request to publish: refused. `code` is `FORBIDDEN` where the client lacks the right."""

    connection: int
    track: str
    request_id: str | None
    message: str
    code: str = "publish_refused"


@dataclass(frozen=True, slots=True)
class RecordTransition:
    """Report that the Session's state has changed: to the event log, the metrics and the watchers."""

    before: SessionState
    after: SessionState
    reason: str


@dataclass(frozen=True, slots=True)
class SessionTransition:
    """A Session went from one state to another.

    Attributes:
        session: its id; None where no Session runs (the model has loaded, or failed to).
        reason: why the Session ends or ended, in words of ours, for `closing` and what follows it.
    """

    session: str | None
    before: SessionState
    after: SessionState
    reason: str


MembershipEffect: TypeAlias = (
    OpenModel
    | CloseModel
    | AnnounceEnd
    | AnnounceTimeLeft
    | ClosePeer
    | JoinModel
    | LeaveModel
    | BecameLive
    | AssumeFormat
    | ResumeOutput
    | PauseOutput
    | WantOutputs
    | ProbeInputs
    | OpenInput
    | CloseInput
    | GrantPublish
    | RefusePublish
    | RecordTransition
)
