"""The JSON wire format (v0): text frames (docs/protocol.md). Pure.

Platform messages and model traffic share the channel `data` in envelopes with a `scope`; track verbs travel on
`control`. Any other label counts as `data`. There are no command replies: `Ack` and `Failure` have no form here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, cast

from livereactor.base.errors import PeerError, UsageError
from livereactor.base.limits import Limits
from livereactor.protocol import messages as m
from livereactor.protocol.fields import json_object, member, number, text, upload_reference, upload_references
from livereactor.protocol.json_text import parse_json, shown, to_json_text

TEXT: Final = True  # frames of this format are text frames
MESSAGE_BYTES: Final = Limits().message_bytes
JSON_NODES: Final = Limits().json_nodes


# --- the server's side -------------------------------------------------------------------------------------------


def decode_client(label: str, data: bytes, *, limit: int = MESSAGE_BYTES, nodes: int = JSON_NODES) -> m.ClientMessage:
    """Decode a client's frame on the channel `label`; raises `PeerError` for anything that is not of the protocol."""
    frame = json_object(parse_json(data, f"a frame on {shown(label)}", limit=limit, nodes=nodes), "the frame")
    if label == m.CONTROL:
        return _decode_verb(frame)
    if "scope" not in frame:
        raise PeerError('the frame has no \'scope\'; wrap it in {"scope", "data"}')
    inner = json_object(frame.get("data"), "data")
    kind = text(inner, "type")
    if frame["scope"] == "application":
        return m.Command(kind, member(inner, "data"), upload_references(inner.get("uploads")))
    if frame["scope"] == "runtime" and kind in _PLATFORM:
        return _PLATFORM[kind](member(inner, "data"))
    raise PeerError(f"no message {shown(kind)} in scope {shown(frame['scope'])}")


_PLATFORM: Final[Mapping[str, Callable[[Mapping[str, Any]], m.ClientMessage]]] = {
    "ping": lambda _: m.Ping(),
    "requestSchema": lambda _: m.RequestSchema(),
    "requestCapabilities": lambda _: m.RequestCapabilities(),
    "fileUploaded": lambda data: m.FileUploaded(upload_reference(data)),
    "requestClip": lambda data: m.RequestClip(number(data, "duration_seconds")),
    "requestRecording": lambda _: m.RequestRecording(),
}


def _decode_verb(frame: Mapping[str, Any]) -> m.ClientMessage:
    name = text(member(frame, "data"), "name") if "data" in frame else ""
    match frame:
        case {"type": "request", "method": "publish_track"}:
            return m.PublishTrack(name, text(frame, "request_id"))
        case {"type": "notification", "event": "unpublish_track" | "pause_track" | "resume_track" as event}:
            return m.TRACK_VERBS[event](name)
        case _:
            verb = frame.get("method", frame.get("event"))
            raise PeerError(f"no {shown(frame.get('type'))} of the name {shown(verb)} on 'control'")


def encode_server(message: m.ServerMessage) -> m.OutgoingFrame | None:
    """The frame for `message`, or None where this format has no place for it; `UsageError` if it cannot be written."""
    match message:
        case m.ModelMessage():
            return _data("application", message.type, message.data)
        case m.PublishGranted():
            return _response(message.request_id, {"data": {}})
        case m.PublishRefused():
            error = {"code": m.PUBLISHER_SLOT_TAKEN, "message": message.message}
            return _response(message.request_id, {"error": error})
        case m.Ack() | m.Failure() | m.StepResult() | m.Pong():
            return None
        case m.SchemaDocument():
            return m.DATA, _document(message)
        case m.ModelCapabilities():
            return _data("runtime", "modelCapabilities", message.capabilities)
        case m.ClipReady():
            fields = asdict(message)
            del fields["request_id"]
            return _data("runtime", "clipReady", fields)
        case m.ClipFailed():
            return _data("runtime", "clipFailed", {"reason": message.reason})
        case m.Moderation():
            return _data("runtime", "moderation", asdict(message))
        case m.SessionEnded():
            return _data("runtime", "sessionEnded", {"reason": message.reason})
        case m.RuntimeMessage():
            return _data("runtime", message.type, message.data)


def _document(message: m.SchemaDocument) -> bytes:
    if (written := message.written.get(m.WireFormat.V0)) is None:
        _, written = _data("runtime", "modelSchema", message.openapi)
        message.written[m.WireFormat.V0] = written
    return written


# --- the client's side -------------------------------------------------------------------------------------------


