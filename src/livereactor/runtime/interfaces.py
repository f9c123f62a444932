"""The interfaces between the parts of a runtime: session service, model thread, outputs. Data and protocols.

session ──calls──► ModelThread ──emissions──► Outputs ──EncodedFrame──► engine's VideoOutput, recorder
   ▲                   │
   └────ModelEvents────┘  delivered on the model's thread: the listener only hands over to the loop
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias

from opentelemetry.context import Context

from livereactor.base.limits import Limits
from livereactor.base.timing import Timings
from livereactor.media.frames import EncodedFrame, Frame, Sound, VideoCodec

Role: TypeAlias = Literal["owner", "viewer"]
Pacing: TypeAlias = Literal["eager", "steady", "free"]

# --- declarations ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutputDeclaration:
    """An output track, as the model's class declares it."""

    name: str
    kind: Literal["video", "audio"]
    fps: float | None = 30.0  # video; None = the model's own rate
    width: int | None = None
    height: int | None = None
    pacing: Pacing = "eager"
    rate: int = 48_000  # audio: samples a second
    channels: int = 1  # audio


# --- who is there ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A Connection, as the model sees it."""

    id: int
    role: Role
    joined_at: float  # Unix seconds


class JournalStoppedError(Exception):
    """The Session is not recorded any more, so no more of its journal is kept; the Session goes on."""


class JournalSink(Protocol):
    """A destination of a Session's journal: kept with its Recording, protected like it, and not in a log.

    Called on the thread of the journal, except for `opened`. An error of `put` or `media_time` ends the journal, in
    good order where it is `JournalStoppedError`.
    """

    def opened(self) -> None:
        """Begin a journal; `closed` will follow. Called on the model's thread."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Keep a piece, under a name that is used once. Does not wait for a store."""
        ...

    def media_time(self, moment: float) -> float | None:
        """Return the Recording's media time at a moment of `time.monotonic`; None before its first picture."""
        ...

    def closed(self) -> None:
        """End: nothing more follows."""
        ...


