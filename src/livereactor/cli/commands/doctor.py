"""`livereactor doctor` and `livereactor probe`: check this machine or the way to a server, with a fix per fault."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from livereactor.base.errors import UsageError
from livereactor.cli.options import Json, Jwt, Key, ServerLocal, ServerModel, ServerUrl, from_environment
from livereactor.settings import resolve


def probe(
    url: ServerUrl,
    model: ServerModel = None,
    local: ServerLocal = False,
    key: Key = None,
    jwt: Jwt = None,
    json_lines: Json = False,
) -> None:
    """Check every step on the way to a model's picture.

    Name, network, certificate, server, token, session, signalling, media: shows how long each step took, and for the
    first that fails, why and what to do. Ends the session that it opened. Exits with 1 if a step fails.
    """
    from livereactor.cli.probe_steps import ProbeStep, ServerTarget, run_probe

    target = ServerTarget(url, model, local, key or from_environment("API_KEY"), jwt or from_environment("JWT"))

    def shown(step: ProbeStep) -> None:
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


MARKS = {"ok": ("✓", typer.colors.GREEN), "warn": ("!", typer.colors.YELLOW), "fail": ("✗", typer.colors.RED)}


def doctor(
    url: Annotated[str | None, typer.Option(help="URL of a running server to check as well.")] = None,
    json_lines: Json = False,
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
