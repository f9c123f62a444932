"""The binary wire format (v1): one protobuf message a frame (docs/protocol.md). Pure.

Requests are correlated by `request_id`, per channel; kinds are written for the other side and not checked on reading.
One module above 400 lines, because each message is written and read here, those of stepped sessions too, and nothing
else knows the protobuf.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, Protocol, TypeVar, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

from livereactor.base.errors import PeerError, UsageError
from livereactor.base.limits import Limits
from livereactor.protocol import messages as m
from livereactor.protocol import wire_v1_pb2 as wire
from livereactor.protocol.json_text import shown
from livereactor.protocol.structs import fill_struct, from_struct, has_more_nodes
from livereactor.protocol.wire_fields import has_more_fields

TEXT: Final = False  # frames of this format are binary frames
MESSAGE_BYTES: Final = Limits().message_bytes
JSON_NODES: Final = Limits().json_nodes

FIELDS_OF_VALUE: Final = 3  # at most: an entry of a map, with key and value

_Envelope = TypeVar("_Envelope", bound=Message)


def _parse(envelope: _Envelope, label: str, data: bytes, limit: int) -> _Envelope:
    if len(data) > limit:
        raise PeerError(f"a frame on {shown(label)} has {len(data)} bytes, over the limit of {limit}")
    try:
        envelope.ParseFromString(data)
    except (DecodeError, RecursionError, ValueError) as error:
        raise PeerError(f"a frame on {shown(label)} is not a protobuf message of this protocol") from error
    return envelope


def _bounded(envelope: _Envelope, label: str, data: bytes, limit: int, nodes: int) -> _Envelope:
    """Parse a frame into `envelope`; a client's, which holds no more than so many values."""
    # Parsing is one call that no other thread can interrupt: up to 256 KiB it takes milliseconds, whatever they hold.
    is_large = MESSAGE_BYTES < len(data) <= limit
    if is_large and has_more_fields(data, cast("Descriptor", envelope.DESCRIPTOR), FIELDS_OF_VALUE * nodes):
        raise _too_many(label, nodes)
    _parse(envelope, label, data, limit)
    # A value has two bytes at least, so a short frame needs no count.
    if len(data) > 2 * nodes and has_more_nodes(envelope, nodes):
        raise _too_many(label, nodes)
    return envelope


def _too_many(label: str, nodes: int) -> PeerError:
    return PeerError(f"a frame on {shown(label)} holds more than {nodes} values (json_nodes); upload large content")


# --- the server's side -------------------------------------------------------------------------------------------


def decode_client(label: str, data: bytes, *, limit: int = MESSAGE_BYTES, nodes: int = JSON_NODES) -> m.ClientMessage:
    """Decode a client's frame on the channel `label`; raises `PeerError` for anything that is not of the protocol."""
    if label == m.CONTROL:
        return _decode_control(_bounded(wire.ControlClientMessage(), label, data, limit, nodes))
    envelope = _bounded(wire.DataClientMessage(), label, data, limit, nodes)
    match envelope.WhichOneof("payload"):
        case "command":
            return _command(envelope.command, envelope.request_id or None)
        case "request_step":
            return _step_request(envelope.request_step, envelope.request_id or None)
        case "error":
            return m.PeerFault(envelope.error.code, envelope.error.message)
        case _:
            raise PeerError("a frame on 'data' has unknown contents")


def request_id_of(head: bytes) -> str | None:
    """Return the id of the request that a frame begins with, without reading the frame; None where it has none."""
    # Field 1 comes first, as a length and a text; ids are short, so the length is one byte.
    if len(head) < 3 or head[0] != 0x0A or not 0 < head[1] < 0x80 or len(head) < 2 + head[1]:
        return None
    try:
        return head[2 : 2 + head[1]].decode()
    except UnicodeDecodeError:
        return None


def _command(command: wire.Command, request_id: str | None) -> m.Command:
    uploads = {name: _reference(file) for name, file in command.uploads.items()}
    return m.Command(command.type, from_struct(command.data), uploads, request_id)


def _reference(file: wire.UploadReference | wire.FileUploaded) -> m.UploadReference:
    return m.UploadReference(file.upload_id, file.name, file.mime_type, file.size)


