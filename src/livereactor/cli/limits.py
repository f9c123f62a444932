"""`livereactor limits`: every bound, as the settings here say or as a running coordinator keeps it (behaviour 30)."""

from __future__ import annotations

import json
from typing import Any, Final

import typer

from livereactor.base.limits import KIB, MIB
from livereactor.cli.operating import AdminKey, CoordinatorUrl, DataDir, Json, Place

UNLIMITED_AT_0: Final = frozenset(
    (
        "max_session_duration",
        "concurrent_sessions",
        "sessions_per_minute",
        "anonymous_per_minute",
        "creations_per_minute",
    )
)


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(epilog="Example: livereactor limits --json")(limits)


def limits(
    data_dir: DataDir = None, coordinator: CoordinatorUrl = None, key: AdminKey = None, json_lines: Json = False
) -> None:
    """Show every limit and its value.

    As the settings here say, or, with --coordinator, as a running one keeps them.
    """
    from livereactor.coordinator.http.bounds import bounds
    from livereactor.wiring.coordinator import coordinator_options

    place = Place(data_dir, coordinator, key)
    if place.is_remote:
        values: dict[str, Any] = place.call("GET", "/limits")
    else:
        values = dict(bounds(coordinator_options(place.settings())))
    if json_lines:
        typer.echo(json.dumps(values))
        return
    for name, value in values.items():
        typer.echo(f"{name:<28} {_shown(name, value)}")


def _shown(name: str, value: float) -> str:
    if not value and name in UNLIMITED_AT_0:
        return "unlimited"
    if name.endswith("_bytes"):
        return f"{value / MIB:g} MiB" if value >= MIB else f"{value / KIB:g} KiB"
    return f"{value:,g} s" if isinstance(value, float) else f"{value:,}"
