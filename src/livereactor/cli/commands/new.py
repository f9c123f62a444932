"""`livereactor new`: a runnable folder from a template."""

from __future__ import annotations

import json
import keyword
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from livereactor.base.errors import UsageError

_TEMPLATES = Path(__file__).parents[1] / "templates"


class Template(StrEnum):
    """What a new model starts as."""

    video = "video"  # frames and a slider
    webcam = "webcam"  # the visitor's camera, changed
    audio = "audio"  # sound with its picture
    world = "world"  # keys held down steer a view
    chunked = "chunked"  # sixteen frames at a time, as video diffusion makes them


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: livereactor new hello --template webcam")(new)


def new(
    name: Annotated[str, typer.Argument(help="Folder to make; its last part names the model.")],
    template: Annotated[Template, typer.Option(help="What to start from.")] = Template.video,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
) -> None:
    """Make a folder with a model that runs as it is."""
    folder = Path(name)
    title = class_name(folder.name)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{name} is a file; take another name")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UsageError(f"{name} is not empty; take another name, or write into it with --force")
    folder.mkdir(parents=True, exist_ok=True)
    source = (_TEMPLATES / f"{template.value}.py").read_text(encoding="utf-8")
    (folder / "model.py").write_text(source.replace("NewModel", title), encoding="utf-8")
    (folder / "README.md").write_text(_readme(folder.name, template), encoding="utf-8")
    if json_lines:
        typer.echo(json.dumps({"model": str(folder / "model.py"), "class": title}))
        return
    typer.echo(f"made {folder}/model.py; see it, with reload on save:\n\n  livereactor dev {folder}")


def class_name(text: str) -> str:
    """`my-first model` becomes `MyFirstModel`.

    Raises:
        UsageError: nothing in `text` can name a class.
    """
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    if not name or name[0].isdigit() or keyword.iskeyword(name):
        raise UsageError(f"{text!r} cannot name a model; start with a letter, such as 'hello'")
    return name


def _readme(name: str, template: Template) -> str:
    return f"""# {name}

A [livereactor](https://pypi.org/project/livereactor/) model, made from the `{template.value}` template.

    livereactor dev .         run it, open the page, reload on save
    livereactor run .         serve it on http://localhost:8080
    livereactor schema .      its commands, messages and tracks as OpenAPI
"""