def _decode_control(envelope: wire.ControlClientMessage) -> m.ClientMessage:
    request_id = envelope.request_id or None
    match envelope.WhichOneof("payload"):
        case "ping":
            return m.Ping()
        case "request_schema":
            return m.RequestSchema(request_id)
        case "file_uploaded":
            return m.FileUploaded(_reference(envelope.file_uploaded))
        case "request_clip":
            return m.RequestClip(_finite(envelope.request_clip.duration_seconds), request_id)
        case "request_recording":
            return m.RequestRecording(request_id)
        case "publish_track":
            return m.PublishTrack(envelope.publish_track.name, request_id)
        case "pause_track" | "resume_track" | "unpublish_track" as verb:
            return m.TRACK_VERBS[verb](getattr(envelope, verb).name)
        case "client_stats":
            return _stats(envelope.client_stats)
        case "error":
            return m.PeerFault(envelope.error.code, envelope.error.message)
        case _:
            raise PeerError("a frame on 'control' has unknown contents")


def _finite(value: float) -> float:
    if value - value != 0:  # infinities and NaN
        raise PeerError("duration_seconds is not finite; send a finite number")
    return value


def _stage(stage: wire.FrameStage) -> m.FrameStage:
    return m.FrameStage(stage.name, stage.total_ms, stage.frames)


def _stats(stats: wire.ClientStats) -> m.ClientStats:
    tracks = (
        m.TrackStats(stat.track_name, stat.paused, dict(stat.metrics), tuple(map(_stage, stat.frame_stages)))
        for stat in stats.track_stats
    )
    return m.ClientStats(tuple(tracks), dict(stats.connection_stat.metrics))


def encode_server(message: m.ServerMessage) -> m.OutgoingFrame | None:
    """The frame for `message`, or None where this format has no place for it; `UsageError` if it cannot be written."""
    try:
        return _server_frame(message)
    except (ValueError, TypeError) as error:  # a text with half a surrogate pair, a number out of its field's range
        raise UsageError(f"a {type(message).__name__} cannot be written: {error}") from error


def _server_frame(message: m.ServerMessage) -> m.OutgoingFrame | None:
    match message:
        case m.ModelMessage() | m.Ack() | m.StepResult() | m.Failure(channel="data"):
            return _data_frame(message)
        case m.ModelCapabilities() | m.RuntimeMessage():
            return None
        case _:
            pass
    request_id: str | None = getattr(message, "request_id", None)
    kind = wire.MESSAGE_KIND_NOTIFICATION if request_id is None else wire.MESSAGE_KIND_RESPONSE
    envelope = wire.ControlServerMessage(request_id=request_id or "", kind=kind)
    match message:
        case m.Failure():
            envelope.error.code, envelope.error.message = message.code, message.message
        case m.SchemaDocument():
            # Fields of a message may be written one after the other, so the large one is kept as bytes.
            return m.CONTROL, envelope.SerializeToString() + _document(message)
        case m.ClipReady():
            for name in ("session_id", "kind", "playlist_url", "predicted_ready_at_ms"):
                setattr(envelope.clip_ready, name, getattr(message, name))
            for name in ("start_marker", "end_marker", "now_marker"):
                setattr(envelope.clip_ready, name, float(getattr(message, name)))
        case m.ClipFailed():
            envelope.clip_failed.reason = message.reason
        case m.Moderation():
            for name in ("action", "input_kind", "command", "message"):
                setattr(envelope.moderation, name, getattr(message, name))
            envelope.moderation.categories.extend(message.categories)
        case m.PublishGranted():
            envelope.publish_track.name = message.name
        case m.PublishRefused():
            envelope.error.code, envelope.error.message = m.PUBLISH_REFUSED, message.message
        case m.SessionEnded():
            envelope.session_ended.reason = message.reason
        case m.Pong():
            pass  # a notification without payload
    return m.CONTROL, envelope.SerializeToString()


def _document(message: m.SchemaDocument) -> bytes:
    if (written := message.written.get(m.WireFormat.V1)) is None:
        envelope = wire.ControlServerMessage()
        fill_struct(envelope.model_schema.openapi, message.openapi)
        envelope.model_schema.openapi.SetInParent()
        written = message.written[m.WireFormat.V1] = envelope.SerializeToString()
    return written


def _data_frame(message: m.ModelMessage | m.Ack | m.StepResult | m.Failure) -> m.OutgoingFrame | None:
    request_id = message.request_id
    kind = wire.MESSAGE_KIND_NOTIFICATION if request_id is None else wire.MESSAGE_KIND_RESPONSE
    envelope = wire.DataServerMessage(request_id=request_id or "", kind=kind)
    match message:
        case m.ModelMessage():
            envelope.message.type = message.type
            fill_struct(envelope.message.data, message.data)
            envelope.message.data.SetInParent()
        case m.Ack():
            if request_id is None:  # nobody waits, and an empty notification says nothing
                return None
        case m.StepResult():
            _fill_step_result(envelope.step_result, message)
        case m.Failure():
            envelope.error.code, envelope.error.message = message.code, message.message
    return m.DATA, envelope.SerializeToString()


