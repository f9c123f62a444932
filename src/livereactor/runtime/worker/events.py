"""What happens to a Worker's link and what it wants done: frozen data, no behaviour. The states are in the machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from livereactor.protocol import link

# --- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """A socket to the coordinator is open."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """The socket is gone, whoever closed it."""


@dataclass(frozen=True, slots=True)
class Loading:
    """The model loads: `fraction` 0..1 of all of it."""

    fraction: float
    text: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Every Slot can serve."""


@dataclass(frozen=True, slots=True)
class SlotMoved:
    """The Session in a Slot went on; `reason` with `closing`, `seen` once a client was live."""

    slot: int
    session: str
    phase: Literal["waiting", "streaming", "orphaned", "closing"]
    reason: str = ""
    seen: bool = False


@dataclass(frozen=True, slots=True)
class SlotClosed:
    """The Session in a Slot is over, and nothing of it is left; or it could not be started."""

    slot: int
    session: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SlotBroken:
    """The model in a Slot can serve nobody any more, or did not load: the process has to be replaced."""

    slot: int
    detail: str


@dataclass(frozen=True, slots=True)
class DrainAsked:
    """Finish what runs for up to `grace` seconds, then end."""

    grace: float


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The link's `deadline()` has passed."""


SocketEvent: TypeAlias = Opened | Dropped | link.FromCoordinator
LinkEvent: TypeAlias = SocketEvent | Loading | Loaded | SlotMoved | SlotClosed | SlotBroken | DrainAsked | TimedOut

# --- effects -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame on the socket that is open; a Beat goes with the figures of this moment."""

    frame: link.FromWorker


@dataclass(frozen=True, slots=True)
class Start:
    """Start the Session in its Slot, at once: requests for it follow."""

    slot: int
    session: str
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class EndSession:
    """End the Session in a Slot. `quietly`: it may go on elsewhere, so its clients are not told that it is over."""

    slot: int
    session: str
    reason: str
    moderate: bool = False
    quietly: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Hand a request to a Slot's app."""

    request: link.Request


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer a request with 409: the Slot does not hold what it is about."""

    request: link.Request


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the socket."""

    reason: str


@dataclass(frozen=True, slots=True)
class Quit:
    """The process ends, once what was sent has left; `failure` None = in order."""

    failure: str | None


LinkEffect: TypeAlias = Send | Start | EndSession | Ask | Refuse | HangUp | Quit
