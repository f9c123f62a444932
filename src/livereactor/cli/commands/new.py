"""`livereactor new`: creates a folder with a model from a template."""

from __future__ import annotations

import json
import keyword
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from livereactor.base.errors import UsageError
from livereactor.cli.options import JsonObject

_TEMPLATES = Path(__file__).parents[1] / "templates"


class Template(StrEnum):
    """Template of a new model."""

    video = "video"  # frames and a slider
    webcam = "webcam"  # transforms the visitor's camera
    audio = "audio"  # sound with its picture
    world = "world"  # keys move the view
    chunked = "chunked"  # sixteen frames at a time, like video diffusion


def new(
    name: Annotated[str, typer.Argument(help="Folder to create. Its last part names the model.")],
    template: Annotated[Template, typer.Option(help="Kind of model to start from.")] = Template.video,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
    json_lines: JsonObject = False,
) -> None:
    """Create a folder with a model that runs."""
    folder = Path(name)
    title = class_name(folder.name)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{name} is a file; choose another name")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UsageError(f"{name} is not empty; choose another name, or use --force to write into it")
    folder.mkdir(parents=True, exist_ok=True)
    source = (_TEMPLATES / f"{template.value}.py").read_text(encoding="utf-8")
    (folder / "model.py").write_text(source.replace("NewModel", title), encoding="utf-8")
    (folder / "README.md").write_text(_readme(folder.name, template), encoding="utf-8")
    if json_lines:
        typer.echo(json.dumps({"model": str(folder / "model.py"), "class": title}))
        return
    typer.echo(f"created {folder}/model.py. To see it, with reload on save, run:\n\n  livereactor dev {folder}")


def class_name(text: str) -> str:
    """Return the class name for a folder name: `my-first model` becomes `MyFirstModel`.

    Raises:
        UsageError: `text` cannot become the name of a class.
    """
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    if not name or name[0].isdigit() or keyword.iskeyword(name):
        raise UsageError(f"{text!r} cannot name a model; start with a letter, as in 'hello'")
    return name


def _readme(name: str, template: Template) -> str:
    return f"""# {name}

A [livereactor](https://pypi.org/project/livereactor/) model, created from the template `{template.value}`.

    livereactor dev .         run it, open the page, reload on save
    livereactor run .         serve it on http://localhost:8080
    livereactor schema .      print its commands, messages and tracks as OpenAPI
"""
