"""`livereactor worker`: one more Worker for a coordinator, wherever that is; a keeper watches it."""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from livereactor.base.errors import ConfigError, UsageError
from livereactor.base.limits import Limits
from livereactor.cli.keeper import Keeper, end_with_stdin, teller
from livereactor.pool.environment import SECRET
from livereactor.settings import Resolved, resolve

_Target = Annotated[str, typer.Argument(help="A file, file.py:Class, or a folder with a model.py.")]
_Coordinator = Annotated[str, typer.Option(help="URL of the coordinator, such as http://host:8080.")]
_Secret = Annotated[str | None, typer.Option(help="What it asks of workers.", show_default="LIVEREACTOR_WORKER_SECRET")]
_Id = Annotated[str | None, typer.Option("--id", help="Name of this worker in lists.", show_default="host and chance")]
_Json = Annotated[bool, typer.Option("--json", help="Log as JSON, a record a line.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: livereactor worker pond.py --coordinator https://models.example")(worker)
    app.command(hidden=True)(spare_worker)


def worker(
    coordinator: _Coordinator,
    target: _Target = "model.py",
    secret: _Secret = None,
    worker_id: _Id = None,
    json_lines: _Json = False,
    pooled: Annotated[bool, typer.Option("--pooled", hidden=True)] = False,
    kept: Annotated[bool, typer.Option("--kept", hidden=True)] = False,
) -> None:
    """Run a model for a coordinator elsewhere.

    It dials out, so it needs no open port but those of media. Should its process die, the coordinator is told at once
    and another is started. Ctrl-C lets its session finish, once more ends at once.
    """
    if worker_id is not None and not re.fullmatch(r"[\w.\-]{1,64}", worker_id):
        raise UsageError(f"--id {worker_id[:80]!r} is no name; use letters, digits, '_', '-' and '.', 64 at most")
    secret = secret or os.environ.get(SECRET)
    if not secret:
        raise ConfigError(f"no worker secret; set {SECRET} to the coordinator's, or say --secret")
    path = Path(target.partition(":")[0])
    command_line = {"runtime.log_format": "json"} if json_lines else {}
    resolved = resolve(path if path.is_dir() else path.parent, command_line=command_line)
    if not (pooled or kept):
        sys.exit(_keep(target, resolved, coordinator, secret, name=worker_id))

    # What follows imports models and engines, which a keeper has no use for.
    from livereactor.wiring.worker import WorkerOptions, serve_coordinator

    if kept:
        end_with_stdin()
    serve_coordinator(target, resolved, WorkerOptions(coordinator, secret, worker_id or _fresh_name(), pooled))


def spare_worker() -> None:
    """Import all but a model, then wait until the pool that started this says which (`pool/subprocess/spare.py`)."""
    from livereactor.wiring.worker import await_orders

    if (orders := await_orders(sys.stdin.buffer)) is not None:
        worker(orders.coordinator, orders.target, worker_id=orders.worker, pooled=True)


def _keep(target: str, resolved: Resolved, coordinator: str, secret: str, *, name: str | None) -> int:
    """Run Workers in processes of their own, one after another; the exit code of the last."""
    os.environ[SECRET] = secret  # for them; anybody on the machine can read arguments
    said = ["--json"] if resolved.settings.runtime.log_format == "json" else []

    def command(worker: str) -> Sequence[str]:
        serve = [sys.executable, "-m", "livereactor", "worker", target, "--coordinator", coordinator]
        return [*serve, "--id", worker, "--kept", *said]

    grace = resolved.settings.coordinator.drain_timeout + Limits().exit_timeout
    new_id = (lambda: name) if name else _fresh_name
    return Keeper(command, new_id, teller(coordinator, secret), grace=grace).run()


def _fresh_name() -> str:
    return f"{re.sub(r'[^a-zA-Z0-9_.-]', '-', socket.gethostname())[:48]}-{secrets.token_hex(4)}"
