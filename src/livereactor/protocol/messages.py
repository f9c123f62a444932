"""Messages of the data channels as data, independent of the wire format. Pure: no IO, no clock.

`v0` (JSON) and `v1` (protobuf) turn bytes into these and back. A `request_id` of None means
that the sender awaits no correlated answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

JsonObject: TypeAlias = Mapping[str, Any]
ChannelLabel: TypeAlias = Literal["data", "control"]

DATA: Final[ChannelLabel] = "data"
CONTROL: Final[ChannelLabel] = "control"


class WireFormat(Enum):
    """The encoding of one connection's frames; the client's first frame settles it."""

    V0 = "v0"  # JSON in text frames
    V1 = "v1"  # protobuf in binary frames


# --- parts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UploadReference:
    """A client's description of a file that it has uploaded; only `upload_id` is trusted. `size` in bytes."""

    upload_id: str
    name: str = ""
    mime_type: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class MediaFrame:
    """One frame inside a step, as sent.

    Attributes:
        encoding: `raw` pixels or samples, or one `h264` access unit.
        dtype: of raw data: `uint8` (video) or `int16` little endian (audio).
        shape: (height, width, 3) or (channels, samples).
        metadata: the frame's tag.
        capture_time_us: the sender's clock, microseconds.
    """

    encoding: Literal["raw", "h264"]
    dtype: str
    shape: tuple[int, ...]
    data: bytes = field(repr=False)
    metadata: bytes | None = None
    capture_time_us: int | None = None


@dataclass(frozen=True, slots=True)
class TrackFrames:
    """The frames of one track inside a step; `rate` is frames or samples a second."""

    track: str
    kind: Literal["video", "audio"]
    frames: tuple[MediaFrame, ...]
    rate: float


class StepFailure(Enum):
    """A reason why a step gave no result, or not the whole of it."""

    REFUSED = 1  # the request is wrong: nothing was applied
    NOT_READY = 2  # the session cannot step now
    FAILED = 3  # the step ran and raised
    RESULT_TOO_LARGE = 4  # the step ran, its result exceeds the channel
    COMMAND_FAILED = 5  # a command refused; those before it stay applied
    SESSION_ENDED = 6  # the session ended meanwhile