# --- the client's side -------------------------------------------------------------------------------------------


def encode_client(message: m.ClientMessage) -> m.OutgoingFrame | None:
    """The frame for `message`, or None where this format has no place for it; `UsageError` if it cannot be written."""
    try:
        return _client_frame(message)
    except (ValueError, TypeError) as error:
        raise UsageError(f"a {type(message).__name__} cannot be written: {error}") from error


def _client_frame(message: m.ClientMessage) -> m.OutgoingFrame | None:
    request_id: str | None = getattr(message, "request_id", None)
    kind = wire.MESSAGE_KIND_NOTIFICATION if request_id is None else wire.MESSAGE_KIND_REQUEST
    if isinstance(message, m.Command | m.RequestStep):
        envelope = wire.DataClientMessage(request_id=request_id or "", kind=kind)
        if isinstance(message, m.Command):
            _fill_command(envelope.command, message)
        else:
            _fill_step_request(envelope.request_step, message)
        return m.DATA, envelope.SerializeToString()
    if isinstance(message, m.RequestCapabilities):
        return None
    control = wire.ControlClientMessage(request_id=request_id or "", kind=kind)
    _fill_control(control, message)
    return m.CONTROL, control.SerializeToString()


def _fill_command(command: wire.Command, message: m.Command) -> None:
    command.type = message.name
    fill_struct(command.data, message.arguments)
    command.data.SetInParent()
    for name, file in message.uploads.items():
        _fill_reference(command.uploads[name], file)


def _fill_reference(reference: wire.UploadReference | wire.FileUploaded, file: m.UploadReference) -> None:
    reference.upload_id, reference.name = file.upload_id, file.name
    reference.mime_type, reference.size = file.mime_type, file.size


def _fill_control(envelope: wire.ControlClientMessage, message: m.ClientMessage) -> None:
    match message:
        case m.Ping():
            envelope.ping.SetInParent()
        case m.RequestSchema():
            envelope.request_schema.SetInParent()
        case m.RequestRecording():
            envelope.request_recording.SetInParent()
        case m.FileUploaded():
            _fill_reference(envelope.file_uploaded, message.file)
        case m.RequestClip():
            envelope.request_clip.duration_seconds = float(message.seconds)
        case m.PublishTrack():
            envelope.publish_track.name = message.name
        case m.UnpublishTrack() | m.PauseTrack() | m.ResumeTrack():
            getattr(envelope, m.verb_of(message)).name = message.name
        case m.PeerFault():
            envelope.error.code, envelope.error.message = message.code, message.message
        case m.ClientStats():
            _fill_stats(envelope.client_stats, message)
        case _:
            raise AssertionError(f"{type(message).__name__} does not travel on 'control'")


def _fill_stats(stats: wire.ClientStats, message: m.ClientStats) -> None:
    stats.SetInParent()
    for track in message.tracks:
        stat = stats.track_stats.add(track_name=track.track, paused=track.paused)
        stat.metrics.update(track.metrics)
        for each in track.stages:
            stat.frame_stages.add(name=each.name, total_ms=each.total_ms, frames=each.frames)
    stats.connection_stat.metrics.update(message.connection)


def decode_server(label: str, data: bytes, *, limit: int = MESSAGE_BYTES) -> m.ServerMessage:
    """Decode a server's frame. An error on `control` whose code is that of a refused claim is `PublishRefused`."""
    if label == m.CONTROL:
        return _decode_control_server(_parse(wire.ControlServerMessage(), label, data, limit))
    envelope = _parse(wire.DataServerMessage(), label, data, limit)
    request_id = envelope.request_id or None
    match envelope.WhichOneof("payload"):
        case "message":
            return m.ModelMessage(envelope.message.type, from_struct(envelope.message.data), request_id)
        case "step_result":
            return _step_result(envelope.step_result, request_id)
        case "error":
            return m.Failure(request_id, envelope.error.code, envelope.error.message)
        case _:
            if request_id is None:
                raise PeerError("a frame on 'data' has unknown contents")
            return m.Ack(request_id)


def _decode_control_server(envelope: wire.ControlServerMessage) -> m.ServerMessage:
    request_id = envelope.request_id or None
    match envelope.WhichOneof("payload"):
        case "model_schema":
            return m.SchemaDocument(from_struct(envelope.model_schema.openapi), request_id)
        case "clip_ready":
            return _clip_ready(envelope.clip_ready, request_id)
        case "clip_failed":
            return m.ClipFailed(envelope.clip_failed.reason, request_id)
        case "moderation":
            said = envelope.moderation
            return m.Moderation(said.action, said.input_kind, said.command, tuple(said.categories), said.message)
        case "publish_track":
            return m.PublishGranted(envelope.publish_track.name, request_id)
        case "session_ended":
            return m.SessionEnded(envelope.session_ended.reason)
        case "error":
            if envelope.error.code in (m.PUBLISH_REFUSED, m.PUBLISHER_SLOT_TAKEN):
                return m.PublishRefused("", request_id, envelope.error.message)
            return m.Failure(request_id, envelope.error.code, envelope.error.message, m.CONTROL)
        case _:
            return m.Pong()


