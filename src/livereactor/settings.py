"""Settings: command line over environment over `livereactor.toml` over default; each value knows where it came from.

Reads the environment and one file, nothing else. `livereactor config` prints what this module resolved.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from livereactor.base.errors import ConfigError
from livereactor.base.limits import Limits
from livereactor.coordinator.options import CoordinatorOptions, Quotas

FILE_NAME = "livereactor.toml"
_DEFAULTS, _QUOTAS, _SERVING = Limits(), Quotas(), CoordinatorOptions()


class RuntimeSettings(BaseModel):
    """`[runtime]`: how one runtime serves its model."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    insecure: bool = Field(False, description="Serve anybody on a non-loopback address.")
    origins: list[str] = Field(default_factory=list, description="Web origins that may steer, beside loopback ones.")
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
    idle_timeout: float = Field(0, ge=0, description="Seconds without a command that end a session; 0 = off.")
    port_range: str | None = Field(None, description="UDP ports for media, as 'min:max'.")
    upload_dir: Path | None = Field(None, description="Folder for uploads; a temporary one by default.")
    upload_types: list[str] = Field(
        default_factory=list, description="MIME types that may be uploaded, such as 'image/*'; any by default."
    )
    log_format: Literal["text", "json"] = Field("text", description="How log records are written to stderr.")
    key: str | None = Field(None, min_length=16, repr=False, description="Key that clients must show.")
    public_address: str | None = Field(None, description="Address clients reach the media at, behind a 1:1 NAT.")

    @field_validator("port_range")
    @classmethod
    def _ports(cls, value: str | None) -> str | None:
        if value is None:
            return None
        match = re.fullmatch(r"(\d{1,5}):(\d{1,5})", value)
        if match is None or not 1 <= int(match[1]) <= int(match[2]) <= 65535:
            raise ValueError("want 'min:max' with 1 <= min <= max <= 65535")
        return value

    @field_validator("upload_types")
    @classmethod
    def _mime_types(cls, value: list[str]) -> list[str]:
        for each in value:
            if re.fullmatch(r"[a-z0-9][a-z0-9.+\-]*/(\*|[a-z0-9][a-z0-9.+\-]*)", each) is None:
                raise ValueError(f"{each!r} is no MIME type; write 'image/png' or 'image/*', in lower case")
        return value

    def media_ports(self) -> tuple[int, int] | None:
        """Lowest and highest UDP port for media; None = the system's choice."""
        if self.port_range is None:
            return None
        low, high = self.port_range.split(":")
        return int(low), int(high)


class CoordinatorSettings(BaseModel):
    """`[coordinator]`: how `livereactor serve` serves."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(Path("livereactor-data"), description="Folder for database, secrets, uploads and logs.")
    public_url: str | None = Field(None, description="URL that clients reach us at, where requests do not tell.")
    guests: bool | None = Field(None, description="Serve clients without a token; by default on loopback only.")
    secret: str | None = Field(None, min_length=32, repr=False, description="Signs tokens; made in the data folder.")
    worker_secret: str | None = Field(None, min_length=16, repr=False, description="What workers show us.")
    concurrent_sessions: int = Field(_QUOTAS.concurrent_sessions, ge=0, description="Open sessions per account.")
    sessions_per_minute: int = Field(_QUOTAS.sessions_per_minute, ge=0, description="New sessions per account.")
    session_burst: int = Field(_QUOTAS.session_burst, ge=1, description="New sessions at once, of those.")
    admission_grace: float = Field(
        _SERVING.admission_grace, gt=0, description="Seconds an admitted client may take to connect."
    )
    ticket_grace: float = Field(
        _SERVING.ticket_grace, gt=0, description="Seconds a queued client keeps its place without asking."
    )
    lease: float = Field(_SERVING.lease, ge=1, description="Seconds of silence after which a worker is lost.")
    drain_timeout: float = Field(_SERVING.drain_timeout, ge=0, description="Seconds a draining worker may take.")
    webhook_url: str | None = Field(None, description="URL that is told of sessions and workers.")
    webhook_secret: str | None = Field(None, min_length=16, repr=False, description="Signs what it is told.")


class StoreSettings(BaseModel):
    """`[store]`: where the coordinator keeps its facts."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    url: str | None = Field(None, repr=False, description="postgresql://…; SQLite in the data folder by default.")


