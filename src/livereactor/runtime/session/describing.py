"""What a runtime says of itself: descriptor, capabilities, health. Pure."""

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

NO_SESSION: Final = "none"  # any text will do, and it must not be an id that could be somebody's
SERVER_VERSION: Final = version("livereactor")


def descriptor(
    definition: Definition, state: SessionState, session: SessionRequested | None, *, segments: float | None = None
) -> dict[str, Any]:
    """The descriptor of protocol 1.4; before the model is loaded it has no capabilities and no model name (1.6).

    `segments`: seconds of one, where Sessions that stream are recorded.
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
    """Tracks with directions from the client's side, and commands by name; their arguments are in the schema."""
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
    """What a coordinator knows of a model before any Session: `ModelRecord.spec`, and what a Worker's `Hello` says.

    `segments`: seconds of one, where Sessions that stream are recorded.
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
    """Health of the process; a failed Session leaves it healthy, with the reason in `detail`."""
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