def _clip_ready(clip: wire.ClipReady, request_id: str | None) -> m.ClipReady:
    return m.ClipReady(
        clip.session_id,
        "snap" if clip.kind == "snap" else "recording",
        clip.start_marker,
        clip.end_marker,
        clip.now_marker,
        clip.predicted_ready_at_ms,
        clip.playlist_url,
        request_id,
    )


_KINDS: Final[dict[int, Literal["video", "audio"]]] = {wire.TRACK_KIND_VIDEO: "video", wire.TRACK_KIND_AUDIO: "audio"}
_ENCODINGS: Final[dict[int, Literal["raw", "h264"]]] = {
    wire.FRAME_ENCODING_RAW: "raw",
    wire.FRAME_ENCODING_H264: "h264",
}
_FAILURES: Final[dict[int, m.StepFailure]] = {failure.value: failure for failure in m.StepFailure}


class _Repeated(Protocol):
    def add(self, **fields: Any) -> Any: ...


def _step_request(step: wire.RequestStep, request_id: str | None) -> m.RequestStep:
    """The request; whether it fits the model is the runtime's to say."""
    commands = tuple(_command(command, None) for command in step.commands)
    return m.RequestStep(request_id, from_struct(step.state), commands, tuple(map(_track, step.media_input)))


def _step_result(step: wire.StepResult, request_id: str | None) -> m.StepResult:
    """The result; a failure code of a later protocol reads as `FAILED`."""
    failure = _FAILURES.get(step.failure_code, m.StepFailure.FAILED) if step.failure_code else None
    return m.StepResult(
        request_id,
        step.step,
        tuple(map(_track, step.tracks)),
        step.elapsed_seconds,
        failure,
        step.error if step.HasField("error") else None,
        step.code if step.HasField("code") else None,
        step.entry if step.HasField("entry") else None,
    )


def _track(track: wire.TrackFrames) -> m.TrackFrames:
    if track.kind not in _KINDS:
        raise PeerError(f"track {track.track!r} of a step is neither video nor audio; set its kind")
    if track.rate - track.rate != 0:
        raise PeerError(f"the rate of track {track.track!r} of a step is not finite")
    return m.TrackFrames(track.track, _KINDS[track.kind], tuple(map(_frame, track.frames)), track.rate)


def _frame(frame: wire.Frame) -> m.MediaFrame:
    if frame.encoding not in _ENCODINGS:
        raise PeerError(f"a frame of a step has the encoding {frame.encoding}; send raw or H264")
    return m.MediaFrame(
        _ENCODINGS[frame.encoding],
        frame.dtype,
        tuple(frame.shape),
        frame.data,
        frame.metadata if frame.HasField("metadata") else None,
        frame.capture_time_us if frame.HasField("capture_time_us") else None,
    )


def _fill_step_request(step: wire.RequestStep, message: m.RequestStep) -> None:
    step.SetInParent()
    fill_struct(step.state, message.state)
    for command in message.commands:
        _fill_command(step.commands.add(), command)
    _fill_tracks(step.media_input, message.media_input)


def _fill_step_result(step: wire.StepResult, message: m.StepResult) -> None:
    step.step = message.step
    step.elapsed_seconds = message.elapsed
    _fill_tracks(step.tracks, message.tracks)
    if message.failure is not None:
        step.failure_code = message.failure.value  # type: ignore[assignment]  # a number the enum knows
    for name in ("error", "code", "entry"):
        value: str | None = getattr(message, name)
        if value is not None:
            setattr(step, name, value)


def _fill_tracks(repeated: _Repeated, tracks: Iterable[m.TrackFrames]) -> None:
    kinds = {name: number for number, name in _KINDS.items()}
    encodings = {name: number for number, name in _ENCODINGS.items()}
    for track in tracks:
        out = repeated.add(track=track.track, kind=kinds[track.kind], rate=track.rate)
        for frame in track.frames:
            out.frames.add(
                encoding=encodings[frame.encoding],
                dtype=frame.dtype,
                shape=frame.shape,
                data=frame.data,
                metadata=frame.metadata,
                capture_time_us=frame.capture_time_us,
            )
