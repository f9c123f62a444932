"""Documents in which a runtime describes itself: descriptor, capabilities, health. Pure."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from livereactor.protocol.http import (
    CapabilitiesBody,
    CommandCapability,
    Health,
    ModelInfo,
    RecordingInfo,
    SelectedTransport,
    ServerInfo,
    SessionDescriptor,
    TrackCapability,
)
from livereactor.protocol.openapi import to_openapi
from livereactor.runtime.authoring.definition import Definition
from livereactor.runtime.interfaces import Progress
from livereactor.runtime.session.lifecycle import SessionRequested, SessionState

NO_SESSION: Final = "none"  # clients accept any text here; it must not look like an id
SERVER_VERSION: Final = version("livereactor")


def descriptor(
    definition: Definition, state: SessionState, session: SessionRequested | None, *, segments: float | None = None
) -> dict[str, Any]:
    """Return the session descriptor; before the model has loaded it has no capabilities and no model name.

    `segments`: seconds of a Segment, where Sessions that stream are recorded.
    """
    loaded = state is not SessionState.CREATED
    is_stepped = session is not None and session.stepped
    return SessionDescriptor(
        session_id=session.id if session else NO_SESSION,
        state=state.value,
        model=ModelInfo(name=definition.name if loaded else "", version=definition.schema.version if loaded else None),
        server_info=ServerInfo(server_version=SERVER_VERSION),
        selected_transport=SelectedTransport() if loaded else None,
        capabilities=capabilities(definition) if loaded else None,
        generation="stepped" if is_stepped else "streamed",
        recording=_recording(None if is_stepped else segments),
    ).to_body()


def _recording(segments: float | None) -> RecordingInfo:
    return RecordingInfo(enabled=segments is not None, chunk_seconds=segments)


def capabilities(definition: Definition) -> CapabilitiesBody:
    """Return the tracks, with directions from the client's side, and the commands by name."""
    return CapabilitiesBody(
        tracks=[
            TrackCapability(
                name=each.name, kind=each.kind, direction="recvonly" if each.direction == "out" else "sendonly"
            )
            for each in definition.schema.tracks
        ],
        commands=[
            CommandCapability(name=each.name, description=each.description) for each in definition.schema.commands
        ],
        emission_fps=definition.emission_fps,
    )


def model_spec(definition: Definition, *, segments: float | None = None) -> dict[str, Any]:
    """Return the facts that a coordinator has of a model before any Session, from a Worker's `Hello`.

    `segments`: seconds of a Segment, where Sessions that stream are recorded.
    """
    return {
        "capabilities": capabilities(definition).to_body(),
        "recording": _recording(segments).to_body(),
        "schema": to_openapi(definition.schema),
        "description": definition.schema.description,
        "version": definition.schema.version,
        "max_sessions": definition.max_sessions,
        "requeue": definition.requeue,
    }


def health(state: SessionState, progress: Progress | None, failure: str | None) -> Health:
    """Return the health of the process; a failed Session leaves it healthy, with the reason in `detail`."""
    match state:
        case SessionState.CREATED:
            text = progress.text or None if progress else None
            return Health(
                status="healthy", state="loading", detail=text, progress=progress.fraction if progress else None
            )
        case SessionState.TERMINATED:
            return Health(status="unhealthy", state="terminated", detail=failure)
        case SessionState.READY | SessionState.CLOSING:
            return Health(status="healthy", state="available", detail=failure)
        case _:
            return Health(status="healthy", state="serving", detail=failure)
