"""Events and effects of a Worker's link: frozen data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from livereactor.protocol import link

# --- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SocketOpened:
    """A socket to the coordinator is open."""


@dataclass(frozen=True, slots=True)
class SocketClosed:
    """The socket has closed, on either side."""


@dataclass(frozen=True, slots=True)
class LoadProgressed:
    """Loading has come further: `fraction`, 0..1, of all Slots together."""

    fraction: float
    text: str


@dataclass(frozen=True, slots=True)
class AllLoaded:
    """Every Slot has loaded its model."""


@dataclass(frozen=True, slots=True)
class SlotMoved:
    """The Session in a Slot changed its state; `reason` comes with `closing`, `seen` once a client was live."""

    slot: int
    session: str
    phase: Literal["waiting", "streaming", "orphaned", "closing"]
    reason: str = ""
    seen: bool = False


@dataclass(frozen=True, slots=True)
class SlotClosed:
    """The Session in a Slot has ended and left nothing behind, or could not be started."""

    slot: int
    session: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SlotBroken:
    """The model in a Slot cannot serve any more, or did not load: the process has to be replaced."""

    slot: int
    detail: str


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """The process has to end; running sessions have `grace` seconds."""

    grace: float


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The link's `deadline()` has passed."""


SocketEvent: TypeAlias = SocketOpened | SocketClosed | link.FromCoordinator
LinkEvent: TypeAlias = (
    SocketEvent | LoadProgressed | AllLoaded | SlotMoved | SlotClosed | SlotBroken | DrainRequested | TimedOut
)

# --- effects -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame on the open socket; a Beat carries the figures of this moment."""

    frame: link.FromWorker


@dataclass(frozen=True, slots=True)
class Start:
    """Start the Session in its Slot at once: requests for it follow."""

    slot: int
    session: str
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class EndSession:
    """End the Session in a Slot. `quietly`: it may go on elsewhere, so its clients get no message that it has ended."""

    slot: int
    session: str
    reason: str
    moderate: bool = False
    quietly: bool = False


@dataclass(frozen=True, slots=True)
class PassRequest:
    """Hand a request to a Slot's app."""

    request: link.Request


@dataclass(frozen=True, slots=True)
class RefuseRequest:
    """Answer a request with 409: the Slot does not hold the Session that the request is about."""

    request: link.Request


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Close the socket."""

    reason: str


@dataclass(frozen=True, slots=True)
class EndProcess:
    """End the process once all frames have left; `failure` None = in order."""

    failure: str | None


LinkEffect: TypeAlias = Send | Start | EndSession | PassRequest | RefuseRequest | CloseSocket | EndProcess
