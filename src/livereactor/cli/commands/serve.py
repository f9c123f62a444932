"""`livereactor serve`: serves models to many people, with keys, a queue and a page."""

from __future__ import annotations

import json
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from livereactor.settings import resolve

_Targets = Annotated[
    list[str] | None, typer.Argument(help="Models to serve: each a file, file.py:Class, or a folder with a model.py.")
]
_Port = Annotated[int | None, typer.Option(help="Port of the page and API; 0 picks a free one.", show_default="8080")]
_Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
_Data = Annotated[
    Path | None,
    typer.Option(help="Folder for the database, secrets, uploads and logs.", show_default="./livereactor-data"),
]
_Store = Annotated[
    str | None, typer.Option(help="Database to use instead of SQLite in the data folder: postgresql://…")
]
_Blobs = Annotated[
    str | None,
    typer.Option(
        help="Where to store uploads and recordings: s3://bucket/prefix, or a folder.", show_default="<data>/blobs"
    ),
]
_Workers = Annotated[int | None, typer.Option(help="Maximum workers per model.", show_default="1")]
_Ready = Annotated[
    int | None, typer.Option(help="Workers per model to keep ready; 0 = start on first use.", show_default="1")
]
_Pool = Annotated[
    str | None, typer.Option(help="Where workers run: subprocess, or ray for a cluster.", show_default="subprocess")
]
_Json = Annotated[bool, typer.Option("--json", help="Print the address as JSON, for scripts.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: livereactor serve pond.py garden.py --max-workers 2")(serve)


def serve(
    models: _Targets = None,
    port: _Port = None,
    host: _Host = None,
    data_dir: _Data = None,
    store: _Store = None,
    blobs: _Blobs = None,
    pool: _Pool = None,
    max_workers: _Workers = None,
    min_ready: _Ready = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json_lines: _Json = False,
) -> None:
    """Serve models to many people, with keys and a queue.

    Without MODELS, serves the models of workers that connect from elsewhere. Press Ctrl-C to stop.
    """
    given: dict[str, object] = {
        "coordinator.port": port,
        "coordinator.host": host,
        "coordinator.data_dir": data_dir,
        "store.url": store,
        "blobs.url": blobs,
        "pool.kind": pool,
        "pool.max_workers": max_workers,
        "pool.min_ready": min_ready,
    }
    serve_targets(models or [], given, open_page=open_page, json_lines=json_lines)


def serve_targets(
    targets: Sequence[str],
    given: Mapping[str, object],
    *,
    open_page: bool = False,
    json_lines: bool = False,
    is_fleeting: bool = False,
) -> None:
    """Serve until interrupted. Values of None come from the environment, the settings file or the defaults.

    Args:
        is_fleeting: the data folder is deleted at the end, and the message says so.
    """
    from livereactor.wiring.coordinator import Guests, serve_models

    command_line = {name: value for name, value in given.items() if value is not None}
    resolved = resolve(Path(), command_line=command_line)

    let_in = {
        Guests.EVERYBODY: "Nobody needs a key or a token (guests = true).",
        Guests.HERE: "On this machine nobody needs a key until you create one. Everyone else needs a key or a token.",
        Guests.NOBODY: "Everyone needs a key or a token. To get a token, run `livereactor token`.",
    }

    def listening(url: str, guests: Guests) -> None:
        typer.echo(json.dumps({"url": url}) if json_lines else url)
        folder = resolved.settings.coordinator.data_dir.absolute()
        print(f"Data: {folder}{' (deleted when you stop)' if is_fleeting else ''}", file=sys.stderr)
        print(let_in[guests], file=sys.stderr)
        print("Press Ctrl-C to stop.", file=sys.stderr)
        if open_page:
            webbrowser.open(url)

    serve_models(targets, resolved, listening=listening)
