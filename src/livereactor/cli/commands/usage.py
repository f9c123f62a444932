"""`livereactor usage`: shows what accounts used, for invoices and for planning."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from livereactor.base.errors import UsageError
from livereactor.cli.admin import AdminTarget
from livereactor.cli.options import AdminKey, CoordinatorUrl, DataDir, Json

if TYPE_CHECKING:
    from livereactor.coordinator.usage import UsageRow
    from livereactor.wiring.data import Data

_MOMENT = "A day, an ISO 8601 time (UTC unless it names a zone) or Unix seconds."


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog="Example: livereactor usage --from 2026-11-25 --to 2026-11-26 --csv")(usage)


def usage(
    since: Annotated[str, typer.Option("--from", help=_MOMENT, show_default="everything that is kept")] = "0",
    until: Annotated[str | None, typer.Option("--to", help=_MOMENT, show_default="now")] = None,
    account: Annotated[str | None, typer.Option(help="Show only this account.", show_default="all")] = None,
    data_dir: DataDir = None,
    coordinator: CoordinatorUrl = None,
    key: AdminKey = None,
    json_lines: Json = False,
    as_table: Annotated[bool, typer.Option("--csv", help="Print comma-separated values with a header.")] = False,
) -> None:
    """Show ended sessions and their seconds on workers.

    Sums are by account and model. A session counts when it ends.
    """
    from livereactor.coordinator.usage import UsageRow, as_csv, as_json_lines

    if json_lines and as_table:
        raise UsageError("--json and --csv cannot be combined; choose one")
    target = AdminTarget(data_dir, coordinator, key)
    if target.is_remote:
        asked = {"from": since, "to": until, "account": account}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        found: list[dict[str, Any]] = target.call("GET", f"/admin/usage?{query}")["usage"]
        rows = [UsageRow(**each) for each in found]
    else:
        rows = target.operate(lambda data: _used(data, since, until, account))
    if json_lines or as_table:
        typer.echo(as_json_lines(rows) if json_lines else as_csv(rows), nl=False)
        return
    if not rows:
        typer.echo("no sessions ended in this time", err=True)
    for row in rows:
        typer.echo(_line(row))


async def _used(data: Data, since: str, until: str | None, account: str | None) -> list[UsageRow]:
    from livereactor.coordinator.usage import moment_us, usage

    since_us, until_us = moment_us(since), data.unix_us() if until is None else moment_us(until)
    return await data.store.read(lambda tx: usage(tx, since_us=since_us, until_us=until_us, account=account))


def _line(row: UsageRow) -> str:
    shown = asdict(row)
    return "{account:<16} {model:<16} {sessions:>7} sessions {seconds:>12.1f} s".format(**shown)
