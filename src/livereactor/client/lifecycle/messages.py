"""Events that the machine of a client's connection receives, and effects that it orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from livereactor.client.errors import ReactorError
from livereactor.client.types import Status

# --- events: calls of the program -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a Session, or join the one of id `adopt`; `timeout` bounds all of it, seconds."""

    adopt: str | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Bring a new transport up for the Session."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Leave; `keep` the Session for a later `Reconnect`."""

    keep: bool = False


# --- events: results of the work under way ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionObtained:
    """The Session exists; `seen` sums up its description. `owned`: this client ends it."""

    session_id: str
    seen: SessionSeen
    owned: bool = True


@dataclass(frozen=True, slots=True)
class SessionSeen:
    """The Session was found.

    Attributes:
        prepared: a transport can be opened.
        account: why not yet, in the server's own terms (`queued, position 4`); empty if it does not say.
        held: the server answers once something changes, so the next look-up need not wait.
        window: seconds that the Session outlives its last client; None if the server does not say.
    """

    prepared: bool
    account: str = ""
    held: bool = False
    window: float | None = None


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """The look-up of the Session failed."""

    error: ReactorError


@dataclass(frozen=True, slots=True)
class WorkFailed:
    """The work under way failed."""

    error: ReactorError


@dataclass(frozen=True, slots=True)
class TransportUp:
    """The transport that was being opened is up."""


# --- events: things that happen by themselves -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TransportLost:
    """The transport in use is gone."""

    reason: str


@dataclass(frozen=True, slots=True)
class SessionOver:
    """The server ended the Session, for this reason (`max_duration`, `worker_lost`, …)."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The deadline has come.

    Attributes:
        heard_at: when something last arrived on the transport, monotonic seconds; the present time if the other side
            answers no probes, as its silence means nothing then.
    """

    heard_at: float


MachineEvent: TypeAlias = (
    Connect
    | Reconnect
    | Disconnect
    | SessionObtained
    | SessionSeen
    | LookupFailed
    | WorkFailed
    | TransportUp
    | TransportLost
    | SessionOver
    | DeadlineReached
)

# --- effects, carried out in order -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Change the status of the client, and tell the program."""

    status: Status


@dataclass(frozen=True, slots=True)
class RequestSession:
    """Create a Session; `SessionObtained` or `WorkFailed` follows."""


@dataclass(frozen=True, slots=True)
class JoinSession:
    """Find the Session that another client made; `SessionObtained`, `SessionOver` or `WorkFailed` follows."""

    session_id: str


@dataclass(frozen=True, slots=True)
class LookUpSession:
    """Ask the server about the Session; `SessionSeen`, `SessionOver` or `LookupFailed` follows."""


@dataclass(frozen=True, slots=True)
class OpenTransport:
    """Open a transport, with `again` on the Connection that was in use.

    `TransportUp`, `SessionOver` or `WorkFailed` follows.
    """

    again: bool


@dataclass(frozen=True, slots=True)
class UseTransport:
    """Use the transport that has come up, in place of the one in use if there is one."""


@dataclass(frozen=True, slots=True)
class CloseTransport:
    """Close the transport in use; requests that wait on it fail."""


@dataclass(frozen=True, slots=True)
class AbandonWork:
    """Cancel the work under way; a Session that is being created is ended once it exists."""


@dataclass(frozen=True, slots=True)
class DeleteSession:
    """Tell the server that the Session is over."""

    session_id: str


@dataclass(frozen=True, slots=True)
class ForgetSession:
    """Forget the Session's id, Capabilities, Tracks, schema and expiry."""


@dataclass(frozen=True, slots=True)
class SendProbe:
    """Send a message that the other side answers."""


@dataclass(frozen=True, slots=True)
class EmitSessionEnded:
    """Emit `session_ended`: the server ended the Session, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReportError:
    """Remember an error, and emit `error`."""

    error: ReactorError


@dataclass(frozen=True, slots=True)
class FinishCall:
    """Finish the call that waits: return, or raise `error`."""

    error: ReactorError | None = None


MachineEffect: TypeAlias = (
    SetStatus
    | RequestSession
    | JoinSession
    | LookUpSession
    | OpenTransport
    | UseTransport
    | CloseTransport
    | AbandonWork
    | DeleteSession
    | ForgetSession
    | SendProbe
    | EmitSessionEnded
    | ReportError
    | FinishCall
)
