"""`livereactor run` and `livereactor dev`: serve one model and its page on this machine."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from livereactor.base.errors import UsageError
from livereactor.cli.options import JsonAddress
from livereactor.settings import resolve

_Target = Annotated[str, typer.Argument(help="Model to serve: a file, file.py:Class, or a folder with a model.py.")]
_Port = Annotated[int | None, typer.Option(help="Port of the page and API; 0 picks a free one.", show_default="8080")]
_Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
_Set = Annotated[list[str] | None, typer.Option("--set", help="key=value for Model.load(config). Repeatable.")]
_Key = Annotated[
    str | None, typer.Option(help="Key that clients must send, at least 16 characters.", show_default="none")
]
_Insecure = Annotated[bool, typer.Option("--insecure", help="Serve everyone on a non-loopback address, without a key.")]
_Cpu = Annotated[bool, typer.Option("--cpu", help="Hide every GPU from the model.")]


def run(
    target: _Target = "model.py",
    port: _Port = None,
    host: _Host = None,
    set_: _Set = None,
    reload: Annotated[bool, typer.Option("--reload", help="Reload the class when you save its file.")] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    key: _Key = None,
    insecure: _Insecure = False,
    no_record: Annotated[
        bool, typer.Option("--no-record", help="Do not record sessions, so there are no clips.")
    ] = False,
    cpu: _Cpu = False,
    json_lines: JsonAddress = False,
) -> None:
    """Serve a model with its page. Press Ctrl-C to stop."""
    if cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # read by CUDA when the model first touches it
    given = {
        "runtime.port": port,
        "runtime.host": host,
        "runtime.key": key,
        "runtime.insecure": insecure or None,
        "recorder.enabled": False if no_record else None,
    }
    serve(target, given | assignments(set_ or []), reload=reload, open_page=open_page, json_lines=json_lines)


def dev(
    target: _Target = "model.py",
    port: _Port = None,
    set_: _Set = None,
    cpu: _Cpu = False,
    json_lines: JsonAddress = False,
) -> None:
    """Serve a model, open its page, and reload on save.

    What `load` created is kept as long as the source of `load` is unchanged.
    """
    run(target, port=port, set_=set_, reload=True, open_page=True, cpu=cpu, json_lines=json_lines)


def serve(
    target: str, given: Mapping[str, object], *, reload: bool = False, open_page: bool = False, json_lines: bool = False
) -> None:
    """Serve until interrupted. Values of None come from the environment, the settings file or the defaults."""
    from livereactor.wiring.runtime import serve_model

    path = Path(target.partition(":")[0])
    command_line = {name: value for name, value in given.items() if value is not None}
    resolved = resolve(path if path.is_dir() else path.parent, command_line=command_line)

    def listening(url: str) -> None:
        typer.echo(json.dumps({"url": url}) if json_lines else url)
        print("Press Ctrl-C to stop.", file=sys.stderr)
        if open_page:
            webbrowser.open(url)

    serve_model(target, resolved, listening=listening, reload=reload)


def assignments(pairs: Sequence[str]) -> dict[str, object]:
    """Return each `key=value` of `--set` as a setting of `[model]`.

    Raises:
        UsageError: an entry has no key or no `=`.
    """
    values: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {pair!r} is not key=value; write it like --set steps=4")
        values[f"model.{key}"] = value
    return values
