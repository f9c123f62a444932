"""The sections of settings: what each may hold, its default and its bounds. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from livereactor.base.limits import MIB, Limits
from livereactor.coordinator.auth.secrets import MIN_CHARS, worker_secrets
from livereactor.coordinator.options import CoordinatorOptions, Quotas, Rates
from livereactor.media.presets import Preset
from livereactor.moderation.judge import JudgeBounds
from livereactor.protocol.http import ModerationTerms
from livereactor.protocol.tokens import CEILING
from livereactor.web.proxies import ON_THIS_MACHINE, network_of

_DEFAULTS, _QUOTAS, _RATES, _SERVING = Limits(), Quotas(), Rates(), CoordinatorOptions()
_JUDGED, _TERMS = JudgeBounds(), ModerationTerms()
_WEBHOOK_SECRET: Final = 16  # characters
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9\-]{0,61}[A-Za-z0-9])?", re.ASCII)


def _networks(value: list[str]) -> list[str]:
    for each in value:
        try:
            network_of(each)
        except ValueError:
            raise ValueError(f"{each!r} is not an address or network; write '10.0.0.5' or '10.0.0.0/24'") from None
    return value


def _each_begins(*schemes: str, otherwise: str) -> AfterValidator:
    def check(value: list[str]) -> list[str]:
        for url in value:
            if not url.startswith(schemes):
                raise ValueError(f"{url!r} {otherwise}")
        return value

    return AfterValidator(check)


_Networks: TypeAlias = Annotated[list[str], AfterValidator(_networks)]
_Web = Annotated[
    list[str], _each_begins("https://", "http://", otherwise="is not a URL; write 'https://ops.example/hook'")
]
_Stun = Annotated[list[str], _each_begins("stun:", "stuns:", otherwise="is not a STUN server; write 'stun:host:port'")]
_Turn = Annotated[
    list[str],
    _each_begins("turn:", "turns:", otherwise="is not a TURN server; write 'turn:host:port?transport=udp'"),
]


def _long_enough(value: list[str]) -> list[str]:
    if any(len(each) < _WEBHOOK_SECRET for each in value):
        raise ValueError(f'want {_WEBHOOK_SECRET} characters or more; take "whsec_$(openssl rand -base64 32)"')
    return value


_Secrets: TypeAlias = Annotated[list[str], AfterValidator(_long_enough)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_default=True)


class RuntimeSettings(_Section):
    """`[runtime]`: how one runtime serves its model."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    insecure: bool = Field(False, description="Serve everyone on a non-loopback address, without a key.")
    origins: list[str] = Field(default_factory=list, description="Web origins that may steer, besides loopback.")
    proxies: _Networks = Field(list(ON_THIS_MACHINE), description="Reverse proxies, by address or network.")
    engine: Literal["auto", "libwebrtc", "aiortc"] = Field("auto", description="WebRTC engine.")
    max_connections: int = Field(_DEFAULTS.max_connections, ge=1, le=64, description="Connections in a session.")
    reconnection_window: float = Field(
        _DEFAULTS.reconnection_window, ge=0, description="Seconds a session survives without clients."
    )
    unclaimed_window: float = Field(
        _DEFAULTS.unclaimed_window, gt=0, description="Seconds a new session waits for its first client."
    )
    max_session_duration: float = Field(
        _DEFAULTS.max_session_duration, ge=0, description="Seconds a session may last; 0 = unlimited."
    )
    time_warning: float = Field(
        _DEFAULTS.time_warning, ge=0, description="Seconds before that limit at which clients are warned; 0 = never."
    )
    idle_timeout: float = Field(0, ge=0, description="Seconds without a command that end a session; 0 = off.")
    port_range: str | None = Field(None, description="UDP ports for media, as 'min:max'.")
    upload_dir: Path | None = Field(None, description="Folder for uploads; a temporary one by default.")
    upload_types: list[str] = Field(
        default_factory=list, description="MIME types that may be uploaded, such as 'image/*'; any by default."
    )
    upload_bytes: int = Field(_DEFAULTS.upload_bytes, ge=1, description="Bytes of one uploaded file.")
    upload_session_bytes: int = Field(
        _DEFAULTS.upload_session_bytes, ge=1, description="Bytes of all files of one session."
    )
    image_pixels: int = Field(_DEFAULTS.image_pixels, ge=1, description="Pixels of an uploaded picture.")
    upload_url_lifetime: float = Field(
        _DEFAULTS.upload_url_lifetime, ge=1, le=86_400, description="Seconds within which a reserved file is written."
    )
    upload_wait: float = Field(
        _DEFAULTS.upload_wait, ge=0, le=60, description="Seconds a command waits for a file that is still on its way."
    )
    client_silence: float = Field(
        _DEFAULTS.client_silence, ge=12, description="Seconds of silence after which a client counts as gone."
    )
    message_rate: float = Field(
        _DEFAULTS.message_rate, ge=1, description="Messages per second of a client that may control the session."
    )
    message_rate_bytes: float = Field(
        _DEFAULTS.message_rate_bytes, ge=1024, description="Bytes per second of such a client's messages."
    )
    header_wait: float = Field(
        _DEFAULTS.header_wait, gt=0, le=600, description="Seconds for the whole header of an HTTP request."
    )
    address_sockets: int = Field(
        _DEFAULTS.address_sockets, ge=1, description="HTTP connections of one address, known proxies aside."
    )
    log_format: Literal["text", "json"] = Field("text", description="How log records are written to stderr.")
    key: str | None = Field(None, min_length=16, repr=False, description="Key that clients must show.")
    public_address: str | None = Field(
        None, description="Addresses or names at which clients reach the media behind 1:1 NAT, separated by commas."
    )

    @field_validator("port_range")
    @classmethod
    def _ports(cls, value: str | None) -> str | None:
        if value is None:
            return None
        match = re.fullmatch(r"(\d{1,5}):(\d{1,5})", value)
        if match is None or not 1 <= int(match[1]) <= int(match[2]) <= 65535:
            raise ValueError("want 'min:max' with 1 <= min <= max <= 65535")
        return value

    @field_validator("public_address")
    @classmethod
    def _addresses(cls, value: str | None) -> str | None:
        for each in () if value is None else value.split(","):
            if not _is_address(each.strip()):
                raise ValueError("want IP addresses or host names, without ports, separated by commas")
        return value

    @field_validator("upload_types")
    @classmethod
    def _mime_types(cls, value: list[str]) -> list[str]:
        for each in value:
            if re.fullmatch(r"[a-z0-9][a-z0-9.+\-]*/(\*|[a-z0-9][a-z0-9.+\-]*)", each) is None:
                raise ValueError(f"{each!r} is not a MIME type; write 'image/png' or 'image/*', in lower case")
        return value

    def media_ports(self) -> tuple[int, int] | None:
        """Lowest and highest UDP port for media; None = the system's choice."""
        if self.port_range is None:
            return None
        low, high = self.port_range.split(":")
        return int(low), int(high)


