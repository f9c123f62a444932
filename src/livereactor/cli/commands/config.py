"""`livereactor config` and `livereactor limits`: the settings and limits in force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from livereactor.base.limits import KIB, MIB
from livereactor.cli.admin import AdminTarget
from livereactor.cli.options import AdminKey, CoordinatorUrl, DataDir, Json
from livereactor.settings import effective, is_secret, resolve

UNLIMITED_AT_0: Final = frozenset(
    (
        "max_session_duration",
        "concurrent_sessions",
        "sessions_per_minute",
        "anonymous_per_minute",
        "creations_per_minute",
    )
)


def config(
    folder: Annotated[Path, typer.Argument(help="Folder with livereactor.toml.")] = Path(), json_lines: Json = False
) -> None:
    """Show each setting and where it came from."""
    rows = effective(resolve(folder, command_line={}))
    for name, value, origin in rows:
        shown = "set, not shown" if value and is_secret(name) else value
        if json_lines:
            typer.echo(json.dumps({"name": name, "value": shown, "origin": origin}, default=str))
        else:
            typer.echo(f"{name:<32} {shown!s:<24} {origin}")


def limits(
    data_dir: DataDir = None, coordinator: CoordinatorUrl = None, key: AdminKey = None, json_lines: Json = False
) -> None:
    """Show every limit and its value.

    Shows the limits of the settings here, or with --coordinator those of a running coordinator.
    """
    from livereactor.wiring.coordinator import coordinator_options

    target = AdminTarget(data_dir, coordinator, key)
    if target.is_remote:
        values: dict[str, Any] = target.call("GET", "/limits")
    else:
        values = dict(coordinator_options(target.settings()).bounds())
    if json_lines:
        typer.echo(json.dumps(values))
        return
    for name, value in values.items():
        typer.echo(f"{name:<28} {shown_limit(name, value)}")


def shown_limit(name: str, value: float) -> str:
    """Return a limit's value with its unit, as people read it."""
    if not value and name in UNLIMITED_AT_0:
        return "unlimited"
    if name.endswith("_rate_bytes"):
        return f"{value:,.0f} B/s"
    if name.endswith("_rate"):
        return f"{value:,.10g} /s"
    if name.endswith("_bytes"):
        return f"{value / MIB:g} MiB" if value >= MIB else f"{value / KIB:g} KiB"
    return f"{value:,.10g} s" if isinstance(value, float) else f"{value:,}"
