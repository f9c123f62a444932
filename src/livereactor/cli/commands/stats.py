"""`livereactor stats`: where a session's time goes, from the command to the picture."""

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

EVERY: Final = 1.0  # seconds between two looks
RUNNING: Final = frozenset({"waiting", "active", "orphaned", "streaming"})  # have a worker; words of both servers
LISTED: Final = 10  # sessions that are named where one has to be chosen
HEADINGS: Final = ("STAGE", "TRACK", "TIMES", "NOW", "MEDIAN", "95 %", "99 %", "MOST")
WORDS: Final = {
    "command_wait": "command waits",
    "commands": "command runs",
    "command_reply": "reply is sent",
    "input_wait": "waits for input",
    "step": "step",
    "queue": "queue",
    "convert": "colours",
    "encode": "encode",
    "send": "send",
    "network": "network",
    "jitter_buffer": "jitter buffer",
    "decode": "decode",
}
UNSENT: Final = {
    "replaced": "replaced by newer ones before their turn",
    "left_out": "left out for want of room on the network",
    "refused": "not taken for a viewer",
}
Body = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog="Example: livereactor stats http://localhost:8080")(stats)


def stats(
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of a runtime or a coordinator.")],
    session: Annotated[
        str | None, typer.Argument(metavar="[SESSION]", help="Its id.", show_default="the only one that runs")
    ] = None,
    key: AdminKey = None,
    json_lines: Json = False,
) -> None:
    """Show where a session's time goes, from the command to the picture.

    In a terminal once a second until Ctrl-C or the session's end; else, and with --json, once. All in milliseconds.
    """
    place = AdminTarget(coordinator=url, key=key)
    chosen = session or _only(place)
    body = _stages(place, chosen)
    if json_lines:
        typer.echo(json.dumps(body))
    elif sys.stdout.isatty():
        _follow(place, body)
    else:
        typer.echo(table(body))


def table(body: Body, before: Body | None = None) -> str:
    """The stages as lines of a table; `before`, an earlier answer, is what NOW is the mean since."""
    earlier = {_name(row): row for row in (before or {"stages": []})["stages"]}
    lines = [HEADINGS, *(_cells(row, earlier.get(_name(row))) for row in body["stages"])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [_line(line, widths) for line in lines]
    clients = "1 client" if body["clients"] == 1 else f"{body['clients']} clients"
    pictures = [_pictures(each) for each in body.get("pictures", ())]  # an older server does not tell
    head = f"{body['session_id']}  {body['seconds']:.0f} s  {clients}"
    below = ["", *pictures] if pictures else []
    return "\n".join([head, "", *shown, *below])


def _pictures(row: Body) -> str:
    """What became of a track's pictures, and why some were not sent."""
    lost = [f"{row[name]} {words}" for name, words in UNSENT.items() if row.get(name)]
    return ", ".join([f"{row['track']}: {row['given']} pictures given", *lost])


def _follow(place: AdminTarget, body: Body) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    before: Body | None = None
    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            live.update(Text(table(body, before)), refresh=True)
            time.sleep(EVERY)
            try:
                before, body = body, _stages(place, body["session_id"])
            except RemoteError as error:
                if error.code != NotFoundError.code:
                    raise
                break
    typer.echo("the session is over", err=True)


def _stages(place: AdminTarget, session: str) -> Body:
    return place.call("GET", f"/sessions/{quote(session, safe='')}/stages")


def _only(place: AdminTarget) -> str:
    """The session that runs; raises where there is none, or more than one."""
    found = _running(place)
    if not found:
        raise NotFoundError("no session runs there; start one, in the page or with `livereactor connect`")
    if len(found) > 1:
        names = ", ".join(found[:LISTED])
        raise UsageError(f"{len(found)} sessions run there; name one: {names}{' …' if len(found) > LISTED else ''}")
    return found[0]


def _running(place: AdminTarget) -> Sequence[str]:
    if place.call("GET", "/health").get("service") == "coordinator":
        listed: list[Body] = place.call("GET", "/sessions?state=open")["sessions"]
        return [each["session_id"] for each in listed if each["state"].lower() in RUNNING]
    shown: Body = place.call("GET", "/session")
    return [shown["session_id"]] if shown["state"].lower() in RUNNING else []


def _name(row: Body) -> tuple[str, str | None]:
    return row["stage"], row.get("track")


def _cells(row: Body, before: Body | None) -> tuple[str, ...]:
    figures = (_now(row, before), row["p50_ms"], row["p95_ms"], row["p99_ms"], row["max_ms"])
    stage, track = _name(row)
    word = WORDS.get(stage, stage)  # a newer server may have stages of its own
    return word, track or "", str(row["count"]), *("" if each is None else f"{each:.2f}" for each in figures)


def _now(row: Body, before: Body | None) -> float | None:
    """The mean since the look before; None where nothing came, or there was none."""
    if before is None or (more := row["count"] - before["count"]) <= 0:
        return None
    return (row["total_ms"] - before["total_ms"]) / more


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, numbers to the right."""
    words = [f"{cell:<{width}}" for cell, width in zip(cells[:2], widths[:2], strict=True)]
    numbers = [f"{cell:>{width}}" for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join([*words, *numbers]).rstrip()
