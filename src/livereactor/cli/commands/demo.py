"""`livereactor demo`: serves the demo models through a coordinator, without configuration."""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import typer

import livereactor
from livereactor.base.errors import ConfigError, UsageError
from livereactor.cli.commands.serve import serve_targets

# In the order of the gallery; paths below `demo_models()`.
MODELS: Final = ("pond.py", "garden/garden.py", "world/world.py", "mirror/mirror.py", "choir.py", "slow.py")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: livereactor demo --port 9000")(demo)


def demo(
    port: Annotated[int | None, typer.Option(help="Port of the page.", show_default="8080")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Print the address as JSON, for scripts.")] = False,
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

    An installed wheel has them beside the package. In a checkout they are the examples.
    """
    package = Path(livereactor.__file__).parent
    for folder in (package / "demos", package.parent.parent / "examples"):
        if all((folder / name).is_file() for name in MODELS):
            return folder
    raise UsageError("the demo models are missing from this installation; reinstall livereactor")
