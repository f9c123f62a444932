"""The bodies of the HTTP API (docs/protocol.md), as a runtime takes and gives them. Pure.

Unknown fields are ignored; what is absent is left out of a body, never null, as official clients check strictly.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from livereactor.base.errors import LivereactorError, PeerError, QuotaError, UnavailableError
from livereactor.base.limits import Limits
from livereactor.protocol.json_text import parse_json
from livereactor.protocol.sdp import MAX_MID, SDP_BYTES

BODY_BYTES: Final = Limits().body_bytes
JSON_NODES: Final = Limits().json_nodes
Kind: TypeAlias = Literal["video", "audio"]
Direction: TypeAlias = Literal["recvonly", "sendonly"]  # from the client's side


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Before a strict int: 600.0 is an integer of JSON as well as 600 (JSON Schema 2020-12, 6.1.1); "600" and true are none.
WHOLE: Final = BeforeValidator(_whole)


class Body(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    def to_body(self) -> dict[str, Any]:
        """The JSON object, without what is absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


# --- sessions ----------------------------------------------------------------------------------------------------


class StartingCommand(Body):
    """One command to run before the first client connects."""

    model_config = ConfigDict(extra="forbid")

    command: str
    data: dict[str, Any] = Field(default_factory=dict[str, Any])


class StartingInput(Body):
    """The input that a session starts with; each `state` key runs as `set_<key>`. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")

    state: dict[str, Any] = Field(default_factory=dict[str, Any])
    commands: list[StartingCommand] = Field(default_factory=list[StartingCommand])


class IceCredentials(Body):
    """Credentials of a TURN server."""

    username: str
    password: str = Field(repr=False)


class IceServerBody(Body):
    """One STUN or TURN server; without credentials the key is absent."""

    uris: list[str]
    credentials: IceCredentials | None = None


class IceServers(Body):
    """Answer of `GET …/ice_servers`."""

    ice_servers: list[IceServerBody] = Field(default_factory=list[IceServerBody])


class ModelInfo(Body):
    """The model that a session runs."""

    name: str
    version: str | None = None


class ClientInfoBody(Body):
    """The client's description of itself."""

    sdk_version: str = ""
    sdk_type: str = ""

    @property
    def is_livereactor(self) -> bool:
        """One of ours: its pings on `control` are answered."""
        return self.sdk_type.startswith("livereactor")


class ModerationTerms(Body):
    """The terms on which a coordinator has a session's content moderated.

    Attributes:
        fields: the texts and files that are asked about: those marked `moderate`, or all.
        on_failure: whether content passes (`open`) where there is no verdict.
    """

    fields: Literal["marked", "all"] = "marked"
    on_failure: Literal["open", "closed"] = "open"


class StartSession(Body):
    """Body of `POST /start_session`. Windows, in seconds, shorten the operator's.

    Only a relay names ICE servers, the account whose Session it is, and the terms of moderation.
    """

    extra_args: dict[str, Any] | None = None
    extra_configs: dict[str, Any] | None = None
    generation: Literal["streamed", "stepped"] | None = None
    starting_input: StartingInput | None = None
    steps: int | None = Field(default=None, ge=1, le=Limits().steps)
    session_id: str | None = Field(default=None, min_length=1, max_length=128, pattern=r"^[\w.\-]+$")
    max_duration: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    reconnection_window: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    unclaimed_window: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    ice_servers: list[IceServerBody] | None = None
    account: str = Field(default="", max_length=128)
    moderation: ModerationTerms | None = None

    @property
    def is_stepped(self) -> bool:
        """Stepped generation, wherever the client said so."""
        return self.generation == "stepped" or (self.extra_configs or {}).get("generation") == "stepped"

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments for the model: both spellings in one, `extra_args` winning."""
        return {**(self.extra_configs or {}), **(self.extra_args or {})}


class CreateSession(StartSession):
    """Body of `POST /sessions`. A model's name may come with its owner before a slash."""

    model: ModelInfo
    client_info: ClientInfoBody = Field(default_factory=ClientInfoBody)