def encode_client(message: m.ClientMessage) -> m.OutgoingFrame | None:
    """The frame for `message`, or None where this format has no place for it; `UsageError` if it cannot be written."""
    match message:
        case m.Command():
            uploads = {name: asdict(file) for name, file in message.uploads.items()}
            return _data("application", message.name, message.arguments, **({"uploads": uploads} if uploads else {}))
        case m.Ping():
            return _data("runtime", "ping", {})
        case m.RequestSchema():
            return _data("runtime", "requestSchema", {})
        case m.RequestCapabilities():
            return _data("runtime", "requestCapabilities", {})
        case m.FileUploaded():
            return _data("runtime", "fileUploaded", asdict(message.file))
        case m.RequestClip():
            return _data("runtime", "requestClip", {"duration_seconds": message.seconds})
        case m.RequestRecording():
            return _data("runtime", "requestRecording", {})
        case m.RequestStep() | m.ClientStats() | m.PeerFault():
            return None
        case _:
            return m.CONTROL, to_json_text(_verb(message))


def _verb(message: m.PublishTrack | m.UnpublishTrack | m.PauseTrack | m.ResumeTrack) -> dict[str, Any]:
    data = {"name": message.name}
    if isinstance(message, m.PublishTrack):
        if message.request_id is None:
            raise UsageError("publish_track needs a request_id in v0; add one")
        return {"type": "request", "method": "publish_track", "request_id": message.request_id, "data": data}
    return {"type": "notification", "event": m.verb_of(message), "data": data}


def decode_server(label: str, data: bytes, *, limit: int = MESSAGE_BYTES) -> m.ServerMessage:
    """Decode a server's frame; a frame without an envelope is an application message as it is."""
    frame = json_object(parse_json(data, f"a frame on {shown(label)}", limit=limit), "the frame")
    if label == m.CONTROL:
        return _decode_response(frame)
    inner = json_object(frame.get("data"), "data") if "scope" in frame else frame
    kind, body = text(inner, "type"), member(inner, "data")
    if frame.get("scope") != "runtime":
        return m.ModelMessage(kind, body)
    return _SERVER_PLATFORM[kind](body) if kind in _SERVER_PLATFORM else m.RuntimeMessage(kind, body)


def _decode_response(frame: Mapping[str, Any]) -> m.ServerMessage:
    if frame.get("type") != "response" or frame.get("method") != "publish_track":
        raise PeerError(f"no {shown(frame.get('type'))} of this kind on 'control'")
    request_id = text(frame, "request_id")
    if frame.get("error") is None:
        return m.PublishGranted("", request_id)
    return m.PublishRefused("", request_id, text(json_object(frame["error"], "error"), "message", default=""))


def _clip_ready(data: Mapping[str, Any]) -> m.ClipReady:
    kind = text(data, "kind")
    return m.ClipReady(
        session_id=text(data, "session_id"),
        kind="snap" if kind == "snap" else "recording",
        start_marker=number(data, "start_marker"),
        end_marker=number(data, "end_marker"),
        now_marker=number(data, "now_marker"),
        predicted_ready_at_ms=int(number(data, "predicted_ready_at_ms")),
        playlist_url=text(data, "playlist_url"),
    )


def _moderation(data: Mapping[str, Any]) -> m.Moderation:
    categories: object = data.get("categories")
    return m.Moderation(
        action=text(data, "action"),
        input_kind=text(data, "input_kind", default=""),
        command=text(data, "command", default=""),
        categories=tuple(map(str, cast("list[object]", categories))) if isinstance(categories, list) else (),
        message=text(data, "message", default=""),
    )


_SERVER_PLATFORM: Final[Mapping[str, Callable[[Mapping[str, Any]], m.ServerMessage]]] = {
    "modelSchema": lambda data: m.SchemaDocument(data),
    "modelCapabilities": lambda data: m.ModelCapabilities(data),
    "clipReady": _clip_ready,
    "clipFailed": lambda data: m.ClipFailed(text(data, "reason", default="")),
    "moderation": _moderation,
    "sessionEnded": lambda data: m.SessionEnded(text(data, "reason", default="")),
}


# --- both --------------------------------------------------------------------------------------------------------


def _data(scope: str, kind: str, data: Mapping[str, Any], **more: Any) -> m.OutgoingFrame:
    return m.DATA, to_json_text({"scope": scope, "data": {"type": kind, "data": data, **more}})


def _response(request_id: str | None, outcome: Mapping[str, Any]) -> m.OutgoingFrame | None:
    if request_id is None:
        return None
    answer = {"type": "response", "method": "publish_track", "request_id": request_id, **outcome}
    return m.CONTROL, to_json_text(answer)
