"""Options that several commands share, and the environment variables behind them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Data folder to act on.", show_default="LIVEREACTOR_DATA_DIR or livereactor-data"),
]
CoordinatorUrl = Annotated[str | None, typer.Option("--coordinator", help="URL of a running coordinator to act on.")]
AdminKey = Annotated[
    str | None,
    typer.Option("--key", help="API key for --coordinator.", show_default="LIVEREACTOR_API_KEY"),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")]
Key = Annotated[
    str | None, typer.Option("--key", help="API key for a coordinator.", show_default="LIVEREACTOR_API_KEY")
]
Jwt = Annotated[str | None, typer.Option("--jwt", help="A token, instead of a key.", show_default="LIVEREACTOR_JWT")]


def from_environment(name: str) -> str | None:
    """What the environment says; as `Reactor` reads it."""
    return os.environ.get(f"LIVEREACTOR_{name}") or os.environ.get(f"REACTOR_{name}") or None