class SessionObserver:
    """Follows everything that is done to the model in one Session; by itself it does nothing.

    The model's thread calls it, each time before the thing itself happens; a journal is written this way.
    """

    def opened(self, start: SessionStart) -> None: ...
    def called(self, call: Call, client: ClientInfo) -> None: ...
    def client_joined(self, client: ClientInfo) -> None: ...
    def client_left(self, client: ClientInfo) -> None: ...
    def file_uploaded(self, file: ReceivedFile) -> None: ...
    def outputs_wanted(self, tracks: frozenset[str]) -> None:
        """Take the output tracks that at least one client receives; called before each step, also unchanged."""

    def step_began(self) -> None: ...
    def step_made(self, emission: Mapping[str, Sequence[Frame] | Sound]) -> None: ...
    def step_dropped(self) -> None:
        """Forget the step that began: the stream has ended, or the Session ends inside it."""

    def input_awaited(self, waits: bool) -> None:
        """Note that the model begins (True) or stops (False) to wait for input inside its step."""

    def closed(self, *, failed: bool = False) -> None:
        """Finish: no step follows. `failed`: the last one raised. Called once."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """The arguments that a Session starts with."""

    id: str
    extra_args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stepped: bool = False
    starting: Sequence[tuple[str, Call]] = ()  # (entry, call): run after `open`, before any step
    steps: int | None = None  # the Session ends after this number; None = any number
    number: int = 0  # of this Session in its process; ids are clients' own and may come again
    observer: SessionObserver = field(default_factory=SessionObserver, compare=False, repr=False)
    timings: Timings = field(default_factory=Timings, compare=False, repr=False)  # of its stages


@dataclass(frozen=True, slots=True)
class SessionOrigin:
    """The origin of a Session, for its traces.

    Attributes:
        session: its id; "" = no Session.
        trace: the context of the request that started it; empty = it is not traced.
    """

    session: str = ""
    trace: Context = field(default_factory=Context)


NOT_TRACED: Final = SessionOrigin()
SESSION_ATTRIBUTE: Final = "livereactor.session"  # of a span


@dataclass(frozen=True, slots=True)
class MessageOut:
    """A Message on its way to clients: its wire type and JSON-ready data."""

    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ReceivedFile:
    """An Upload whose bytes have landed. It replaces each argument declared as a file before the model thread runs."""

    upload_id: str
    name: str
    mime_type: str
    data: bytes
    image_pixels: int = Limits().image_pixels  # most that its picture may have


# --- events of the model thread -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """Loading goes on: `fraction` 0..1."""

    fraction: float
    text: str


@dataclass(frozen=True, slots=True)
class LoadFinished:
    """`load` and `warmup` are done: sessions may open. `seconds` it took."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """`load` raised; the process ends with exit code 3. `reason` is one readable sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class MessageSent:
    """The model sent a Message: to one client, or to all where `client` is None; `session`: the Session's number."""

    message: MessageOut
    client: int | None
    session: int = 0


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """`open`, `stream` or an emission failed: the Session ends with reason `error`. `reason` goes to the
    log and to `/health`: where, and nothing that a user wrote. `reusable`: `open` may be tried again."""

    reason: str
    reusable: bool


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The generator returned: the Session ends with reason `stopped`."""


@dataclass(frozen=True, slots=True)
class StepsDone:
    """A bounded Session made all its steps."""


ModelEvent: TypeAlias = Progress | LoadFinished | LoadFailed | MessageSent | SessionFailed | StreamEnded | StepsDone

# --- calls and steps ----------------------------------------------------------------------------


@dataclass(slots=True)
class CallMarks:
    """The moments of a command, in monotonic seconds: received, its handler entered, and left."""

    asked: float = 0.0
    taken: float = 0.0
    done: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """One command to run: its name, and its arguments, checked and with files in place.

    Attributes:
        marks: written while it runs.
        size: bytes that the arguments keep in memory, as `command_queue.size_of` measures them once.
    """

    command: str
    arguments: Mapping[str, Any]
    marks: CallMarks | None = field(default=None, compare=False, repr=False)
    size: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class StepInput:
    """State as `set_<key>` calls in ascending key order, then commands, then media, then one step."""

    state: Sequence[tuple[str, Call]] = ()  # (entry such as "state.prompt", call)
    commands: Sequence[tuple[str, Call]] = ()  # (entry such as "commands[2]", call)
    media: Mapping[str, Sequence[Frame | Sound]] = field(default_factory=dict[str, Sequence[Frame | Sound]])


@dataclass(frozen=True, slots=True)
class StepOutput:
    """The outcome of one step. `error` without frames: it failed; `command_code` and `entry`: a call was refused."""

    step: int
    tracks: Mapping[str, Sequence[Frame | Sound]]
    elapsed: float
    error: str | None = None
    command_code: str | None = None
    entry: str | None = None


class OutputSink(Protocol):
    """The Outputs as the model thread sees them. Called on the model's thread; nothing here blocks."""

    def emit(self, emission: Mapping[str, Sequence[Frame] | Sound], *, step_seconds: float) -> None:
        """Hand over the output of one `yield`: per video track its Frames (one, or a chunk), per audio track its Sound.
        `step_seconds`: the length of the step, over which a chunk is spread where fps does not say otherwise."""
        ...

    def has_capacity(self) -> bool:
        """Return False while the play-out queue of any track is full: the next step waits."""
        ...

    def on_capacity(self, callback: Callable[[], None]) -> None:
        """Call `callback`, on a thread of the Outputs, whenever a queue may have capacity again."""
        ...

    def set_fps(self, track: str, fps: float | None) -> None: ...
    def flush(self, track: str) -> None: ...


class EncodedSink(Protocol):
    """A destination of encoded Frames of one codec; the engine's VideoOutput fits by shape."""

    @property
    def codec(self) -> VideoCodec | None: ...
    def send(self, frame: EncodedFrame) -> bool: ...


class SoundSink(Protocol):
    """A destination of sound in blocks of 10 ms; the engine's AudioOutput fits by shape."""

    def send(self, sound: Sound) -> bool: ...
