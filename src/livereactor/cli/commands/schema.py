"""`livereactor schema` and `livereactor validate`: describe and check a model class, without loading weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from livereactor.base.errors import LivereactorError, UsageError


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: livereactor schema model.py --check v1.json")(schema)
    app.command(epilog="Example: livereactor validate model.py:Pond")(validate)


def schema(
    target: Annotated[str, typer.Argument(help="Model: a file, file.py:Class, or a folder.")] = "model.py",
    out: Annotated[Path | None, typer.Option(help="File to write instead of stdout.")] = None,
    check: Annotated[
        Path | None, typer.Option(help="Older schema to compare with. Exits with 1 on breaking changes.")
    ] = None,
) -> None:
    """Print a model's schema as an OpenAPI 3.1 document.

    The document contains its commands, messages and tracks. No weights are loaded.
    """
    from livereactor.runtime.execution.schema_file import openapi_of, own_stdout

    answer = own_stdout()
    document = openapi_of(target)
    if check is not None:
        _compare(check, document, answer)
        return
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if out is None:
        typer.echo(text, file=answer)
    else:
        out.write_text(text + "\n", encoding="utf-8")
        typer.echo(f"wrote {out}", err=True)


def validate(
    target: Annotated[str, typer.Argument(help="Model: a file, file.py:Class, or a folder.")] = "model.py",
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Check a model's class and settings.

    Loads no weights and serves nothing.
    """
    from livereactor.runtime.execution.loading import load_model
    from livereactor.runtime.execution.schema_file import openapi_of, own_stdout
    from livereactor.settings import resolve

    path = Path(target.partition(":")[0])
    resolve(path if path.is_dir() else path.parent, command_line={})
    answer = own_stdout()
    model = load_model(target)
    document = openapi_of(target)
    counts = {
        "model": model.__name__,
        "tracks": [track["name"] for track in document["x-reactor"]["tracks"]],
        "commands": [path.rsplit("/", 1)[-1] for path in document.get("paths", {})],
        "messages": list(document.get("webhooks", {})),
    }
    if json_lines:
        typer.echo(json.dumps(counts), file=answer)
        return
    typer.echo(f"{model.__name__} is valid", file=answer)
    for kind in ("tracks", "commands", "messages"):
        typer.echo(f"  {kind:<9} {', '.join(counts[kind]) or 'none'}", file=answer)


def _compare(old_file: Path, document: dict[str, Any], answer: TextIO) -> None:
    from livereactor.protocol.openapi import from_openapi
    from livereactor.protocol.schema import breaking_changes

    try:
        old = from_openapi(json.loads(old_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, LivereactorError) as error:
        raise UsageError(
            f"cannot compare with {old_file} ({error}); pass a file that `livereactor schema` wrote"
        ) from error
    breaking = breaking_changes(old, from_openapi(document))
    for change in breaking:
        typer.echo(change, file=answer)
    if breaking:
        raise typer.Exit(1)
    typer.echo("no breaking changes", err=True)
