"""What the machine of a client's connection hears (events) and what it has done (effects)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from livereactor.client.errors import ReactorError
from livereactor.client.types import Status

# --- events: what the user asked for -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a Session, or join the one of id `adopt`; `timeout` bounds all of it, seconds."""

    adopt: str | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Bring a new transport up for the Session that is there."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Leave; `keep` the Session for a later `Reconnect`."""

    keep: bool = False


# --- events: what came of the work under way ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Obtained:
    """The Session exists; `seen` is what its description says. `owned`: this client ends it."""

    session_id: str
    seen: Seen
    owned: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the Session gave.

    Attributes:
        prepared: it can be connected to.
        account: why it cannot yet, in the server's own terms (`queued, position 4`); empty where it does not say.
        held: the server answers when something changes: the next look need not wait.
        window: seconds that the Session outlives its last client; None where the server does not say.
    """

    prepared: bool
    account: str = ""
    held: bool = False
    window: float | None = None


@dataclass(frozen=True, slots=True)
class Unseen:
    """A look at the Session gave nothing."""

    error: ReactorError


@dataclass(frozen=True, slots=True)
class Failed:
    """The work under way came to nothing."""

    error: ReactorError


@dataclass(frozen=True, slots=True)
class Linked:
    """The transport that was being opened is up."""


# --- events: what happened by itself -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lost:
    """The transport in use is gone."""

    reason: str


@dataclass(frozen=True, slots=True)
class Over:
    """The Session has ended, as its server says (`max_duration`, `worker_lost`, …)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Woke:
    """The deadline has come.

    Attributes:
        heard_at: when the transport was heard last, monotonic seconds; now, where the other side answers no probes and
            its silence means nothing.
    """

    heard_at: float


MachineEvent: TypeAlias = (
    Connect | Reconnect | Disconnect | Obtained | Seen | Unseen | Failed | Linked | Lost | Over | Woke
)

# --- effects, carried out in order -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Become:
    """The status is another one now."""

    status: Status


@dataclass(frozen=True, slots=True)
class Create:
    """Have a Session made; `Obtained` or `Failed` follows."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """Find the Session that somebody else made; `Obtained`, `Over` or `Failed` follows."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Look:
    """Ask how the Session is; `Seen`, `Over` or `Unseen` follows."""


@dataclass(frozen=True, slots=True)
class OpenLink:
    """Open a transport; `Linked`, `Over` or `Failed` follows. `again`: on the Connection there was before."""

    again: bool


@dataclass(frozen=True, slots=True)
class UseLink:
    """Put the transport that has come up in the place of the one in use, if there is one."""


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Close the transport in use; what was asked over it fails."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Stop the work under way; a Session that is being made is ended when it is there."""


@dataclass(frozen=True, slots=True)
class EndSession:
    """Tell the server that the Session is over."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The Session's id, Capabilities, Tracks, schema and expiry are no more."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Say something that the other side answers."""


@dataclass(frozen=True, slots=True)
class TellEnded:
    """The server ended the Session, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """An error that no call waits for, or that one does: remember it, and fire `error`."""

    error: ReactorError


@dataclass(frozen=True, slots=True)
class Settle:
    """The call that waits is done: with success, or raising `error`."""

    error: ReactorError | None = None


MachineEffect: TypeAlias = (
    Become
    | Create
    | Adopt
    | Look
    | OpenLink
    | UseLink
    | CloseLink
    | Abandon
    | EndSession
    | Forget
    | Probe
    | TellEnded
    | Report
    | Settle
)