class PoolSettings(BaseModel):
    """`[pool]`: the workers of this machine."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    min_ready: int = Field(1, ge=0, description="Workers per model kept ready though nobody asks.")
    buffer: int = Field(0, ge=0, description="Workers per model kept ready beyond those in use.")
    max_workers: int = Field(1, ge=0, description="Workers per model; 0 = only those that register by themselves.")
    idle_stop: float = Field(300, gt=0, description="Seconds after which a worker nobody needs is stopped.")


class TurnSettings(BaseModel):
    """`[turn]`: STUN and TURN servers offered to clients and used by the runtime."""

    model_config = ConfigDict(extra="forbid")

    stun: list[str] = Field(default_factory=list, description="STUN servers, as 'stun:host:port'.")
    turn: list[str] = Field(default_factory=list, description="TURN servers, as 'user;credential;turn:host:port'.")
    relay_only: bool = Field(False, description="Use relay candidates only.")
    urls: list[str] = Field(
        default_factory=list, description="TURN servers that share `secret`, as 'turn:host:port?transport=udp'."
    )
    secret: str | None = Field(None, repr=False, description="Signs short-lived credentials for `urls`.")

    @field_validator("stun")
    @classmethod
    def _stun_urls(cls, value: list[str]) -> list[str]:
        for url in value:
            if not url.startswith(("stun:", "stuns:")):
                raise ValueError(f"{url!r} is no STUN server; write 'stun:host:port'")
        return value

    @field_validator("turn")
    @classmethod
    def _turn_urls(cls, value: list[str]) -> list[str]:
        for entry in value:
            parts = entry.split(";")
            if len(parts) != 3 or not parts[2].startswith(("turn:", "turns:")):
                raise ValueError("a TURN server is written 'user;credential;turn:host:port'")
        return value


class Settings(BaseSettings):
    """Everything a program of ours can be told."""

    model_config = SettingsConfigDict(env_prefix="LIVEREACTOR_", env_nested_delimiter="__", extra="forbid")

    runtime: RuntimeSettings = RuntimeSettings.model_validate({})
    coordinator: CoordinatorSettings = CoordinatorSettings.model_validate({})
    store: StoreSettings = StoreSettings.model_validate({})
    pool: PoolSettings = PoolSettings.model_validate({})
    turn: TurnSettings = TurnSettings.model_validate({})
    model: dict[str, Any] = {}  # what `Model.load(config)` gets; any key


_SECTIONS: Final[Mapping[str, type[BaseModel]]] = {
    "runtime": RuntimeSettings,
    "coordinator": CoordinatorSettings,
    "store": StoreSettings,
    "pool": PoolSettings,
    "turn": TurnSettings,
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """Effective settings.

    Attributes:
        settings: validated values.
        origins: per dotted name such as `runtime.port`, where the value came from, in words.
        path: the file that was read, or None.
    """

    settings: Settings
    origins: Mapping[str, str]
    path: Path | None


def resolve(folder: Path, *, command_line: Mapping[str, object], environ: Mapping[str, str] | None = None) -> Resolved:
    """Merge all sources.

    Args:
        folder: where `livereactor.toml` is looked for; none there is fine.
        command_line: dotted names to values, only those that were given.
        environ: the environment; `os.environ` by default.

    Raises:
        ConfigError: an unknown key or a malformed value, with the variable, option or line it stands in.
    """
    environ = os.environ if environ is None else environ
    file = folder / FILE_NAME
    text = _read(file)
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    lines = _Lines(file, text or "")
    sources: list[tuple[dict[str, Any], Callable[[str], str]]] = [
        (_parse(file, text), lines.origin),
        (_official_names(environ), _official_origin),
        (_environment(environ), lambda name: f"environment {_variable(name)}"),
        (_nested(command_line), lambda name: f"command line, {_option(name)}"),
    ]
    for values, origin in sources:
        for name, value in _leaves(values):
            _put(merged, name, value)
            origins[name] = origin(name)
            origins.setdefault(name.partition(".")[0], origin(name.partition(".")[0]))
    return Resolved(_validate(merged, origins), origins, file if text is not None else None)


def effective(resolved: Resolved) -> list[tuple[str, object, str]]:
    """Rows of (dotted name, value, where it came from), in the order of the sections."""
    rows: list[tuple[str, object, str]] = []
    for section in _SECTIONS:
        part = cast(BaseModel, getattr(resolved.settings, section))
        for key in type(part).model_fields:
            name = f"{section}.{key}"
            rows.append((name, getattr(part, key), resolved.origins.get(name, "default")))
    for key, value in resolved.settings.model.items():
        name = f"model.{key}"
        rows.append((name, value, resolved.origins.get(name, "default")))
    return rows


# --- sources -----------------------------------------------------------------------------------------------------


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file.name} cannot be read ({error}); make it a readable UTF-8 file") from error


def _parse(file: Path, text: str | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text or "")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file.name} is not TOML: {error}; mend that line") from error


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """LIVEREACTOR_RUNTIME__PORT=9000 and the like; a section of its own is needed, so plain names of ours pass by."""
    source = EnvSettingsSource(Settings)
    source.env_vars = {key.lower(): value for key, value in environ.items() if "__" in key}
    known = {*_SECTIONS, "model"}
    for key in environ:
        head, _, rest = key.removeprefix("LIVEREACTOR_").lower().partition("__")
        if key.startswith("LIVEREACTOR_") and rest and head not in known:
            raise ConfigError(f"environment {key}: no section {head!r}{_nearest(head, known)}; unset it")
    try:
        return source()
    except Exception as error:  # pydantic-settings raises its own SettingsError for values that are not JSON lists
        raise ConfigError(f'environment: {error}; lists are written as JSON, such as \'["a", "b"]\'') from error


def _official_names(environ: Mapping[str, str]) -> dict[str, Any]:
    """Names that users of the official runtime have set already, as fallbacks below our own."""
    turn: dict[str, Any] = {}
    if stun := environ.get("STUN_SERVERS"):
        turn["stun"] = [entry.strip() for entry in stun.split(",") if entry.strip()]
    if servers := environ.get("TURN_SERVERS"):
        turn["turn"] = [entry.strip() for entry in servers.split(",") if entry.strip()]
    if policy := environ.get("ICE_TRANSPORT_POLICY"):
        if policy not in ("all", "relay"):
            raise ConfigError(
                f"environment ICE_TRANSPORT_POLICY: {policy!r} is neither 'all' nor 'relay'; mend or unset it"
            )
        turn["relay_only"] = policy == "relay"
    runtime = {"port_range": ports} if (ports := environ.get("WEBRTC_PORT_RANGE")) else {}
    return {key: value for key, value in (("turn", turn), ("runtime", runtime)) if value}


_OFFICIAL = {
    "turn.stun": "STUN_SERVERS",
    "turn.turn": "TURN_SERVERS",
    "turn.relay_only": "ICE_TRANSPORT_POLICY",
    "runtime.port_range": "WEBRTC_PORT_RANGE",
}


def _official_origin(name: str) -> str:
    return f"environment {_OFFICIAL.get(name, name)}"


def _variable(name: str) -> str:
    return "LIVEREACTOR_" + name.upper().replace(".", "__")


def _option(name: str) -> str:
    section, _, key = name.partition(".")
    return f"--set {key}" if section == "model" else f"--{key.replace('_', '-')}"


# --- merging and checking ----------------------------------------------------------------------------------------


def _nested(flat: Mapping[str, object]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        _put(tree, name, value)
    return tree


def _leaves(tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Dotted names two deep; what is deeper (a table below [model]) is one value."""
    rows: list[tuple[str, Any]] = []
    for section, values in tree.items():
        if isinstance(values, Mapping):
            rows += [(f"{section}.{key}", value) for key, value in cast(Mapping[str, Any], values).items()]
        else:
            rows.append((section, values))
    return rows