class CoordinatorSettings(_Section):
    """`[coordinator]`: how `livereactor serve` serves."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(Path("livereactor-data"), description="Folder for database, secrets, uploads and logs.")
    public_url: str | None = Field(None, description="URL for clients, if requests do not show it.")
    peer_url: str | None = Field(None, description="URL for other coordinators on the same database.")
    worker_url: str | None = Field(None, description="URL that workers dial; it may lead to any coordinator.")
    proxies: _Networks = Field(list(ON_THIS_MACHINE), description="Reverse proxies, by address or network.")
    guests: bool | None = Field(None, description="Serve clients without a token; by default on loopback only.")
    secret: str | None = Field(None, min_length=32, repr=False, description="Signs tokens; made in the data folder.")
    worker_secret: str | None = Field(None, repr=False, description="Secret that workers' credentials are made of.")
    concurrent_sessions: int = Field(_QUOTAS.concurrent_sessions, ge=0, description="Open sessions per account.")
    sessions_per_minute: int = Field(_QUOTAS.sessions_per_minute, ge=0, description="New sessions per account.")
    session_burst: int = Field(_QUOTAS.session_burst, ge=1, description="New sessions at once, within that rate.")
    anonymous_per_minute: int = Field(
        _RATES.anonymous, ge=0, description="Requests a minute of one address without key or token; 0 = unlimited."
    )
    creations_per_minute: int = Field(
        _RATES.creating, ge=0, description="Tokens, sessions, connections, uploads of one address; 0 = unlimited."
    )
    admission_grace: float = Field(
        _SERVING.admission_grace, gt=0, description="Seconds an admitted client may take to connect."
    )
    ticket_grace: float = Field(
        _SERVING.ticket_grace, gt=0, description="Seconds a queued client keeps its place without asking."
    )
    poll_hold: float = Field(_SERVING.hold, gt=0, le=25, description="Maximum seconds for which a poll is held.")
    token_lifetime: int = Field(
        _SERVING.token_lifetime, ge=1, le=CEILING, description="Default lifetime of a token, in seconds."
    )
    scoped_token_lifetime: int = Field(
        _SERVING.scoped_token_lifetime, ge=1, le=CEILING, description="Seconds that a scoped token lasts by default."
    )
    closed_session_kept: float = Field(_SERVING.kept, ge=60, description="Seconds for which a closed session is kept.")
    events_kept: float = Field(_SERVING.events_kept, ge=60, description="Seconds that usage and events are kept.")
    lease: float = Field(_SERVING.lease, ge=1, description="Seconds of silence after which a worker is lost.")
    drain_timeout: float = Field(_SERVING.drain_timeout, ge=0, description="Maximum seconds for which a worker drains.")

    @field_validator("worker_secret")
    @classmethod
    def _unguessable(cls, value: str | None) -> str | None:
        # Models hold credentials that are made of it, and a computer of theirs can try secrets without asking ours.
        if value is not None and len(worker_secrets(value)[0]) < MIN_CHARS:
            raise ValueError(
                f"has fewer than {MIN_CHARS} characters, so a model could guess it; put what `openssl rand -hex 32` "
                "prints in front of it, with a comma between, and remove the old one once all workers use the new"
            )
        return value

    @field_validator("peer_url", "worker_url")
    @classmethod
    def _reached(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not re.fullmatch(r"https?://[^/\s?#]+/?", value):
            raise ValueError(f"{value!r} is not an address that others can reach; write 'http://10.0.0.5:8080'")
        return value.rstrip("/")


class WebhookSettings(_Section):
    """`[webhooks]`: whom the coordinator tells what happens."""

    urls: _Web = Field(default_factory=list, description="URLs that receive the events of sessions and workers.")
    secrets: _Secrets = Field(
        default_factory=list, repr=False, description="Secrets that sign each request; list two while you replace one."
    )


class ModerationSettings(_Section):
    """`[moderation]`: who is asked about prompts and uploads before a model sees them."""

    url: str | None = Field(None, repr=False, description="URL that is asked, by HTTP POST.")
    callable: str | None = Field(None, description="Python function that is asked, as 'module:name' or 'file.py:name'.")
    secrets: _Secrets = Field(
        default_factory=list, repr=False, description="Secrets that sign each request; list two while you replace one."
    )
    fields: Literal["marked", "all"] = Field(
        _TERMS.fields, description="Texts and files of commands that are asked about: those marked `moderate`, or all."
    )
    on_failure: Literal["open", "closed"] = Field(
        _TERMS.on_failure, description="Without an answer, pass content on ('open') or refuse it ('closed')."
    )
    timeout: float = Field(_JUDGED.timeout, gt=0, le=30, description="Seconds within which an answer must come.")
    concurrency: int = Field(_JUDGED.concurrency, ge=1, le=1024, description="Questions asked at one time.")
    queue: int = Field(_JUDGED.queue, ge=0, description="Questions that wait; beyond it content is refused.")
    file_bytes: int = Field(10 * MIB, ge=0, description="Largest file that is asked about; a larger one is refused.")

    @field_validator("url")
    @classmethod
    def _web_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError("want a URL such as 'https://ops.example/moderate'")
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> ModerationSettings:
        if self.url is not None and self.callable is not None:
            raise ValueError("set either url or callable")
        return self


class StoreSettings(_Section):
    """`[store]`: where the coordinator keeps its facts."""

    url: str | None = Field(None, repr=False, description="postgresql://…; SQLite in the data folder by default.")


class BlobsSettings(_Section):
    """`[blobs]`: where files of sessions are kept."""

    url: str | None = Field(None, description="s3://bucket/prefix, or a folder; in the data folder by default.")


class RecorderSettings(_Section):
    """`[recorder]`: what is recorded, and how long it is kept."""

    enabled: bool = Field(True, description="Record sessions, so that clients can request clips.")
    clip_max_seconds: float = Field(300, ge=1, le=3600, description="Seconds of the longest clip.")
    video_track: str | None = Field(None, description="Video output to record; by default the only one there is.")
    audio_track: str | None = Field(None, description="Audio output to record; by default the only one there is.")
    segment_seconds: float = Field(1, ge=0.5, le=10, description="Seconds of a stored segment, at most.")
    video_codec: Literal["h264"] = Field("h264", description="Codec of the picture; clients know no other.")
    video_preset: Preset = Field("ultrafast", description="x264's preset for pictures that no viewer got in H.264.")
    video_quality: int = Field(23, ge=1, le=51, description="x264's CRF for the same; less is finer and larger.")
    audio_codec: Literal["aac"] = Field("aac", description="Codec of the sound; clients know no other.")
    audio_bitrate: int = Field(64_000, ge=16_000, le=288_000, description="Bits per second of each audio channel.")
    retention_hours: float = Field(24, gt=0, description="Hours that recordings and clips are kept.")
    max_disk_gb: float = Field(20, ge=0, description="Gigabytes of recordings and clips; above it, the oldest go.")


class NeedsSettings(_Section):
    """`[pool.needs.NAME]`: what each worker of a model gets to itself on a Ray cluster."""

    gpus: float = Field(0, ge=0, description="GPUs, or a fraction of one.")
    cpus: float = Field(1, ge=0, description="Processors, or a fraction of one.")
    resources: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict[str, float], description="Others, by the names given to `ray start --resources`."
    )


class PoolSettings(_Section):
    """`[pool]`: the workers that a coordinator starts."""

    kind: Literal["subprocess", "ray"] = Field(
        "subprocess", description="Where workers run: processes of this machine, or a Ray cluster."
    )
    ray_address: str = Field(
        "auto", description="Ray cluster, as 'host:port' of its head; 'auto' finds this machine's."
    )
    needs: dict[str, NeedsSettings] = Field(
        default_factory=dict[str, NeedsSettings], description="Resources that a worker of each model needs on Ray."
    )
    min_ready: int = Field(1, ge=0, description="Workers per model to keep ready without demand.")
    buffer: int = Field(0, ge=0, description="Workers per model kept ready beyond those in use.")
    max_workers: int = Field(1, ge=0, description="Workers per model; 0 = only those that register by themselves.")
    idle_stop: float = Field(300, gt=0, description="Seconds after which an idle worker is stopped.")
    spare: bool = Field(False, description="Keep a process ready that has imported everything except a model.")
    isolation: Literal["auto", "off"] = Field(
        "auto", description="Keep models from the data folder and other processes; 'off' trusts the models."
    )

    @field_validator("ray_address")
    @classmethod
    def _no_ray_client(cls, value: str) -> str:
        if value.startswith("ray://"):
            raise ValueError(
                "ray:// is not served; run this on a machine of the cluster and write 'auto' or 'host:port'"
            )
        return value


class TurnSettings(_Section):
    """`[turn]`: STUN and TURN servers offered to clients and used by the runtime."""

    stun: _Stun = Field(default_factory=list, description="STUN servers, as 'stun:host:port'.")
    turn: list[str] = Field(
        default_factory=list, repr=False, description="TURN servers, as 'user;credential;turn:host:port'."
    )
    relay_only: bool = Field(False, description="Use relay candidates only.")
    urls: _Turn = Field(
        default_factory=list, description="TURN servers that share `secret`, as 'turn:host:port?transport=udp'."
    )
    secret: str | None = Field(None, repr=False, description="Signs short-lived credentials for `urls`.")

    @field_validator("turn")
    @classmethod
    def _turn_urls(cls, value: list[str]) -> list[str]:
        for entry in value:
            parts = entry.split(";")
            if len(parts) != 3 or not parts[2].startswith(("turn:", "turns:")):
                raise ValueError("a TURN server is written 'user;credential;turn:host:port'")
        return value


class Settings(BaseSettings):
    """The settings of all programs of livereactor."""

    model_config = SettingsConfigDict(env_prefix="LIVEREACTOR_", env_nested_delimiter="__", extra="forbid")

    runtime: RuntimeSettings = RuntimeSettings.model_validate({})
    coordinator: CoordinatorSettings = CoordinatorSettings.model_validate({})
    store: StoreSettings = StoreSettings.model_validate({})
    blobs: BlobsSettings = BlobsSettings.model_validate({})
    recorder: RecorderSettings = RecorderSettings.model_validate({})
    pool: PoolSettings = PoolSettings.model_validate({})
    turn: TurnSettings = TurnSettings.model_validate({})
    webhooks: WebhookSettings = WebhookSettings.model_validate({})
    moderation: ModerationSettings = ModerationSettings.model_validate({})
    model: dict[str, Any] = {}  # what `Model.load(config)` gets; any key


SECTIONS: Final[Mapping[str, type[BaseModel]]] = {
    "runtime": RuntimeSettings,
    "coordinator": CoordinatorSettings,
    "store": StoreSettings,
    "blobs": BlobsSettings,
    "recorder": RecorderSettings,
    "pool": PoolSettings,
    "turn": TurnSettings,
    "webhooks": WebhookSettings,
    "moderation": ModerationSettings,
}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.removesuffix(".").split(".")  # of a host name (RFC 1123, section 2.1); the last has a letter
        return all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdecimal()
    return True
