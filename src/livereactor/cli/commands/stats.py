"""`livereactor stats`: shows where a session's time goes, from the command to the picture."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from livereactor.base.errors import NotFoundError, UsageError
from livereactor.cli.admin import AdminTarget, RemoteError
from livereactor.cli.options import AdminKey, Json

EVERY: Final = 1.0  # seconds between two updates
# States with a worker, of runtimes and coordinators.
RUNNING: Final = frozenset({"waiting", "active", "orphaned", "streaming"})
LISTED: Final = 10  # sessions that are listed when you have to choose one
HEADINGS: Final = ("STAGE", "TRACK", "COUNT", "NOW", "P50", "P95", "P99", "MAX")
WORDS: Final = {
    "command_wait": "command wait",
    "commands": "command",
    "command_reply": "reply sent",
    "input_wait": "input wait",
    "step": "step",
    "queue": "queue",
    "convert": "convert",
    "encode": "encode",
    "send": "send",
    "network": "network",
    "jitter_buffer": "jitter buffer",
    "decode": "decode",
}
UNSENT: Final = {
    "replaced": "replaced by newer ones before encoding",
    "left_out": "skipped because the network was too slow",
    "refused": "refused by a viewer's connection",
}
Body = dict[str, Any]


def stats(
    url: Annotated[str, typer.Argument(metavar="URL", help="URL of a runtime or a coordinator.")],
    session: Annotated[
        str | None, typer.Argument(metavar="[SESSION]", help="Id of the session.", show_default="the only running one")
    ] = None,
    key: AdminKey = None,
    json_lines: Json = False,
) -> None:
    """Show where a session's time goes.

    Shows each stage from a command to the picture, in milliseconds. In a terminal, updates every second until you press
    Ctrl-C or the session ends. Without a terminal, or with --json, prints once.
    """
    target = AdminTarget(coordinator=url, key=key)
    chosen = session or _only(target)
    body = _stages(target, chosen)
    if json_lines:
        typer.echo(json.dumps(body))
    elif sys.stdout.isatty():
        _follow(target, body)
    else:
        typer.echo(table(body))


def table(body: Body, before: Body | None = None) -> str:
    """Return the stages as a table. NOW is the mean since the earlier answer `before`."""
    earlier = {_name(row): row for row in (before or {"stages": []})["stages"]}
    lines = [HEADINGS, *(_cells(row, earlier.get(_name(row))) for row in body["stages"])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [_line(line, widths) for line in lines]
    clients = "1 client" if body["clients"] == 1 else f"{body['clients']} clients"
    pictures = [_pictures(each) for each in body.get("pictures", ())]  # older servers do not report it
    head = f"{body['session_id']}  {body['seconds']:.0f} s  {clients}"
    below = ["", *pictures] if pictures else []
    return "\n".join([head, "", *shown, *below])


def _pictures(row: Body) -> str:
    """Say how many pictures of a track were not sent, and why."""
    lost = [f"{row[name]} {words}" for name, words in UNSENT.items() if row.get(name)]
    return ", ".join([f"{row['track']}: {row['given']} pictures", *lost])


def _follow(target: AdminTarget, body: Body) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    before: Body | None = None
    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            live.update(Text(table(body, before)), refresh=True)
            time.sleep(EVERY)
            try:
                before, body = body, _stages(target, body["session_id"])
            except RemoteError as error:
                if error.code != NotFoundError.code:
                    raise
                break
    typer.echo("The session has ended.", err=True)


def _stages(target: AdminTarget, session: str) -> Body:
    return target.call("GET", f"/sessions/{quote(session, safe='')}/stages")


def _only(target: AdminTarget) -> str:
    """Return the id of the only running session; raise if there is none or more than one."""
    found = _running(target)
    if not found:
        raise NotFoundError("no session is running there; start one on the page or with `livereactor connect`")
    if len(found) > 1:
        names = ", ".join(found[:LISTED])
        raise UsageError(
            f"{len(found)} sessions are running there; name one: {names}{' …' if len(found) > LISTED else ''}"
        )
    return found[0]


def _running(target: AdminTarget) -> Sequence[str]:
    if target.call("GET", "/health").get("service") == "coordinator":
        listed: list[Body] = target.call("GET", "/sessions?state=open")["sessions"]
        return [each["session_id"] for each in listed if each["state"].lower() in RUNNING]
    shown: Body = target.call("GET", "/session")
    return [shown["session_id"]] if shown["state"].lower() in RUNNING else []


def _name(row: Body) -> tuple[str, str | None]:
    return row["stage"], row.get("track")


def _cells(row: Body, before: Body | None) -> tuple[str, ...]:
    figures = (_now(row, before), row["p50_ms"], row["p95_ms"], row["p99_ms"], row["max_ms"])
    stage, track = _name(row)
    word = WORDS.get(stage, stage)  # a newer server may have other stages
    return word, track or "", str(row["count"]), *("" if each is None else f"{each:.2f}" for each in figures)


def _now(row: Body, before: Body | None) -> float | None:
    """Return the mean since the earlier answer; None if nothing was measured since, or there was no answer."""
    if before is None or (more := row["count"] - before["count"]) <= 0:
        return None
    return (row["total_ms"] - before["total_ms"]) / more


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Align words to the left and numbers to the right."""
    words = [f"{cell:<{width}}" for cell, width in zip(cells[:2], widths[:2], strict=True)]
    numbers = [f"{cell:>{width}}" for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join([*words, *numbers]).rstrip()
