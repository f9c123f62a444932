"""The `livereactor` command: registers all commands and turns errors into exit codes.

0 ok · 1 failure · 2 usage · 3 model failed to load · 130 interrupted (0 for `run`, `dev` and `demo`, which Ctrl-C ends)
"""

from __future__ import annotations

import sys

import typer

from livereactor.base.errors import ConfigError, LivereactorError, ModelLoadError, UsageError
from livereactor.cli.commands import (
    bench,
    codegen,
    config,
    connect,
    demo,
    doctor,
    export,
    keys,
    new,
    probe,
    replay,
    run,
    schema,
    serve,
    sessions,
    stats,
    usage,
    worker,
)
from livereactor.cli.process_exit import ProcessExit

app = typer.Typer(
    name="livereactor",
    help="Put a real-time AI model on the network, watch its frames live, and control it while it runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
for group in (
    new,
    run,
    demo,
    serve,
    worker,
    schema,
    codegen,
    config,
    doctor,
    connect,
    probe,
    bench,
    replay,
    export,
    keys,
    sessions,
    stats,
    usage,
):
    group.register(app)


def main() -> None:
    """Run the command line. Every error becomes one sentence on stderr and an exit code."""
    process_exit = ProcessExit()
    try:
        _run()
    except SystemExit as end:
        process_exit.note(end)
        raise


def _run() -> None:
    try:
        app()
    except LivereactorError as error:
        print(f"livereactor: {error.message}", file=sys.stderr)
        sys.exit(_exit_code(error))
    except BrokenPipeError:
        sys.exit(1)  # the reader of stdout is gone, as in `livereactor limits | head -1`


def _exit_code(error: LivereactorError) -> int:
    match error:
        case ModelLoadError():
            return 3
        case ConfigError():  # a port in use or a malformed file: the command line itself was correct
            return 1
        case UsageError():
            return 2
        case _:
            return 1
