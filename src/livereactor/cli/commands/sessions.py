"""`livereactor sessions`, `queue` and `workers`: show and control what a coordinator does."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from livereactor.base.errors import NotFoundError, UsageError
from livereactor.cli.admin import AdminTarget
from livereactor.cli.options import AdminKey, CoordinatorUrl, DataDir, Json

if TYPE_CHECKING:
    from livereactor.wiring.data import Data

REASON_CHARS: Final = 64  # the same limit as in the body of DELETE
# Headings of the tables.
SESSION: Final = ("SESSION", "STATE", "MODEL", "ACCOUNT", "CREATED", "END REASON")
TICKET: Final = ("PLACE", "SESSION", "MODEL", "ACCOUNT", "WAITED", "ESTIMATE")
WORKER: Final = ("WORKER", "STATE", "MODEL", "NODE", "SESSIONS")
sessions = typer.Typer(no_args_is_help=True, help="List, show and end sessions.", rich_markup_mode=None)
workers = typer.Typer(
    invoke_without_command=True, help="List workers, drain one, or mint a credential for one.", rich_markup_mode=None
)


class State(StrEnum):
    """State of the sessions to list."""

    open = "open"
    queued = "queued"
    assigned = "assigned"
    waiting = "waiting"
    active = "active"
    orphaned = "orphaned"
    closed = "closed"


@sessions.command("list", epilog="Example: livereactor sessions list --state open")
def list_sessions(
    state: Annotated[
        State | None, typer.Option(help="Show only sessions in this state.", show_default="all that are kept")
    ] = None,
    data_dir: DataDir = None,
    coordinator: CoordinatorUrl = None,
    key: AdminKey = None,
    json_lines: Json = False,
) -> None:
    """List sessions, newest first."""
    from livereactor.coordinator.http.admin_queries import sessions as rows

    target, only = AdminTarget(data_dir, coordinator, key), None if state is None else state.value
    path = "/admin/sessions" if only is None else f"/admin/sessions?state={only}"
    found = target.answer("GET", path, lambda data: data.store.read(lambda tx: rows(tx, state=only)), part="sessions")
    _show(found, json_lines, SESSION, _session_cells)


@sessions.command(epilog="Example: livereactor sessions show ses_0197…")
def show(
    session: Annotated[str, typer.Argument(help="Id of the session.")],
    data_dir: DataDir = None,
    coordinator: CoordinatorUrl = None,
    key: AdminKey = None,
    json_lines: Json = False,
) -> None:
    """Show everything about one session."""
    target, path = AdminTarget(data_dir, coordinator, key), f"/admin/sessions/{quote(session, safe='')}"
    row: dict[str, Any] = target.answer("GET", path, lambda data: _one(data, session))
    if json_lines:
        typer.echo(json.dumps(row))
        return
    for name, value in row.items():
        typer.echo(f"{name:<20} {_time(value) if name.endswith('_at') else value}")


@sessions.command(epilog="Example: livereactor sessions end ses_0197…")
def end(
    session: Annotated[str, typer.Argument(help="Id of the session.")],
    reason: Annotated[str, typer.Option(help="Reason to tell the clients, at most 64 characters.")] = "evicted",
    data_dir: DataDir = None,
    coordinator: CoordinatorUrl = None,
    key: AdminKey = None,
    json_lines: Json = False,
) -> None:
    """End a session and tell its clients why."""
    if len(reason) > REASON_CHARS:
        raise UsageError(f"--reason has {len(reason)} characters; use at most {REASON_CHARS}")
    target, path = AdminTarget(data_dir, coordinator, key), f"/admin/sessions/{quote(session, safe='')}"
    target.answer("DELETE", path, lambda data: _end(data, session, reason), body={"reason": reason})
    typer.echo(json.dumps({"session_id": session, "ended": True}) if json_lines else f"ended {session}")


def queue(
    data_dir: DataDir = None, coordinator: CoordinatorUrl = None, key: AdminKey = None, json_lines: Json = False
) -> None:
    """List waiting clients, in the order in which they are served."""
    from livereactor.coordinator.queries import queued

    target, path = AdminTarget(data_dir, coordinator, key), "/admin/overview"
    found = target.answer(
        "GET", path, lambda data: data.store.read(lambda tx: queued(tx, data.unix_us(), None)), part="queue"
    )
    _show(found, json_lines, TICKET, _ticket_cells)


@workers.callback(epilog="Example: livereactor workers --json")
def list_workers(
    context: typer.Context,
    data_dir: DataDir = None,
    coordinator: CoordinatorUrl = None,
    key: AdminKey = None,
    json_lines: Json = False,
) -> None:
    """List the workers that are alive."""
    if context.invoked_subcommand is not None:
        return
    from livereactor.coordinator.http.admin_queries import workers as rows

    target, path = AdminTarget(data_dir, coordinator, key), "/admin/overview"
    found = target.answer(
        "GET", path, lambda data: data.store.read(lambda tx: rows(tx, data.unix_us())), part="workers"
    )
    _show(found, json_lines, WORKER, _worker_cells)


@workers.command(epilog="Example: livereactor workers mint --model pond --name gpu-1")
def mint(
    model: Annotated[str, typer.Option(help="Model that the workers serve.")],
    name: Annotated[str, typer.Option(help="Name of the machine: ids of its workers begin with it.")],
    expires_after: Annotated[
        int | None, typer.Option(min=60, help="Lifetime in seconds.", show_default="until the worker secret changes")
    ] = None,
    data_dir: DataDir = None,
    json_lines: Json = False,
) -> None:
    """Print a credential for workers on another machine.

    Give it to `livereactor worker` as LIVEREACTOR_WORKER_SECRET. It serves this model alone, and reaches only the
    sessions that its workers hold.
    """
    if not re.fullmatch(r"[\w.\-]{1,48}", name):
        raise UsageError(f"--name {name[:80]!r} is not valid; use up to 48 letters, digits, '_', '-' and '.'")
    from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, credential
    from livereactor.wiring.data import secrets_of

    expires_at = None if expires_after is None else int(time.time()) + expires_after
    secret = secrets_of(AdminTarget(data_dir).settings()).worker
    minted = credential(secret, WorkerIdentity(name, model, is_family=True), expires_at=expires_at)
    typer.echo(json.dumps({"credential": minted, "expires_at": expires_at}) if json_lines else minted)


@workers.command(epilog="Example: livereactor workers drain wrk_0197…")
def drain(
    worker: Annotated[str, typer.Argument(help="Id of the worker.")],
    data_dir: DataDir = None,
    coordinator: CoordinatorUrl = None,
    key: AdminKey = None,
    json_lines: Json = False,
) -> None:
    """Let a worker finish its session and then stop it."""
    target, path = AdminTarget(data_dir, coordinator, key), f"/admin/workers/{quote(worker, safe='')}/drain"
    target.answer("POST", path, lambda data: _drain(data, worker))
    typer.echo(json.dumps({"worker": worker, "draining": True}) if json_lines else f"draining {worker}")


# --- on a data folder ------------------------------------------------------------------------------------------------
# A running coordinator learns of the change like of another coordinator's decision, when it next reads the store.


async def _one(data: Data, session: str) -> dict[str, Any]:
    from livereactor.coordinator.http.admin_queries import session_row

    found = await data.store.read(lambda tx: tx.session(session))
    if found is None:
        raise NotFoundError(f"no session {session[:64]!r}; `livereactor sessions list` shows all sessions")
    return session_row(found)


async def _end(data: Data, session: str, reason: str) -> None:
    from livereactor.coordinator import decisions

    await _one(data, session)
    await data.store.transact(
        lambda tx: decisions.end_session(tx, data.unix_us(), data.options, session=session, reason=reason)
    )


async def _drain(data: Data, worker: str) -> None:
    from livereactor.coordinator import decisions

    await data.store.transact(lambda tx: decisions.drain(tx, data.unix_us(), data.options, worker=worker))


# --- tables -----------------------------------------------------------------------------------------------


def _show(
    rows: Sequence[dict[str, Any]],
    as_json: bool,
    headings: Sequence[str],
    cells: Callable[[dict[str, Any]], Sequence[str]],
) -> None:
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    if not rows:
        typer.echo("none", err=True)
        return
    table = [headings, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        typer.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _session_cells(row: dict[str, Any]) -> Sequence[str]:
    account, ended = row.get("account") or "", row.get("end_reason") or ""
    return row["session_id"], row["state"], row["model"], account, _time(row["created_at"]), ended


def _ticket_cells(row: dict[str, Any]) -> Sequence[str]:
    wait = "?" if row.get("estimated_wait") is None else f"about {row['estimated_wait']:.0f} s"
    place = str(row.get("position", "?"))
    return place, row["session_id"], row["model"], row["account"], f"{row['waiting_s']} s", wait


def _worker_cells(row: dict[str, Any]) -> Sequence[str]:
    return row["worker"], row["state"], row["model"], row["node"], ", ".join(row["sessions"]) or "free"


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
