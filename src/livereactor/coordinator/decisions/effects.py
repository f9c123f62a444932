"""The effects of decisions. Pure.

A decision changes records and returns effects; `decider.py` applies them in order once the transaction is committed. A
lost effect (a crash between commit and effect) loses nothing: beats and the sweeper repeat it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class NotifyAssigned:
    """Hint to a Worker that its Slot holds a Session.

    Attributes:
        again: it was decided before, here or elsewhere, and the worker may know of it.
    """

    worker: str
    slot: int
    fence: int
    session: str
    start: Mapping[str, Any] = field(default_factory=dict[str, Any])
    again: bool = False


@dataclass(frozen=True, slots=True)
class NotifyEnded:
    """Tell a Worker that the Session in its Slot is over, and why."""

    worker: str
    slot: int
    fence: int
    session: str
    reason: str
    moderate: bool = False


@dataclass(frozen=True, slots=True)
class NotifyDrain:
    """Tell a Worker to finish what it has within `grace` seconds, and end."""

    worker: str
    grace: float


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """A session changed: polls that wait for it read it again."""

    session: str


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """Positions of this model's Tickets may have changed, or a Worker's progress: its waiting clients read again."""

    model: str


@dataclass(frozen=True, slots=True)
class FirstFrame:
    """A client received the first frame of a session, `seconds` after the worker accepted it."""

    session: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """A Session is over: its uploads can be erased."""

    session: str


@dataclass(frozen=True, slots=True)
class WorkerDeclaredLost:
    """A worker is lost: its slots are not used any more, and the fleet kills what is left of its process."""

    worker: str
    model: str


@dataclass(frozen=True, slots=True)
class FleetChanged:
    """The number of workers wanted for this model may have changed."""

    model: str


Effect: TypeAlias = (
    NotifyAssigned
    | NotifyEnded
    | NotifyDrain
    | SessionChanged
    | QueueChanged
    | FirstFrame
    | SessionClosed
    | WorkerDeclaredLost
    | FleetChanged
)
