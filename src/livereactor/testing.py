"""A stage for tests of your model: no threads, no network, no waiting. The code that serves a model runs it here too.

def test_a_drop_is_confirmed() -> None:
    with Stage(Pond) as stage:
        reply = stage.command("drop", x=0.5, y=0.5)
        assert reply is not None and reply.type == "dropped"
        assert stage.step().frames["main_video"][0].shape == (360, 640, 3)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias, cast

from livereactor.base.errors import LivereactorError, UsageError
from livereactor.media.frames import Frame, Pixels, Samples, Sound
from livereactor.media.pixels import as_frames, as_sound
from livereactor.protocol.schema import arguments_with_files, validate_arguments
from livereactor.runtime.authoring.context import UploadedFile
from livereactor.runtime.authoring.emission import sound_seconds
from livereactor.runtime.authoring.inputs import InputQueue
from livereactor.runtime.authoring.model import Model
from livereactor.runtime.authoring.tracks import AudioIn, VideoIn
from livereactor.runtime.execution import pacing
from livereactor.runtime.execution.pacing import tuning_of
from livereactor.runtime.execution.runner import ModelRunner, StepMade, StreamError
from livereactor.runtime.interfaces import (
    Call,
    ClientInfo,
    MessageOut,
    MessageSent,
    ModelEvent,
    Progress,
    ReceivedFile,
    Role,
    SessionStart,
)

FIRST_CLIENT: Final = 1001
Reply: TypeAlias = MessageOut  # of a command or `self.send`: `.type` and `.data`


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one `yield` of the model.

    Attributes:
        frames: per video track its Pixels, one or a chunk; empty for a step without output.
        sounds: per audio track its samples, int16, shape (samples, channels).
        tags: per video track the `user_data` of its Frames.
        messages: the messages that the model sent since the last step, to any client.
        waiting: the model yielded `lr.wait_for(…)` and no input has come yet.
        ended: `stream` has returned; there was no step.
    """

    frames: Mapping[str, list[Pixels]] = field(default_factory=dict[str, list[Pixels]])
    sounds: Mapping[str, Samples] = field(default_factory=dict[str, Samples])
    tags: Mapping[str, list[bytes]] = field(default_factory=dict[str, list[bytes]])
    messages: list[MessageOut] = field(default_factory=list[MessageOut])
    waiting: bool = False
    ended: bool = False


