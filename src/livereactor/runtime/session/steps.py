"""Steps on the wire: a request becomes calls and media, checked as a whole; a result becomes frames. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from livereactor.base.errors import LivereactorError, PeerError, UnavailableError
from livereactor.media.frames import Frame, Sound
from livereactor.protocol import messages as m
from livereactor.protocol.http import StartingInput
from livereactor.protocol.schema import ModelSchema, argument_uploads, arguments_with_files, validate_arguments
from livereactor.runtime.execution.command_queue import size_of
from livereactor.runtime.interfaces import Call, OutputDeclaration, StepOutput

MAX_SIDE: Final = 8192  # pixels; a frame is bounded by the message as well


class StepRefusedError(PeerError):
    """A request is wrong, and nothing of it was applied.

    Attributes:
        entry: the part at fault, such as `state.prompt`, `commands[2]` or `media_input[0]`.
    """

    def __init__(self, entry: str, message: str, code: str) -> None:
        super().__init__(message, code=code)
        self.entry = entry


@dataclass(frozen=True, slots=True)
class CheckedCalls:
    """Calls that fit the schema; `uploads` are the files that they wait for."""

    state: Sequence[tuple[str, Call]]
    commands: Sequence[tuple[str, Call]]
    uploads: frozenset[str]

    def with_files(self, schema: ModelSchema, files: Mapping[str, Any]) -> CheckedCalls:
        """Return the same calls with every upload reference replaced by its file."""

        def arguments_of(call: Call) -> dict[str, Any]:
            return arguments_with_files(schema.command(call.command), call.arguments, files)

        def filled(calls: Sequence[tuple[str, Call]]) -> list[tuple[str, Call]]:
            return [(entry, replace(call, arguments=arguments_of(call))) for entry, call in calls]

        return CheckedCalls(filled(self.state), filled(self.commands), frozenset())


def checked_calls(schema: ModelSchema, state: Mapping[str, Any], commands: Sequence[m.Command]) -> CheckedCalls:
    """Return the calls of a request: its state as `set_<key>` by ascending key, then its commands in order.

    Raises:
        StepRefusedError: one of them breaks the schema.
    """
    uploads: set[str] = set()

    def checked(entry: str, command: m.Command) -> tuple[str, Call]:
        try:
            spec = schema.command(command.name)
            arguments = validate_arguments(spec, command.arguments, command.uploads)
        except LivereactorError as error:
            raise StepRefusedError(entry, error.message, error.code) from error
        uploads.update(argument_uploads(spec, arguments))
        return entry, Call(command.name, arguments, size=size_of(arguments))

    return CheckedCalls(
        [checked(f"state.{key}", m.Command(f"set_{key}", {key: state[key]})) for key in sorted(state)],
        [checked(f"commands[{index}]", command) for index, command in enumerate(commands)],
        frozenset(uploads),
    )


def starting_calls(schema: ModelSchema, starting: StartingInput | None) -> tuple[tuple[str, Call], ...]:
    """Return the calls of a `starting_input`.

    Raises:
        PeerError: one of them breaks the schema, or needs a file.
    """
    if starting is None:
        return ()
    commands = [m.Command(each.command, each.data) for each in starting.commands]
    try:
        calls = checked_calls(schema, starting.state, commands)
    except StepRefusedError as error:
        raise PeerError(f"starting_input.{error.entry}: {error.message}", code=error.code) from error
    if calls.uploads:
        raise PeerError("starting_input: a session cannot start with files; upload them once it runs")
    return (*calls.state, *calls.commands)


def step_media(media: Sequence[m.TrackFrames], inputs: Mapping[str, str]) -> dict[str, Sequence[Frame | Sound]]:
    """Return Frames and Sounds for input tracks.

    Args:
        inputs: the kinds of the model's input tracks, by name.

    Raises:
        StepRefusedError: no such track, or not a frame of its kind.
    """
    given: dict[str, Sequence[Frame | Sound]] = {}
    for index, track in enumerate(media):
        entry = f"media_input[{index}]"
        if inputs.get(track.track) != track.kind:
            names = ", ".join(inputs) or "none"
            raise StepRefusedError(
                entry, f"no {track.kind} input {track.track[:64]!r}; there are {names}", "step_refused"
            )
        given[track.track] = [_media(entry, track, frame) for frame in track.frames]
    return given


def refused(request_id: str | None, error: LivereactorError) -> m.StepResult:
    """Return the result of a step that did not run."""
    entry = error.entry if isinstance(error, StepRefusedError) else None
    failure = failure_of(error)
    return m.StepResult(request_id, 0, failure=failure, error=error.message, code=error.code, entry=entry)


def failure_of(error: LivereactorError, other: m.StepFailure = m.StepFailure.REFUSED) -> m.StepFailure:
    """Return the failure that an error is on the wire; `other` where no code of its own fits."""
    if error.code == "session_ended":
        return m.StepFailure.SESSION_ENDED
    return m.StepFailure.NOT_READY if isinstance(error, UnavailableError) else other


def step_result(request_id: str | None, output: StepOutput, tracks: Sequence[OutputDeclaration]) -> m.StepResult:
    """Return the result of one step: an entry per output track, in the order of their declaration."""
    if output.command_code is not None:
        return m.StepResult(
            request_id,
            output.step,
            elapsed=output.elapsed,
            failure=m.StepFailure.COMMAND_FAILED,
            error=output.error,
            code=output.command_code,
            entry=output.entry,
        )
    failure = None if output.error is None else m.StepFailure.FAILED
    made = tuple(_track_frames(track, output.tracks.get(track.name, ())) for track in tracks)
    return m.StepResult(request_id, output.step, made, output.elapsed, failure, output.error)


def too_large(request_id: str | None, step: int, error: LivereactorError) -> m.StepResult:
    """Return the result of a step that ran, and whose frames do not fit the channel."""
    return m.StepResult(request_id, step, failure=m.StepFailure.RESULT_TOO_LARGE, error=error.message)


def _media(entry: str, track: m.TrackFrames, frame: m.MediaFrame) -> Frame | Sound:
    dtype, axes = ("uint8", 3) if track.kind == "video" else ("int16", 2)
    size = int(np.prod(frame.shape, dtype=np.int64)) * np.dtype(dtype).itemsize if len(frame.shape) == axes else -1
    fits = frame.encoding == "raw" and frame.dtype == dtype and size == len(frame.data) > 0
    if track.kind == "video":
        fits = fits and frame.shape[2] == 3 and max(frame.shape) <= MAX_SIDE
    if not fits:
        shape = "(height, width, 3)" if track.kind == "video" else "(channels, samples)"
        got = f"{frame.encoding} {frame.dtype} {frame.shape} in {len(frame.data)} bytes"
        raise StepRefusedError(entry, f"{track.track}: want raw {dtype} {shape}, got {got}", "step_refused")
    values = np.frombuffer(frame.data, dtype=np.dtype(dtype).newbyteorder("<")).reshape(frame.shape)
    if track.kind == "video":
        return Frame(values.astype(np.uint8, copy=False), frame.metadata or b"", frame.capture_time_us)
    return Sound(np.ascontiguousarray(values.T, dtype=np.int16), int(track.rate), frame.capture_time_us)


def _track_frames(track: OutputDeclaration, items: Sequence[Frame | Sound]) -> m.TrackFrames:
    rate = float(track.rate) if track.kind == "audio" else float(track.fps or 0.0)
    return m.TrackFrames(track.name, track.kind, tuple(_frame(item) for item in items), rate)


def _frame(item: Frame | Sound) -> m.MediaFrame:
    if isinstance(item, Sound):
        samples = np.ascontiguousarray(item.samples.T, dtype="<i2")
        return m.MediaFrame("raw", "int16", samples.shape, samples.tobytes(), None, item.captured_us)
    pixels = np.ascontiguousarray(item.pixels)
    return m.MediaFrame("raw", "uint8", pixels.shape, pixels.tobytes(), item.user_data or None, item.captured_us)
