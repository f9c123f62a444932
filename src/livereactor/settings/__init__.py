"""Settings: command line over environment over `livereactor.toml` over default; each value knows where it came from.

Reads the environment and one file, nothing else. `livereactor config` prints what this package resolved.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from livereactor.base.errors import ConfigError
from livereactor.settings.sections import SECTIONS, Settings

__all__ = ["SECTIONS", "Resolved", "Settings", "effective", "is_secret", "resolve", "variable"]

FILE_NAME = "livereactor.toml"


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
        folder: where `livereactor.toml` may be; the file is optional.
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
        (_official_names(environ), lambda name: f"environment {_OFFICIAL.get(name, name)}"),
        (_short_names(environ), lambda name: f"environment {_SHORT.get(name, name)}"),
        (_environment(environ), lambda name: f"environment {variable(name)}"),
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
    parts = [(section, cast(BaseModel, getattr(resolved.settings, section))) for section in SECTIONS]
    return [
        (f"{section}.{key}", value, resolved.origins.get(f"{section}.{key}", "default"))
        for section, part in [*parts, ("model", resolved.settings.model.items())]
        for key, value in part
    ]


def is_secret(name: str) -> bool:
    """Return whether the value of a setting is never shown, such as that of `coordinator.secret`."""
    section, _, key = name.partition(".")
    field = SECTIONS[section].model_fields.get(key) if section in SECTIONS else None
    return field is not None and not field.repr


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
        raise ConfigError(f"{file.name} is not TOML: {error}; correct that line") from error
    except RecursionError:  # its traceback would be as deep as the file
        raise ConfigError(f"{file.name} nests lists or tables too deeply; flatten them") from None


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """LIVEREACTOR_RUNTIME__PORT=9000 and the like; a section of its own is needed, so plain names of ours pass by."""
    source = EnvSettingsSource(Settings)
    source.env_vars = {key.lower(): value for key, value in environ.items() if "__" in key}
    known = {*SECTIONS, "model"}
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
                f"environment ICE_TRANSPORT_POLICY: {policy!r} is neither 'all' nor 'relay'; correct or unset it"
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


# What operators type most, and what one of their shells sets for all commands.
_SHORT = {"coordinator.data_dir": "LIVEREACTOR_DATA_DIR"}


def _short_names(environ: Mapping[str, str]) -> dict[str, Any]:
    return _nested({name: environ[variable] for name, variable in _SHORT.items() if environ.get(variable)})


def variable(name: str) -> str:
    """The environment variable of a setting such as `coordinator.secret`."""
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
        shown = "" if is_secret(name) else f" = {first.get('input')!r}"
        # Not `from error`, which would show the value of a secret in a traceback.
        raise ConfigError(f"{where}: {name}{shown}: {text[:1].lower()}{text[1:]}; correct that value") from None


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
    keys = (f"{section}.{key}" for section, part in SECTIONS.items() for key in part.model_fields)
    return {*SECTIONS, "model", *keys}


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
