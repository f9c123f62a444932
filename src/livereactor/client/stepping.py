"""Steps of a stepped Session: their arguments and results, for programs and on the wire. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from livereactor.client.errors import ReactorError, error_of
from livereactor.media.arrays import as_array, described
from livereactor.media.frames import Frame, Sound
from livereactor.protocol import messages as m

StepCommand: TypeAlias = str | tuple[str, Mapping[str, Any] | None] | Mapping[str, Any]
"""`"reset"`, `("drop", {"x": 0.5})` or `{"command": "drop", "data": {"x": 0.5}}`."""

StepMedia: TypeAlias = Mapping[str, Sequence[Any]]
"""By input track: Frames or arrays, uint8 RGB (height, width, 3); for sound `Sound`s (samples, channels) int16."""


@dataclass(frozen=True, slots=True, eq=False)
class StepFrame:
    """One Frame, or one block of samples, of a step's result.

    Attributes:
        array: video: uint8, shape (height, width, 3), RGB; audio: int16, shape (samples, channels). Read-only.
        user_data: the Frame's tag, or empty.
        captured_us: microseconds of the server's clock, if it said.
    """

    array: NDArray[Any]
    user_data: bytes = b""
    captured_us: int | None = None


@dataclass(frozen=True, slots=True)
class StepTrack:
    """The output of one track in a step; `rate` is Frames or samples a second, 0 if the server did not say."""

    name: str
    kind: Literal["video", "audio"]
    rate: float
    frames: tuple[StepFrame, ...]


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one step.

    Attributes:
        step: its number in the Session, from 1.
        tracks: one entry per output track, in the order of their declaration.
        messages: the model's Messages since the request, `{"type", "data"}` each, in their order.
        elapsed: seconds that the model took.
        error: why the step failed, if it ran and failed; else None.
    """

    step: int
    tracks: tuple[StepTrack, ...] = ()
    messages: tuple[Mapping[str, Any], ...] = ()
    elapsed: float = 0.0
    error: str | None = None

    def track(self, name: str) -> StepTrack:
        """Return the entry of one output track.

        Raises:
            KeyError: no output track has this name.
        """
        for track in self.tracks:
            if track.name == name:
                return track
        raise KeyError(f"no output track {name!r}; output tracks: {', '.join(t.name for t in self.tracks) or 'none'}")

    def with_messages(self, messages: Sequence[Mapping[str, Any]]) -> StepResult:
        """Return the same result with the model's Messages."""
        return replace(self, messages=tuple(messages))


def step_request(
    params: Mapping[str, Any] | None, commands: Sequence[StepCommand], media: StepMedia | None
) -> m.RequestStep:
    """Return the request for one step; the transport gives it its id.

    Args:
        params: values by parameter; each runs as `set_<name>`, in ascending order, before the commands.
        commands: run in their order, before the media is handed in.
        media: Frames or sound for the input tracks.

    Raises:
        TypeError: a command or Frame has another form.
    """
    tracks = tuple(_track(name, items) for name, items in (media or {}).items())
    return m.RequestStep(None, dict(params or {}), tuple(map(_command, commands)), tracks)


def step_result(result: m.StepResult) -> StepResult:
    """Return the result of a step from the server's answer.

    Raises:
        ReactorError: the step returned no result: `step_refused`, `step_not_ready`, `step_command_failed` (with
            `details["command_code"]`), `step_result_too_large` or `step_session_ended`; `details["entry"]` names the
            entry at fault. A step that ran and failed is a result with `error`.
    """
    if result.failure is not None and (code := _CODES.get(result.failure)) is not None:
        raise _refusal(code, result)
    tracks = tuple(
        StepTrack(track.track, track.kind, track.rate, tuple(_array(track.kind, frame) for frame in track.frames))
        for track in result.tracks
    )
    return StepResult(result.step, tracks, elapsed=result.elapsed, error=result.error)


_CODES: Final[Mapping[m.StepFailure, str]] = {
    m.StepFailure.REFUSED: "step_refused",
    m.StepFailure.NOT_READY: "step_not_ready",
    m.StepFailure.RESULT_TOO_LARGE: "step_result_too_large",
    m.StepFailure.COMMAND_FAILED: "step_command_failed",
    m.StepFailure.SESSION_ENDED: "step_session_ended",
}


def _refusal(code: str, result: m.StepResult) -> ReactorError:
    details = {"step": result.step, "entry": result.entry, "command_code": result.code}
    known = {name: value for name, value in details.items() if value is not None}
    message = result.error or "the step returned no result"
    if result.entry is not None and not message.startswith(result.entry):
        message = f"{result.entry}: {message}"
    return error_of(code, message, operation="step", details=known, recoverable=code == "step_not_ready")


def _command(command: StepCommand) -> m.Command:
    if isinstance(command, str):
        return m.Command(command)
    if isinstance(command, Mapping):
        name, data = command.get("command"), command.get("data")
    else:
        name, data = command
    if not isinstance(name, str) or not isinstance(data, Mapping | None):
        raise TypeError(f"a command of a step is (name, arguments), got {command!r}"[:200])
    return m.Command(name, dict(cast(Mapping[str, Any], data or {})))


def _track(name: str, items: Sequence[Any]) -> m.TrackFrames:
    if not items:
        raise ValueError(f"{name}: no Frames; leave the track out of `media`")
    sounds = [item for item in items if isinstance(item, Sound)]
    if not sounds:
        return m.TrackFrames(name, "video", tuple(_picture(name, item) for item in items), 0.0)
    if len(sounds) < len(items) or len({sound.rate for sound in sounds}) > 1:
        raise TypeError(f"{name}: give Sounds of one rate, and nothing else, to an audio track")
    return m.TrackFrames(name, "audio", tuple(map(_samples, sounds)), float(sounds[0].rate))


def _picture(name: str, item: object) -> m.MediaFrame:
    frame = item if isinstance(item, Frame) else None
    pixels = as_array(item if frame is None else frame.pixels)
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        got = type(item).__name__ if pixels is None else described(pixels)
        raise TypeError(f"{name}: want uint8 (height, width, 3), got {got}")
    tag, captured_us = (None, None) if frame is None else (frame.user_data or None, frame.captured_us)
    return m.MediaFrame("raw", "uint8", pixels.shape, pixels.tobytes(), tag, captured_us)


def _samples(sound: Sound) -> m.MediaFrame:
    samples = np.ascontiguousarray(sound.samples.T, dtype="<i2")
    return m.MediaFrame("raw", "int16", samples.shape, samples.tobytes(), None, sound.captured_us)


def _array(kind: str, frame: m.MediaFrame) -> StepFrame:
    if frame.encoding != "raw":
        raise error_of("UNSUPPORTED_FRAME_ENCODING", f"a step's Frame came as {frame.encoding}; update the server")
    dtype, axes = ("uint8", 3) if kind == "video" else ("int16", 2)
    try:
        if (frame.dtype, len(frame.shape)) != (dtype, axes):
            raise ValueError(f"{frame.dtype} {frame.shape}")
        array = np.frombuffer(frame.data, np.dtype(dtype).newbyteorder("<")).reshape(frame.shape)
    except ValueError as error:
        raise error_of("DECODE_FAILED", f"a step's Frame cannot be read: {error}", operation="step") from error
    return StepFrame(array if kind == "video" else array.T, frame.metadata or b"", frame.capture_time_us)
