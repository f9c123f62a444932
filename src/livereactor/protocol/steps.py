"""Requests and results of stepped sessions in the binary wire format (docs/protocol.md). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, Protocol

from livereactor.base.errors import PeerError
from livereactor.protocol import messages as m
from livereactor.protocol import wire_v1_pb2 as wire
from livereactor.protocol.structs import fill_struct, from_struct

_KINDS: Final[dict[int, Literal["video", "audio"]]] = {wire.TRACK_KIND_VIDEO: "video", wire.TRACK_KIND_AUDIO: "audio"}
_ENCODINGS: Final[dict[int, Literal["raw", "h264"]]] = {
    wire.FRAME_ENCODING_RAW: "raw",
    wire.FRAME_ENCODING_H264: "h264",
}
_FAILURES: Final[dict[int, m.StepFailure]] = {failure.value: failure for failure in m.StepFailure}


class _Repeated(Protocol):
    def add(self, **fields: Any) -> Any: ...


def step_request(step: wire.RequestStep, request_id: str | None) -> m.RequestStep:
    """The request; whether it fits the model is the runtime's to say."""
    commands = tuple(
        m.Command(
            command.type,
            from_struct(command.data),
            {
                name: m.UploadReference(file.upload_id, file.name, file.mime_type, file.size)
                for name, file in command.uploads.items()
            },
        )
        for command in step.commands
    )
    return m.RequestStep(request_id, from_struct(step.state), commands, tuple(map(_track, step.media_input)))


def step_result(step: wire.StepResult, request_id: str | None) -> m.StepResult:
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


def fill_step_request(
    step: wire.RequestStep, message: m.RequestStep, fill_command: Callable[[wire.Command, m.Command], None]
) -> None:
    """Write `message` into the empty `step`."""
    step.SetInParent()
    fill_struct(step.state, message.state)
    for command in message.commands:
        fill_command(step.commands.add(), command)
    _fill_tracks(step.media_input, message.media_input)


def fill_step_result(step: wire.StepResult, message: m.StepResult) -> None:
    """Write `message` into the empty `step`."""
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
