"""`livereactor probe`: checks each step of the way to a model's picture and explains the first that fails."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Annotated

import typer

from livereactor.base.errors import UsageError
from livereactor.cli.commands.doctor import MARKS
from livereactor.cli.options import Jwt, Key, from_environment


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(epilog="Example: livereactor probe https://models.example.com --model pond")(probe)


def probe(
    url: Annotated[str, typer.Argument(help="URL of a coordinator or a runtime.")],
    model: Annotated[str | None, typer.Option(help="Model to use.", show_default="the server's first")] = None,
    local: Annotated[
        bool,
        typer.Option(
            "--local", help="Treat the server as a standalone runtime, even if it does not identify itself as one."
        ),
    ] = False,
    key: Key = None,
    jwt: Jwt = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, for scripts.")] = False,
) -> None:
    """Check every step on the way to a model's picture.

    Name, network, certificate, server, token, session, signalling, media: shows how long each step took, and for the
    first that fails, why and what to do. Ends the session that it opened. Exits with 1 if a step fails.
    """
    from livereactor.cli.probe_steps import ServerTarget, Step, run_probe

    target = ServerTarget(url, model, local, key or from_environment("API_KEY"), jwt or from_environment("JWT"))

    def shown(step: Step) -> None:
        if json_lines:
            typer.echo(json.dumps(dataclasses.asdict(step) | {"took_ms": round(step.took_ms, 1)}))
            return
        mark, colour = MARKS[step.status]
        typer.echo(f"{typer.style(mark, fg=colour)} {step.check:<10} {step.took_ms:>7.0f} ms  {step.text}")
        if step.fix:
            typer.echo(f"  {'':<10} {'':>10}  → {step.fix}")

    async def whole() -> bool:
        failed = False
        async for step in run_probe(target):
            shown(step)
            failed = failed or step.status == "fail"
        return failed

    try:
        failed = asyncio.run(whole())
    except ValueError as error:  # an invalid address
        raise UsageError(str(error)) from error
    if failed:
        raise typer.Exit(1)
