"""`livereactor worker`: one more Worker for a coordinator, wherever that is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from livereactor.base.errors import UsageError
from livereactor.settings import resolve

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
) -> None:
    """Run a model for a coordinator elsewhere.

    It dials out, so it needs no open port but those of media. Ctrl-C lets its session finish, once more ends at once.
    """
    from livereactor.wiring.worker import WorkerOptions, serve_coordinator

    if worker_id is not None and not re.fullmatch(r"[\w.\-]{1,64}", worker_id):
        raise UsageError(f"--id {worker_id[:80]!r} is no name; use letters, digits, '_', '-' and '.', 64 at most")
    path = Path(target.partition(":")[0])
    command_line = {"runtime.log_format": "json"} if json_lines else {}
    resolved = resolve(path if path.is_dir() else path.parent, command_line=command_line)
    serve_coordinator(target, resolved, WorkerOptions(coordinator, secret, worker_id, pooled))
