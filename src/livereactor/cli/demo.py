"""`livereactor demo`: a live model on screen, with nothing to configure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import livereactor
from livereactor.base.errors import UsageError
from livereactor.cli.run import serve


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: livereactor demo --port 9000")(demo)


def demo(
    port: Annotated[int | None, typer.Option(help="Port of the page.", show_default="8080")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Print the address as JSON, for scripts.")] = False,
) -> None:
    """Serve our demo: a pond you can touch.

    Nothing to configure; Ctrl-C ends it.
    """
    serve(str(demo_models() / "pond.py"), {"runtime.port": port}, open_page=open_page, json_lines=json_lines)


def demo_models() -> Path:
    """The folder of the demo models.

    An installed wheel carries them beside the package; in a checkout they are the examples themselves.
    """
    package = Path(livereactor.__file__).parent
    for folder in (package / "demos", package.parent.parent / "examples"):
        if (folder / "pond.py").is_file():
            return folder
    raise UsageError("the demo models are missing from this installation; reinstall livereactor")
