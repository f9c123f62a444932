"""What happens to a Membership and what it wants done: frozen data, no behaviour. The states are in the machines."""

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
    """The channel `control` can send: this client resumes and publishes by itself."""

    connection: int


@dataclass(frozen=True, slots=True)
class PublishRequested:
    """A claim of an input Track's slot; `request_id` is echoed in the outcome."""

    connection: int
    track: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class UnpublishRequested:
    """The slot is given back."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """Send this output Track to this Connection."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class PauseRequested:
    """Stop sending it."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class MediaArrived:
    """Media of an input Track from a Connection that cannot ask for its slot: an implicit claim."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The Membership's `deadline()` has passed."""


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
    """Close the model, and forget everything of the Session: outputs, uploads, signalling; answer by ModelClosed."""

    reason: str


@dataclass(frozen=True, slots=True)
class AnnounceEnd:
    """Tell every Connection that the Session ends; what is told has some 80 ms to leave."""

    reason: str
    moderate: bool


@dataclass(frozen=True, slots=True)
class AnnounceTimeLeft:
    """Tell every Connection that `max_duration` ends the Session in `seconds_left`."""

    seconds_left: float


@dataclass(frozen=True, slots=True)
class ClosePeer:
    """Close this Connection's peer and forget it."""

    connection: int
    reason: str


@dataclass(frozen=True, slots=True)
class JoinModel:
    """The model meets this client."""

    connection: int
    role: Role


@dataclass(frozen=True, slots=True)
class LeaveModel:
    """The model's client has gone."""

    connection: int


@dataclass(frozen=True, slots=True)
class BecameLive:
    """Transport and `data` are there: what was held for this Connection may leave."""

    connection: int


@dataclass(frozen=True, slots=True)
class AssumeFormat:
    """It has been silent long enough to be taken for a client of v0."""

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
    """The outputs that at least one Connection receives have changed."""

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
    """Deliver no more of it."""

    connection: int
    track: str


@dataclass(frozen=True, slots=True)
class GrantPublish:
    """Answer a claim: yes."""

    connection: int
    track: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class RefusePublish:
    """Answer a claim: no, and why. `code` tells a lack of rights (`FORBIDDEN`) from a slot that is not to be had."""

    connection: int
    track: str
    request_id: str | None
    message: str
    code: str = "publish_refused"


@dataclass(frozen=True, slots=True)
class RecordTransition:
    """The Session's state changed: for the journal, the metrics and whoever waits for it."""

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
