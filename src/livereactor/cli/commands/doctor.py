"""`livereactor doctor`: checks whether this machine can serve, with a fix for each problem."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from livereactor.settings import resolve

MARKS = {"ok": ("✓", typer.colors.GREEN), "warn": ("!", typer.colors.YELLOW), "fail": ("✗", typer.colors.RED)}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: livereactor doctor --url http://localhost:8080")(doctor)


def doctor(
    url: Annotated[str | None, typer.Option(help="URL of a running server to check as well.")] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, for scripts.")] = False,
) -> None:
    """Check whether this machine can serve.

    Checks Python, media engine, codecs, GPU, port, disk, STUN and TURN, and prints a fix for each problem. Exits with 1
    if a check fails.
    """
    from livereactor.cli.doctor_checks import findings

    found = findings(resolve(Path(), command_line={}).settings, url)
    for finding in found:
        if json_lines:
            typer.echo(json.dumps(dataclasses.asdict(finding)))
            continue
        mark, colour = MARKS[finding.status]
        typer.echo(f"{typer.style(mark, fg=colour)} {finding.check:<14} {finding.text}")
        if finding.fix:
            typer.echo(f"  {'':<14} → {finding.fix}")
    if any(finding.status == "fail" for finding in found):
        raise typer.Exit(1)
