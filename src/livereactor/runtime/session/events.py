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
from livereactor.runtime.session.member import AboutConnection, DataOpened, Offered, TransportUp


@dataclass(frozen=True, slots=True)
class AboutTrack(AboutConnection):
    """An event or effect of one Connection and one of the model's Tracks."""

    track: str


# --- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TransportLost:
    """The peer of a Connection failed, closed, or could not be made."""

    connection: int
    reason: str


class ControlOpened(AboutConnection):
    """The channel `control` has opened: this client resumes and publishes by itself."""


@dataclass(frozen=True, slots=True)
class PublishRequested(AboutTrack):
    """The client wants to publish an input Track; the outcome repeats `request_id`."""

    request_id: str | None


class UnpublishRequested(AboutTrack):
    """The client stops publishing the track."""


class ResumeRequested(AboutTrack):
    """The client wants to receive this output track."""


class PauseRequested(AboutTrack):
    """The client wants to stop receiving this output track."""


class MediaArrived(AboutTrack):
    """Media of an input track arrived from a client without `control`, and stands for its request to publish."""


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
class AnnounceDisplaced:
    """Tell one Connection that another has its place; it has `lifecycle.NOTICE_TIME` to leave."""

    connection: int


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


class LeaveModel(AboutConnection):
    """Tell the model that this client has left."""


class BecameLive(AboutConnection):
    """Transport and `data` are open: messages held for this Connection may leave."""


class AssumeFormat(AboutConnection):
    """Speak v0 to this Connection: a client of v1 would have said something by now."""


class ResumeOutput(AboutTrack):
    """Send the Track, the newest picture at once."""


class PauseOutput(AboutTrack):
    """Stop sending the Track."""


@dataclass(frozen=True, slots=True)
class WantOutputs:
    """The set of outputs that at least one Connection receives has changed."""

    tracks: frozenset[str]


class ProbeInputs(AboutConnection):
    """Report the first media of each input Track of this Connection, which has no `control` to ask on."""


class OpenInput(AboutTrack):
    """Deliver this Connection's media of the Track to the model."""


class CloseInput(AboutTrack):
    """Deliver no more media of the Track."""


@dataclass(frozen=True, slots=True)
class GrantPublish(AboutTrack):
    """Answer a request to publish: granted."""

    request_id: str | None


@dataclass(frozen=True, slots=True)
class RefusePublish(AboutTrack):
    """Answer a request to publish: refused. `code` is `FORBIDDEN` where the client lacks the right."""

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
    | AnnounceDisplaced
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