def _put(tree: dict[str, Any], name: str, value: object) -> None:
    section, _, key = name.partition(".")
    if key:
        tree.setdefault(section, {})[key] = value
    else:
        tree[section] = value


def _validate(merged: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    try:
        return _FromValues(**merged)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:2])
        where = origins.get(name) or next((o for n, o in origins.items() if n.startswith(name)), name)
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{where}: no setting {name!r}{_nearest(name, _known())}; remove or rename it") from error
        text = first["msg"].removeprefix("Value error, ")
        shown = first.get("input")
        raise ConfigError(f"{where}: {name} = {shown!r}: {text[:1].lower()}{text[1:]}; mend that value") from error


class _FromValues(Settings):
    """Validates what `resolve` merged and reads no source a second time."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _known() -> set[str]:
    names = {*_SECTIONS, "model"}
    for section, part in _SECTIONS.items():
        names |= {f"{section}.{key}" for key in part.model_fields}
    return names


def _nearest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f", did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(known))}"


class _Lines:
    """Finds the line a setting stands in, since tomllib does not tell."""

    def __init__(self, file: Path, text: str) -> None:
        self._file, self._lines = file.name, text.splitlines()

    def origin(self, name: str) -> str:
        section, _, key = name.partition(".")
        current = ""
        wanted = rf"\s*{re.escape(key)}\s*=" if key else None
        for number, line in enumerate(self._lines, start=1):
            if head := re.match(r"\s*\[\s*([\w.\-]+)\s*\]", line):
                current = head[1]
                found = current == section and wanted is None
            elif current == "":  # before any table: `section.key = …` or a stray top-level key
                found = re.match(rf"\s*{re.escape(section)}[\s.=]", line) is not None
            else:
                found = current == section and wanted is not None and re.match(wanted, line) is not None
            if found:
                return f"{self._file} line {number}"
        return self._file
