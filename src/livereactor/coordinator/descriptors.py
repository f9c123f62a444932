"""The session descriptor that clients get, in the form that official clients insist on. Pure.

`capabilities` and `selected_transport` come together, and only while signalling works: from the acceptance of a Worker
to the end. What is absent is left out, never null. The state is never INACTIVE where a client waits for its Session:
official ones give up at that word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from livereactor.protocol.http import (
    CapabilitiesBody,
    ModelInfo,
    QueueBody,
    RecordingInfo,
    SelectedTransport,
    ServerInfo,
    SessionDescriptor,
)
from livereactor.store.records import ModelRecord, SessionRecord, SessionState

CLUSTER: Final = "local"
_SERVER: Final = ServerInfo(server_version=version("livereactor"))
_TRANSPORT: Final = SelectedTransport()
_NOT_RECORDED: Final = RecordingInfo(enabled=False)
_WORDS: Final[Mapping[SessionState, str]] = {
    SessionState.QUEUED: "SUSPENDED",
    SessionState.ASSIGNED: "PENDING",
    SessionState.WAITING: "WAITING",
    SessionState.ACTIVE: "ACTIVE",
    SessionState.ORPHANED: "INACTIVE",
    SessionState.CLOSED: "CLOSED",
}
_SIGNALLING: Final = frozenset({SessionState.WAITING, SessionState.ACTIVE, SessionState.ORPHANED})


def state_word(state: SessionState, *, listed: bool) -> str:
    """Return the word for a state on the wire; `listed`: for lists and `/info`, which alone may say INACTIVE."""
    if state is SessionState.ORPHANED and not listed:
        return _WORDS[SessionState.WAITING]
    return _WORDS[state]


def created(session: SessionRecord, model: ModelRecord, *, reconnection_window: float) -> SessionDescriptor:
    """Return the answer of S1, the slim form; every client requests S2 at least once afterwards."""
    return _descriptor(session, model, "CREATED", reconnection_window=reconnection_window)


def described(
    session: SessionRecord,
    model: ModelRecord | None,
    *,
    reconnection_window: float,
    queue: QueueBody | None = None,
    listed: bool = False,
) -> SessionDescriptor:
    """Return the answer of S2.

    Args:
        model: None = no worker serves it any more, so the session is over or waits.
        reconnection_window: the operator's, seconds; the Session's own may be shorter.
        queue: its Ticket, while it has one.
        listed: as in `state_word`.
    """
    view = _descriptor(
        session, model, state_word(session.state, listed=listed), reconnection_window=reconnection_window
    )
    view.capabilities = _capabilities(session, model)
    view.selected_transport = _TRANSPORT if view.capabilities is not None else None
    view.queue = queue if session.state is SessionState.QUEUED else None
    if session.state is SessionState.CLOSED:
        view.end_reason = session.end_reason or "stopped"
    view.version = _version(session, view)
    return view


def is_settled(view: SessionDescriptor) -> bool:
    """Return whether the session is ready or over, which a waiting client has to learn at once."""
    return view.state == "CLOSED" or view.capabilities is not None


def _descriptor(
    session: SessionRecord, model: ModelRecord | None, state: str, *, reconnection_window: float
) -> SessionDescriptor:
    # Built without validation: every value is the coordinator's own, and every session passes here.
    return SessionDescriptor.model_construct(
        session_id=session.id,
        state=state,
        cluster=CLUSTER,
        model=ModelInfo.model_construct(name=session.model, version=(model.version or None) if model else None),
        server_info=_SERVER,
        generation=session.start.get("generation", "streamed"),
        recording=_recording(session, model),
        created_at=session.created_us / 1e6,
        expires_at=None if session.expires_us is None else session.expires_us / 1e6,
        reconnection_window=min(session.start.get("reconnection_window", reconnection_window), reconnection_window),
    )


def _recording(session: SessionRecord, model: ModelRecord | None) -> RecordingInfo:
    said = model.spec.get("recording") if model is not None else None
    if said is None or session.start.get("generation") == "stepped":
        return _NOT_RECORDED
    return RecordingInfo.model_validate(said)


def _capabilities(session: SessionRecord, model: ModelRecord | None) -> CapabilitiesBody | None:
    said = model.spec.get("capabilities") if model is not None and session.state in _SIGNALLING else None
    return None if said is None else CapabilitiesBody.model_validate(said)


def _version(session: SessionRecord, view: SessionDescriptor) -> str:
    """Return a hash of all that a client waits for. Estimates are not in it: they move all the time."""
    queue = view.queue
    told = (
        view.state,
        session.end_reason,
        session.expires_us,
        session.fence,
        view.capabilities is not None,
        view.model.version,
        None if queue is None else (queue.position, queue.length, queue.loading, queue.loading_text),
    )
    return hashlib.blake2s(repr(told).encode(), digest_size=6).hexdigest()