class StopSession(Body):
    """Body of `POST /stop_session`."""

    moderate: bool = False
    reason: str | None = Field(default=None, max_length=64)


class ServerInfo(Body):
    """The server that runs the session; official clients insist on it."""

    server_version: str


class SelectedTransport(Body):
    """The only transport there is."""

    protocol: Literal["webrtc"] = "webrtc"
    version: str = "1.0"


class TrackCapability(Body):
    """One track, its direction as seen by the client."""

    name: str
    kind: Kind
    direction: Direction


class CommandCapability(Body):
    """One command; `description` must be a text, empty at least."""

    name: str
    description: str = ""
    arguments_schema: dict[str, Any] | None = Field(default=None, alias="schema")


class CapabilitiesBody(Body):
    """The capabilities of a session; all of it must be there once signalling works."""

    protocol_version: str = "v0"
    tracks: list[TrackCapability]
    commands: list[CommandCapability] = Field(default_factory=list[CommandCapability])
    emission_fps: float | None = None


class RecordingInfo(Body):
    """Whether clips can be asked for."""

    enabled: bool
    chunk_seconds: float | None = None


class QueueBody(Body):
    """A Ticket as its client sees it.

    Attributes:
        position: 1 is served next.
        length: Tickets in the queue, this one included.
        estimated_wait: seconds; absent while nothing is known.
        estimate_error: mean absolute error of past estimates, seconds.
        loading: 0..1 of a Worker that is on its way, and in words what it does.
    """

    position: int
    length: int
    estimated_wait: float | None = None
    estimate_error: float | None = None
    loading: float | None = None
    loading_text: str | None = None


class SessionDescriptor(Body):
    """Answer of `start_session`, `session` and `sessions/{sid}`. Ready = `capabilities` and `selected_transport`.

    The last six come from a coordinator only; `…_at` are Unix seconds, and `version` stands for all of it: a poll that
    names it is answered when there is another.
    """

    session_id: str
    state: str
    cluster: str = "local"
    model: ModelInfo
    server_info: ServerInfo
    selected_transport: SelectedTransport | None = None
    capabilities: CapabilitiesBody | None = None
    generation: Literal["streamed", "stepped"] | None = None
    recording: RecordingInfo | None = None
    queue: QueueBody | None = None
    created_at: float | None = None
    expires_at: float | None = None
    reconnection_window: float | None = None
    end_reason: str | None = None
    version: str | None = None


class Health(Body):
    """Answer of `GET /health`; `progress` of loading, 0..1."""

    status: Literal["healthy", "unhealthy"]
    state: Literal["loading", "available", "serving", "terminated"]
    detail: str | None = None
    progress: float | None = None


# --- signalling (1.8 to 1.12) ------------------------------------------------------------------------------------


class ConnectionCreated(Body):
    """Answer of `POST …/connections`; the id is an integer, 1002 to 9999."""

    connection_id: int
    track_map: dict[str, Any] | None = None


class TrackMapping(Body):
    """The track of a section of the offer; `kind` is checked against the model's, not here."""

    mid: str
    name: str
    kind: str
    direction: Direction


class Offer(Body):
    """Body of `POST|PUT …/sdp_params`.

    Attributes:
        want_answer: hold the request, and give the answer with its 202: our own clients save a round trip.
    """

    sdp_offer: str = Field(min_length=1)
    want_answer: bool = False
    client_info: ClientInfoBody = Field(default_factory=ClientInfoBody)
    track_mapping: list[TrackMapping] = Field(default_factory=list[TrackMapping], max_length=128)


class OfferTaken(Body):
    """Answer of `POST|PUT …/sdp_params`: 202. `sdp_answer`: where it was wanted and is there."""

    connection_id: int | None = None
    sdp_answer: str | None = None


class Answer(Body):
    """Answer of `GET …/sdp_params`."""

    sdp_answer: str
    connection_id: int | None = None


