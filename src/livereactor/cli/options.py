"""Options that several commands share, and the environment variables behind them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Data folder to use.", show_default="LIVEREACTOR_DATA_DIR or livereactor-data"),
]
CoordinatorUrl = Annotated[
    str | None, typer.Option("--coordinator", help="URL of a running coordinator to use instead of the data folder.")
]
AdminKey = Annotated[
    str | None, typer.Option("--key", help="API key for the coordinator.", show_default="LIVEREACTOR_API_KEY")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line, for scripts.")]
JsonObject = Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")]
JsonAddress = Annotated[bool, typer.Option("--json", help="Print the address as JSON, for scripts.")]
ServerUrl = Annotated[str, typer.Argument(help="URL of a coordinator or a runtime.")]
ServerModel = Annotated[str | None, typer.Option("--model", help="Model to use.", show_default="the server's first")]
ServerLocal = Annotated[
    bool,
    typer.Option(
        "--local", help="Treat the server as a standalone runtime, even if it does not identify itself as one."
    ),
]
Key = Annotated[
    str | None, typer.Option("--key", help="API key for a coordinator.", show_default="LIVEREACTOR_API_KEY")
]
Jwt = Annotated[
    str | None, typer.Option("--jwt", help="Token to use instead of a key.", show_default="LIVEREACTOR_JWT")
]


def from_environment(name: str) -> str | None:
    """Return LIVEREACTOR_<name> or REACTOR_<name> from the environment, as `Reactor` does; None = not set."""
    return os.environ.get(f"LIVEREACTOR_{name}") or os.environ.get(f"REACTOR_{name}") or None
