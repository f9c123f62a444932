"""`livereactor serve` and `livereactor demo`: serve models to many people, with keys, a queue and a page."""

from __future__ import annotations

import json
import os
import re
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import typer

import livereactor
from livereactor.base.errors import ConfigError, UsageError
from livereactor.cli.options import JsonAddress
from livereactor.settings import resolve

# In the order of the gallery; paths below `demo_models()`.
MODELS: Final = ("pond.py", "garden/garden.py", "world/world.py", "mirror/mirror.py", "choir.py", "slow.py")


def demo(
    port: Annotated[int | None, typer.Option(help="Port of the page.", show_default="8080")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json_lines: JsonAddress = False,
) -> None:
    """Serve the demo models with a gallery.

    Needs no configuration. Each model's worker starts on first use. Data goes to a temporary folder that is deleted at
    the end. Press Ctrl-C to stop.
    """
    # Each run gets its own folder, so that demos can run side by side and none finds another's data.
    with TemporaryDirectory(prefix="livereactor-demo-", ignore_cleanup_errors=True) as folder:
        given: dict[str, object] = {
            "coordinator.port": port,
            "coordinator.data_dir": Path(folder),
            "store.url": f"sqlite:///{folder}/livereactor.db",  # never a database from the environment
            # One person with many tabs and reloads on their own machine.
            "coordinator.concurrent_sessions": 0,
            "coordinator.sessions_per_minute": 0,
            "coordinator.drain_timeout": 0,  # the person who stops the demo is the one who watches it
            "pool.min_ready": 0,
            "pool.spare": True,
        }
        models = [str(demo_models() / name) for name in MODELS]
        try:
            serve_targets(models, given, open_page=open_page, json_lines=json_lines, is_fleeting=True)
        except ConfigError as error:
            raise ConfigError(_for_make(error.message)) from error


def _for_make(text: str) -> str:
    """Add the form for `make demo`, which does not take our options."""
    return re.sub(r"--port (\d+)", r"--port \1 (make demo PORT=\1)", text) if "MAKELEVEL" in os.environ else text


def demo_models() -> Path:
    """Return the folder of the demo models.

    An installed wheel has them next to the package. In a checkout they are the examples.
    """
    package = Path(livereactor.__file__).parent
    for folder in (package / "demos", package.parent.parent / "examples"):
        if all((folder / name).is_file() for name in MODELS):
            return folder
    raise UsageError("the demo models are missing from this installation; reinstall livereactor")


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
        help="Location for uploads and recordings: s3://bucket/prefix, or a folder.", show_default="<data>/blobs"
    ),
]
_Workers = Annotated[int | None, typer.Option(help="Maximum workers per model.", show_default="1")]
_Ready = Annotated[
    int | None, typer.Option(help="Workers per model to keep ready; 0 = start on first use.", show_default="1")
]
_Pool = Annotated[
    str | None, typer.Option(help="Where workers run: subprocess, or ray for a cluster.", show_default="subprocess")
]


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
    json_lines: JsonAddress = False,
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
