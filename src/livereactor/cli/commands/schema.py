"""`livereactor schema`, `validate` and `codegen`: describe a model, check it, write its client. No weights load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, TextIO
from urllib.parse import quote

import typer

from livereactor.base.errors import ConfigError, LivereactorError, UsageError
from livereactor.cli.admin import AdminTarget, RemoteError
from livereactor.cli.options import JsonObject
from livereactor.protocol.schema import ModelSchema

_Target = Annotated[str, typer.Argument(help="Model: a file, file.py:Class, or a folder.")]
_ServerKey = Annotated[
    str | None, typer.Option("--key", help="API key, if TARGET is a URL.", show_default="LIVEREACTOR_API_KEY")
]


def codegen(
    target: Annotated[
        str, typer.Argument(help="A model (file, file.py:Class or folder), a schema.json, or the URL of a server.")
    ] = "model.py",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write instead of stdout.")] = None,
    check: Annotated[
        str | None,
        typer.Option(
            help="An older client, or anything TARGET can be. If programs written for it would break, list how, "
            "write nothing and exit with 1."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model to use, if TARGET is the URL of a coordinator.")] = None,
    key: _ServerKey = None,
) -> None:
    """Write a typed Python client for a model.

    The client is a class with a method for each command. The same model always gives the same text. No weights are
    loaded.
    """
    from livereactor.client.codegen import client_of
    from livereactor.runtime.execution.schema_file import own_stdout

    answer = own_stdout()
    schema = _schema_of(target, model, key)
    if check is not None and (breaking := _breaking(check, schema, model, key)):
        for change in breaking:
            typer.echo(change, file=answer)
        raise typer.Exit(1)
    source = client_of(schema)
    if out is None:
        answer.write(source)
        answer.flush()
    else:
        try:
            out.write_text(source, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write {out} ({error.strerror}); name a file in an existing folder") from error
        typer.echo(f"wrote {out}", err=True)


def _breaking(old: str, schema: ModelSchema, model: str | None, key: str | None) -> list[str]:
    from livereactor.client.contract import kept_contract
    from livereactor.protocol.schema import breaking_changes

    return breaking_changes(kept_contract(old) or _schema_of(old, model, key), schema)


def _schema_of(target: str, model: str | None, key: str | None) -> ModelSchema:
    if target.startswith(("http://", "https://")):
        return _served(AdminTarget(coordinator=target, key=key), model)
    if model is not None:
        raise UsageError("--model selects one of a coordinator's models; for a file, write file.py:Class")
    return _written(Path(target)) if target.endswith(".json") else _declared(target)


def _declared(target: str) -> ModelSchema:
    from livereactor.runtime.authoring.definition import definition_of
    from livereactor.runtime.execution.loading import load_model

    return definition_of(load_model(target)).schema


def _written(file: Path, *, doing: str = "read") -> ModelSchema:
    from livereactor.protocol.openapi import from_openapi

    try:
        return from_openapi(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, LivereactorError) as error:
        raise UsageError(f"cannot {doing} {file} ({error}); pass a file that `livereactor schema` wrote") from error


def _served(server: AdminTarget, model: str | None) -> ModelSchema:
    from livereactor.protocol.openapi import from_openapi

    if model is None and (names := _models(server)) is not None:
        if len(names) != 1:
            raise UsageError(f"{server.coordinator} has several models; add --model {' or '.join(names) or '…'}")
        model = names[0]
    path = "/schema" if model is None else f"/models/{quote(model, safe='/')}/schema"
    return from_openapi(server.call("GET", path))


def _models(server: AdminTarget) -> list[str] | None:
    """Return the names of a coordinator's models; None = the server is a runtime, which has one."""
    try:
        return [str(each["name"]) for each in server.call("GET", "/models")["models"]]
    except RemoteError as error:
        if error.code == "NOT_FOUND":
            return None
        raise


def schema(
    target: _Target = "model.py",
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


def validate(target: _Target = "model.py", json_lines: JsonObject = False) -> None:
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

    breaking = breaking_changes(_written(old_file, doing="compare with"), from_openapi(document))
    for change in breaking:
        typer.echo(change, file=answer)
    if breaking:
        raise typer.Exit(1)
    typer.echo("no breaking changes", err=True)