# --- client to server --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    """A call of the model by name. `uploads` are file arguments by argument name, absent from `arguments`."""

    name: str
    arguments: JsonObject = field(default_factory=dict[str, Any])
    uploads: Mapping[str, UploadReference] = field(default_factory=dict[str, UploadReference])
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class RequestStep:
    """One step of a stepped session: state as `set_<key>`, then commands, then media."""

    request_id: str | None
    state: JsonObject
    commands: tuple[Command, ...]
    media_input: tuple[TrackFrames, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """The client lives; a livereactor client expects a `Pong`."""


@dataclass(frozen=True, slots=True)
class RequestSchema:
    """Asks for the `SchemaDocument`."""

    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class RequestCapabilities:
    """Asks for the `ModelCapabilities`; v0 only, old clients."""


@dataclass(frozen=True, slots=True)
class FileUploaded:
    """A file's bytes have been written."""

    file: UploadReference


@dataclass(frozen=True, slots=True)
class RequestClip:
    """Asks for the last `seconds` of the recording; finite, but may be zero or less (then refused by an answer)."""

    seconds: float
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class RequestRecording:
    """Asks for the whole recording."""

    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class PublishTrack:
    """Claims the input track `name`."""

    name: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class UnpublishTrack:
    """Gives the input track `name` back."""

    name: str


@dataclass(frozen=True, slots=True)
class PauseTrack:
    """Stop sending the output track `name` to this connection."""

    name: str


@dataclass(frozen=True, slots=True)
class ResumeTrack:
    """Send the output track `name` to this connection; repeated for a running track, nothing happens."""

    name: str


TRACK_VERBS: Final = {"unpublish_track": UnpublishTrack, "pause_track": PauseTrack, "resume_track": ResumeTrack}
"""The notifications about one track, by the names that both wire formats have for them."""


def verb_of(message: UnpublishTrack | PauseTrack | ResumeTrack) -> str:
    """Return the name in `TRACK_VERBS` of a message's kind."""
    return next(name for name, kind in TRACK_VERBS.items() if type(message) is kind)


@dataclass(frozen=True, slots=True)
class FrameStage:
    """The time that frames spent at one stage within a client, since its last report."""

    name: str
    total_ms: float
    frames: int


@dataclass(frozen=True, slots=True)
class TrackStats:
    """A client's figures of one track; names of metrics are the client's."""

    track: str
    paused: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    stages: tuple[FrameStage, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientStats:
    """A client's own figures; v1 only."""

    tracks: tuple[TrackStats, ...] = ()
    connection: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class PeerFault:
    """The client reports an error of its own."""

    code: str
    message: str


ClientMessage: TypeAlias = (
    Command
    | RequestStep
    | Ping
    | RequestSchema
    | RequestCapabilities
    | FileUploaded
    | RequestClip
    | RequestRecording
    | PublishTrack
    | UnpublishTrack
    | PauseTrack
    | ResumeTrack
    | ClientStats
    | PeerFault
)

# --- server to client --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelMessage:
    """The model speaks; with a `request_id` it is the reply to that command (in v0 just another message)."""

    type: str
    data: JsonObject = field(default_factory=dict[str, Any])
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """A command succeeded without a reply message; has no form in v0."""

    request_id: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A request failed; has no form in v0, where a refused command is silent. `channel`: where the request came."""

    request_id: str | None
    code: str
    message: str
    channel: ChannelLabel = DATA


@dataclass(frozen=True, slots=True)
class SchemaDocument:
    """The OpenAPI document of the model.

    Attributes:
        written: the document's bytes so far, by wire format: messages that share it are encoded once.
    """

    openapi: JsonObject
    request_id: str | None = None
    written: dict[WireFormat, bytes] = field(default_factory=dict[WireFormat, bytes], compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """The capabilities object; v0 only."""

    capabilities: JsonObject


@dataclass(frozen=True, slots=True)
class ClipReady:
    """A clip can be fetched. Markers are media seconds since the recording began."""

    session_id: str
    kind: Literal["snap", "recording"]
    start_marker: float
    end_marker: float
    now_marker: float
    predicted_ready_at_ms: int
    playlist_url: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class ClipFailed:
    """The Clip could not be made; official clients compare the reason `recorder disabled` byte for byte."""

    reason: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Moderation:
    """A moderator's verdict: `warn` or `terminate`."""

    action: str
    input_kind: str = ""
    command: str = ""
    categories: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class PublishGranted:
    """The input track is this connection's."""

    name: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class PublishRefused:
    """The input track is not: somebody publishes it, or there is none of that name."""

    name: str
    request_id: str | None
    message: str


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session is over, by the server's will."""

    reason: str


@dataclass(frozen=True, slots=True)
class RuntimeMessage:
    """A platform message of another type; v0 only."""

    type: str
    data: JsonObject = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one step; `step` counts from 1, `elapsed` in seconds; v1 only."""

    request_id: str | None
    step: int
    tracks: tuple[TrackFrames, ...] = ()
    elapsed: float = 0.0
    failure: StepFailure | None = None
    error: str | None = None
    code: str | None = None
    entry: str | None = None


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a `Ping` of a livereactor client; v1 only."""


ServerMessage: TypeAlias = (
    ModelMessage
    | Ack
    | Failure
    | SchemaDocument
    | ModelCapabilities
    | ClipReady
    | ClipFailed
    | Moderation
    | PublishGranted
    | PublishRefused
    | SessionEnded
    | RuntimeMessage
    | StepResult
    | Pong
)

OutgoingFrame: TypeAlias = tuple[ChannelLabel, bytes]
"""One encoded message and the label of the channel it goes on."""

MAY_NOT_RECORD: Final = "this connection may not record; it needs a token with the scope `record`"
"""The reason that v0, which has no codes, gives for a Clip that the client may not have."""
PUBLISH_REFUSED: Final = "publish_refused"
PUBLISHER_SLOT_TAKEN: Final = "PUBLISHER_SLOT_TAKEN"
"""The code of a refused claim in v1 and in v0; clients of v0 look only whether there is an error."""
