"""`livereactor bench`: measures the speed of any server with the client alone."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from livereactor.base.errors import UnavailableError, UsageError
from livereactor.cli.options import Json, Jwt, Key, ServerLocal, ServerModel, ServerUrl, from_environment

if TYPE_CHECKING:
    from rich.progress import Progress

    from livereactor.cli.probe_steps import ServerTarget
    from livereactor.client.reactor import Reactor
    from livereactor.probes.remote import Outcome


def bench(
    url: ServerUrl,
    model: ServerModel = None,
    local: ServerLocal = False,
    key: Key = None,
    jwt: Jwt = None,
    trials: Annotated[int, typer.Option(min=2, help="How often to measure each delay.")] = 30,
    seconds: Annotated[float, typer.Option(min=1, help="How long to watch pictures.")] = 10.0,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for a connection, including the queue.")
    ] = 60.0,
    json_lines: Json = False,
) -> None:
    """Measure how fast a server is from here.

    Measures connecting, gaps between pictures, commands, clips, uploads and reconnecting, in sessions of its own. Sends
    commands only to the conformance model. Exits with 1 if something fails.
    """
    from livereactor.cli.probe_steps import ServerTarget

    target = ServerTarget(url, model, local, key or from_environment("API_KEY"), jwt or from_environment("JWT"))
    try:
        outcomes = asyncio.run(_measured(target, trials, seconds, timeout, json_lines))
    except ValueError as error:  # an invalid address
        raise UsageError(str(error)) from error
    if not json_lines:
        _show_table(outcomes)
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(1)


async def _measured(
    target: ServerTarget, trials: int, seconds: float, timeout: float, json_lines: bool
) -> list[Outcome]:
    from livereactor.cli.probe_steps import resolve_target
    from livereactor.client.errors import ReactorError
    from livereactor.probes.remote import MeasurementPlan, measured
    from livereactor.probes.results import machine

    target = await resolve_target(target)
    if json_lines:
        typer.echo(json.dumps({"machine": machine(), "url": target.url, "model": target.model}))
    outcomes: list[Outcome] = []
    with _progress() as progress:
        begins, tick = _shown(progress)
        plan = MeasurementPlan(target.url, lambda: _client(target), trials, seconds, timeout, tick)
        try:
            async for outcome in measured(plan, begins):
                outcomes.append(outcome)
                if json_lines:
                    _say_json(outcome)
        except ReactorError as error:
            raise UnavailableError(
                f"{error.message}; run `livereactor probe {target.url}` to find the step that fails", code=error.code
            ) from error
    return outcomes


def _client(target: ServerTarget) -> Reactor:
    from livereactor.client.reactor import Reactor

    if target.local:
        return Reactor(target.model, local=target.url, report_stats=False)
    return Reactor(target.model, target.api_key, jwt=target.jwt, api_url=target.url, report_stats=False)


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<46}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _shown(progress: Progress) -> tuple[Callable[[str, str, int], None], Callable[[], None]]:
    """Return callbacks for the start of a figure and for each of its steps: a bar, or lines without a terminal."""
    if progress.disable:
        return (lambda name, title, _: print(f"{name}: {title}", file=sys.stderr, flush=True)), lambda: None
    task = progress.add_task("", total=None)
    return (
        lambda name, title, steps: progress.reset(task, description=f"{name}: {title}", total=steps),
        lambda: progress.advance(task),
    )


def _say_json(outcome: Outcome) -> None:
    for row in outcome.rows:
        typer.echo(json.dumps(dataclasses.asdict(row)))
    if outcome.why:
        typer.echo(json.dumps({"figure": outcome.figure, "failed" if outcome.failed else "skipped": outcome.why}))


def _show_table(outcomes: list[Outcome]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from livereactor.probes.results import words

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("figure", "what", "measured", "trials"):
        table.add_column(name, justify="right" if name == "trials" else "left", overflow="fold")
    for outcome in outcomes:
        for row in outcome.rows:
            table.add_row(row.figure, row.setting, Text(words(row.values, row.unit)), str(row.count))
        if outcome.why:
            told = f"{'failed: ' if outcome.failed else 'skipped: '}{outcome.why}"
            table.add_row(outcome.figure, outcome.title, Text(told), "")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
