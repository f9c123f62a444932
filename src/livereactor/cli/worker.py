"""`livereactor worker`: one more Worker for a coordinator, wherever that is; a keeper watches it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livereactor.base.errors import UsageError
from livereactor.base.limits import Limits
from livereactor.settings import Resolved, resolve

if TYPE_CHECKING:
    from livereactor.wiring.worker import WorkerOptions

_Target = Annotated[str, typer.Argument(help="A file, file.py:Class, or a folder with a model.py.")]
_Coordinator = Annotated[str, typer.Option(help="URL of the coordinator, such as http://host:8080.")]
_Secret = Annotated[str | None, typer.Option(help="What it asks of workers.", show_default="LIVEREACTOR_WORKER_SECRET")]
_Id = Annotated[str | None, typer.Option("--id", help="Name of this worker in lists.", show_default="host and chance")]
_Json = Annotated[bool, typer.Option("--json", help="Log as JSON, a record a line.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: livereactor worker pond.py --coordinator https://models.example")(worker)


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
    from livereactor.cli.keeper import end_with_stdin
    from livereactor.wiring.worker import WorkerOptions, fresh_name, serve_coordinator, worker_secret

    if worker_id is not None and not re.fullmatch(r"[\w.\-]{1,64}", worker_id):
        raise UsageError(f"--id {worker_id[:80]!r} is no name; use letters, digits, '_', '-' and '.', 64 at most")
    path = Path(target.partition(":")[0])
    command_line = {"runtime.log_format": "json"} if json_lines else {}
    resolved = resolve(path if path.is_dir() else path.parent, command_line=command_line)
    options = WorkerOptions(coordinator, worker_secret(coordinator, secret), worker_id or fresh_name(), pooled)
    if not (pooled or kept):
        sys.exit(_keep(target, resolved, options, name=worker_id))
    if kept:
        end_with_stdin()
    serve_coordinator(target, resolved, options)


def _keep(target: str, resolved: Resolved, options: WorkerOptions, *, name: str | None) -> int:
    """Run Workers in processes of their own, one after another; the exit code of the last."""
    from livereactor.cli.keeper import Keeper, teller
    from livereactor.wiring.worker import SECRET, fresh_name

    os.environ[SECRET] = options.secret  # anybody on the machine can read arguments
    said = ["--json"] if resolved.settings.runtime.log_format == "json" else []

    def command(worker: str) -> Sequence[str]:
        serve = [sys.executable, "-m", "livereactor", "worker", target, "--coordinator", options.coordinator]
        return [*serve, "--id", worker, "--kept", *said]

    grace = resolved.settings.coordinator.drain_timeout + Limits().exit_timeout
    tell = teller(options.coordinator, options.secret)
    return Keeper(command, (lambda: name) if name else fresh_name, tell, grace=grace).run()
