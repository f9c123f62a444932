"""What coordinators on one database tell each other of their decisions, as notices. Pure.

Each is a word for the kind and a name: `session ses_…`. They are hints: polls, beats, the fleet and the sweeper find
what was lost of them.
"""

from __future__ import annotations

from typing import Final

from livereactor.coordinator.decisions.effects import (
    Effect,
    FleetChanged,
    QueueChanged,
    SessionChanged,
    TellAssigned,
    TellEnded,
)

# A Worker came to another coordinator, or has to hear something from the one that holds its socket.
WORKER: Final = "worker"
_SESSION, _QUEUE, _FLEET = "session", "queue", "fleet"


def worker_hint(worker: str) -> str:
    """The notice of a Worker."""
    return f"{WORKER} {worker}"


def hint_of(effect: Effect) -> str | None:
    """What others have to know of an effect; None = nothing, or its Worker hears it with its next beat."""
    match effect:
        case SessionChanged(session=session):
            return f"{_SESSION} {session}"
        case QueueChanged(model=model):
            return f"{_QUEUE} {model}"
        case FleetChanged(model=model):
            return f"{_FLEET} {model}"
        case TellAssigned(worker=worker) | TellEnded(worker=worker):
            return worker_hint(worker)
        case _:
            return None


def effect_of(notice: str) -> Effect | None:
    """What such a notice asks for here; None for those of Workers, and of a version that tells more than this one."""
    kind, _, name = notice.partition(" ")
    match kind:
        case "session":
            return SessionChanged(name)
        case "queue":
            return QueueChanged(name)
        case "fleet":
            return FleetChanged(name)
        case _:
            return None