class Stage:
    """A model under test. Everything runs on the caller's thread, during the call.

    Args:
        model: the class.
        config: what `load(self, config)` gets.
    """

    def __init__(self, model: type[Model], **config: Any) -> None:
        self._runner = ModelRunner(model, self, config=config)
        self._messages: list[MessageOut] = []
        self._progress: list[tuple[float, str]] = []
        self._pacing = pacing.Pacing(tuning_of(self._runner.definition.declarations))
        self._now = 0.0
        self._sessions = self._uploads = 0
        self._unwanted: frozenset[str] = frozenset()

    # --- Sessions ----------------------------------------------------------------------------------------------------

    def open(self, **extra_args: Any) -> Self:
        """Load the model if needed, and begin a Session; an open Session ends first.

        Raises:
            Any error of the model's `load` or `open`.
        """
        if self._runner.model is None:
            self._author(self._runner.load)
        self.close()
        self._sessions += 1
        self._author(lambda: self._runner.open(SessionStart(f"ses_test{self._sessions}", extra_args)))
        self._pacing.handle(pacing.Opened(), self._now)
        return self

    def close(self) -> None:
        """End the Session; the model stays loaded."""
        self._pacing.handle(pacing.Closed(), self._now)
        self._runner.close()
        self._messages.clear()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *exc: object) -> None:
        self._runner.shut()

    @property
    def model(self) -> Model:
        """The model's instance.

        Raises:
            UsageError: the model is not loaded yet.
        """
        if self._runner.model is None:
            raise UsageError("the model is not loaded; call open() first")
        return self._runner.model

    @property
    def progress(self) -> list[tuple[float, str]]:
        """Reports of `self.progress`, in order: fraction and text."""
        return self._progress

    # --- what clients do ---------------------------------------------------------------------------------------------

    def command(self, name: str, /, **arguments: Any) -> MessageOut | None:
        """Send a command as the first client, as `send` does."""
        return self.send(name, arguments)

    def send(self, name: str, arguments: Mapping[str, Any], *, client: int = FIRST_CLIENT) -> MessageOut | None:
        """Validate a command's arguments, run its handler, and return its reply, None where it acknowledges.

        Args:
            arguments: JSON values; files as `lr.File(name, mime_type, data)`.

        Raises:
            InvalidCommandError: the arguments break the schema; the handler did not run.
            CommandError: the author refused.
            Any other error of the handler, which a client would see as `internal_error`.
        """
        schema = self._runner.definition.schema.command(name)
        files: dict[str, UploadedFile] = {}
        checked = validate_arguments(schema, {key: self._referred(value, files) for key, value in arguments.items()})
        call = Call(name, arguments_with_files(schema, checked, files))
        replies: list[MessageOut | None] = []
        self._author(lambda: self._runner.call(call, self._info(client), replies.append))
        self._pacing.handle(pacing.Kicked("command"), self._now)
        return replies[0]

    def join(self, client: int = FIRST_CLIENT, role: Role = "owner") -> None:
        """Let a client join."""
        self._runner.join(self._info(client, role))

    def leave(self, client: int = FIRST_CLIENT) -> None:
        """Let a client leave."""
        self._runner.leave(self._info(client))

    def upload(self, file: UploadedFile) -> None:
        """Upload a file that no command refers to yet."""
        self._uploads += 1
        self._runner.uploaded(
            ReceivedFile(f"up{self._uploads}", file.name, file.mime_type, file.data, file.image_pixels)
        )

    def feed(self, track: str, value: Any, *, client: int = FIRST_CLIENT) -> None:
        """Put a picture (or several) or sound into an input track, as a client that publishes it would."""
        target = self._runner.tracks.get(track)
        match target:
            case VideoIn():
                for frame in as_frames(value, where=track):
                    self._runner.feed(track, Frame(frame.pixels, frame.user_data, round(self._now * 1e6), 0, client))
            case AudioIn():
                self._runner.feed(
                    track, as_sound(value, rate=target.sample_rate, channels=target.channels, where=track)
                )
            case _:
                raise UsageError(f"no input track {track!r}; declared: {', '.join(self._runner.definition.inputs)}")
        self._runner.input_active(track, True)
        self._pacing.handle(pacing.Kicked("input"), self._now)

    def unwant(self, *tracks: str) -> None:
        """Set the outputs that no client receives, so that their `wanted` is False."""
        self._unwanted = frozenset(tracks)

    # --- time --------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The time of the stage's own clock in seconds; only `run` moves it."""
        return self._now

    def step(self) -> Step:
        """Make one step: run `stream` to its next `yield`.

        Raises:
            Any error of `stream`; EmissionError for a `yield` that cannot be sent.
        """
        made = self._author(self._runner.step)
        messages, self._messages = self._messages, []
        waits = made.waits is not None and not made.waits.over()
        if not made.ended:
            self._stepped(made, waits)
        pictures = {name: item for name, item in made.emission.items() if not isinstance(item, Sound)}
        return Step(
            frames={name: [frame.pixels for frame in item] for name, item in pictures.items()},
            sounds={name: item.samples for name, item in made.emission.items() if isinstance(item, Sound)},
            tags={name: [frame.user_data for frame in item] for name, item in pictures.items()},
            messages=messages,
            waiting=waits,
            ended=made.ended,
        )

    def run(self, seconds: float) -> list[tuple[float, Step]]:
        """Move the clock and make the steps that the model's pacing asks for, as if each took no time.

        Returns:
            (time, step), in order.
        """
        end, steps = self._now + seconds, list[tuple[float, Step]]()
        while (due := self._pacing.deadline()) is not None and max(due, self._now) < end:
            self._now = max(due, self._now)
            steps.append((self._now, self.step()))
            if steps[-1][1].ended:
                self._pacing.handle(pacing.Closed(), self._now)
        self._now = end
        return steps

    # --- RunnerHost: what the model asks for -------------------------------------------------------------------------

    def publish(self, event: ModelEvent) -> None:
        match event:
            case MessageSent(message):
                self._messages.append(message)
            case Progress(fraction, text):
                self._progress.append((fraction, text))
            case _:
                pass

    def wanted(self, track: str) -> bool:
        return track not in self._unwanted

    def retuned(self, track: str) -> None:
        self._pacing.handle(pacing.Retuned(tuning_of(self._runner.tracks)), self._now)

    def flush(self, track: str) -> None: ...

    def wait_input(self, queue: InputQueue, timeout: float | None) -> bool:
        if timeout is None and not queue.unread():
            raise UsageError("the model waits for input forever; call feed() first, or give frames() a timeout")
        return queue.unread()

    # --- inner -------------------------------------------------------------------------------------------------------

    def _info(self, client: int, role: Role = "owner") -> ClientInfo:
        return ClientInfo(client, role, joined_at=self._now)

    def _stepped(self, made: StepMade, waits: bool) -> None:
        timeout = made.waits.timeout if made.waits else None
        until = None if timeout is None else self._now + timeout
        event = pacing.Stepped(self._now, bool(made.emission), sound_seconds(made.emission), waits, until)
        self._pacing.handle(event, self._now)

    def _referred(self, value: Any, files: dict[str, UploadedFile]) -> Any:
        """Return `value` with files replaced by references to them, as clients send them."""
        match value:
            case UploadedFile():
                name = f"up{len(files) + 1}"
                files[name] = value
                return {"upload_id": name, "name": value.name, "mime_type": value.mime_type, "size": value.size}
            case list():
                return [self._referred(each, files) for each in cast("list[Any]", value)]
            case dict():
                return {key: self._referred(each, files) for key, each in cast("dict[str, Any]", value).items()}
            case _:
                return value

    def _author(self, work: Any) -> Any:
        """Return the result of `work`; an error of the model is raised as the model raised it, with its traceback."""
        try:
            return work()
        except StreamError as error:
            raise (error.__cause__ or error) from None
        except LivereactorError as error:
            if error.code in ("internal_error", "model_load_failed") and error.__cause__ is not None:
                raise error.__cause__ from None
            raise