class CandidateBody(Body):
    """One candidate, `candidate:…` without `a=`; an empty line ends gathering."""

    candidate: str = Field(max_length=1024)
    sdp_mid: str | None = Field(default=None, max_length=MAX_MID)
    sdp_mline_index: int | None = Field(default=None, ge=0, le=SDP_BYTES)


class Candidates(Body):
    """Body of `POST …/ice_candidates`."""

    # Fail fast: a body of a hundred thousand wrong entries must not cost a hundred thousand errors.
    candidates: list[CandidateBody] = Field(
        default_factory=list[CandidateBody], max_length=Limits().candidates_per_connection, fail_fast=True
    )
    is_final: bool = False


# --- uploads (8) -------------------------------------------------------------------------------------------------


# Both stand in headers, logs and databases, where a line break begins another line and a NUL ends the text.
_NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f-\x9f]+$"


class UploadRequest(Body):
    """Body of `POST …/uploads`; `size` in bytes."""

    name: str = Field(min_length=1, max_length=255, pattern=_NO_CONTROLS)
    size: int = Field(gt=0)
    mime_type: str = Field(min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$")
    upload_id: str | None = Field(default=None, min_length=1, max_length=128, pattern=r"^[\w.\-]+$")


class AnnouncedUpload(UploadRequest):
    """The same, as a coordinator tells a Worker: it takes the bytes in itself, and they will lie under `key`.
    `link` is the share link that the client came by."""

    upload_id: str = Field(min_length=1, max_length=128, pattern=r"^[\w.\-]+$")  # pyright: ignore[reportIncompatibleVariableOverride]  (it must be there)
    key: str = Field(min_length=1, max_length=512)
    link: str = Field("", max_length=256)


class UploadSlot(Body):
    """Answer of it: the id that commands name, and where to PUT the bytes without a token."""

    presigned_id: str
    presigned_url: str
    path: str


# --- reading and errors ------------------------------------------------------------------------------------------

_Model = TypeVar("_Model", bound=Body)


def read_body(model: type[_Model], raw: bytes, *, limit: int = BODY_BYTES) -> _Model:
    """A request's body; empty, `null` and `{}` are the same, whatever its content type.

    Raises:
        PeerError: one readable sentence about the first thing that is wrong.
    """
    what = "the body"
    value = parse_json(raw, what, limit=limit, nodes=JSON_NODES) if raw.strip() else None
    if value is not None and not isinstance(value, dict):
        raise PeerError(f"{what} is a JSON {type(value).__name__}, not an object; send an object or nothing")
    try:
        return model.model_validate({} if value is None else value)
    except ValidationError as error:
        raise PeerError(f"{what}: {_sentence(error)}") from error


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:60] for part in first["loc"]) or "it"
    reason = first["msg"][:1].lower() + first["msg"][1:]
    if first["type"] == "model_type":  # pydantic names our class, which no client knows
        reason = f"want an object{_fields_of(first.get('ctx', {}).get('class_name'))}"
    others = error.error_count() - 1
    return f"{place}: {reason}" + (f" (and {others} more)" if others else "")


def _fields_of(name: str | None) -> str:
    """Return the fields of the body of this name, as a client writes them."""
    kind = next((each for each in Body.__subclasses__() if each.__name__ == name), None)
    fields = kind.model_fields.items() if kind is not None else ()
    shown = ", ".join(f'"{field.alias or each}": …' for each, field in fields)
    return f" such as {{{shown}}}" if shown else ""


def problem(error: LivereactorError) -> dict[str, Any]:
    """The body of an error answer: the sentence under both names that clients print, the code, what to expect."""
    body: dict[str, Any] = {
        "error": error.message,
        "detail": error.message,
        "code": error.code,
        "recoverable": error.recoverable,
    }
    if isinstance(error, QuotaError):
        body |= {"quota_type": error.quota_type, "limit": error.limit, "current": error.current}
    if isinstance(error, (UnavailableError, QuotaError)) and error.retry_after is not None:
        body["retry_after"] = error.retry_after
    return body
