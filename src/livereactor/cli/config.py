"""`livereactor config`: what is in force, and where it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from livereactor.settings import effective, is_secret, resolve


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: LIVEREACTOR_RUNTIME__PORT=9000 livereactor config")(config)


def config(
    folder: Annotated[Path, typer.Argument(help="Where livereactor.toml may be.")] = Path(),
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")] = False,
) -> None:
    """Show each setting and where it came from."""
    rows = effective(resolve(folder, command_line={}))
    for name, value, origin in rows:
        shown = "set, not shown" if value and is_secret(name) else value
        if json_lines:
            typer.echo(json.dumps({"name": name, "value": shown, "origin": origin}, default=str))
        else:
            typer.echo(f"{name:<32} {shown!s:<24} {origin}")
