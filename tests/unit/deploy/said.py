"""What files of `deploy/` say of us, read by our own settings and our own command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from livereactor.cli.main import app
from livereactor.pool.port import SECRET
from livereactor.settings import Resolved, resolve
from tests.tools.processes import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
_MODELS = "/models/"  # where the image has the examples, and compose mounts them


def check_command(arguments: Sequence[str]) -> None:
    """Raise where `livereactor` would refuse these arguments, or a model of ours that they name is not there."""
    group = typer.main.get_command(app)
    name, *rest = arguments
    context = typer.Context(group, info_name="livereactor")
    found = group.get_command(context, name)  # type: ignore[attr-defined]  # a group, as click sees it
    assert found is not None, f"no command {name!r}"
    with found.make_context(name, list(rest), parent=context) as made:
        targets = made.params.get("models") or [made.params.get("target")]
    for target in targets:
        if target is not None and str(target).startswith(_MODELS):
            assert (REPOSITORY / "examples" / str(target).removeprefix(_MODELS)).exists(), target


def check_environment(environment: Mapping[str, str]) -> Resolved:
    """What the variables set; raises `ConfigError` for one that we do not know, or that is malformed."""
    ours = {name: value for name, value in environment.items() if name.startswith("LIVEREACTOR_") and name != SECRET}
    return resolve(Path("/nowhere"), command_line={}, environ=ours)
