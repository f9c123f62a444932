"""The `livereactor` command: registers all commands, turns errors into exit codes, and exits with them.

0 ok · 1 failure · 2 usage · 3 model failed to load · 130 interrupted (0 for `run`, `dev` and `demo`, which Ctrl-C ends)
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import Final

import typer

from livereactor.base.errors import ConfigError, LivereactorError, ModelLoadError, UsageError
from livereactor.cli.commands.bench import bench
from livereactor.cli.commands.config import config, limits
from livereactor.cli.commands.connect import connect
from livereactor.cli.commands.doctor import doctor, probe
from livereactor.cli.commands.keys import keys, token, usage
from livereactor.cli.commands.new import new
from livereactor.cli.commands.recordings import export, replay
from livereactor.cli.commands.run import dev, run
from livereactor.cli.commands.schema import codegen, schema, validate
from livereactor.cli.commands.serve import demo, serve
from livereactor.cli.commands.sessions import queue, sessions, workers
from livereactor.cli.commands.stats import stats
from livereactor.cli.commands.worker import spare_worker, worker

# Its threads take the interpreter once more after they have answered, to release what they hold. If the interpreter is
# being finalized at that moment, Python ends the thread in the middle of Rust code, which aborts the process with exit
# code 134 after successful work (pyo3-async-runtimes issue 40; 11 of 40 runs here). Python 3.14 lets such threads hang.
RISKY: Final = "obstore"


class ProcessExit:
    """Exit handler that ends the process after all others, before Python is finalized under those threads.

    Attributes:
        code: exit code of the process; None = leave the exit to Python.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        atexit.register(self)  # the handler registered first runs last

    def __call__(self) -> None:
        if self.code is None or RISKY not in sys.modules:
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the reader is gone, or the stream is closed
                stream.flush()
        os._exit(self.code)

    def note(self, end: SystemExit) -> None:
        """Take the exit code from a SystemExit. If it carries a text instead, Python prints it and exits."""
        if end.code is None or isinstance(end.code, int):
            self.code = end.code or 0


app = typer.Typer(
    name="livereactor",
    help="Put a real-time AI model on the network, watch its frames live, and control it while it runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
# With an example of each, in the order of `--help`.
COMMANDS: Final = (
    (new, "livereactor new hello --template webcam"),
    (run, "livereactor run pond.py --port 9000"),
    (dev, "livereactor dev hello"),
    (demo, "livereactor demo --port 9000"),
    (serve, "livereactor serve pond.py garden.py --max-workers 2"),
    (worker, "livereactor worker pond.py --coordinator https://models.example"),
    (schema, "livereactor schema model.py --check v1.json"),
    (validate, "livereactor validate model.py:Pond"),
    (codegen, "livereactor codegen pond.py -o pond_client.py --check pond_client.py"),
    (config, "LIVEREACTOR_RUNTIME__PORT=9000 livereactor config"),
    (limits, "livereactor limits --json"),
    (doctor, "livereactor doctor --url http://localhost:8080"),
    (connect, """livereactor connect pond --local --send drop '{"x": 0.5, "y": 0.5}' --seconds 5"""),
    (probe, "livereactor probe https://models.example.com --model pond"),
    (bench, "livereactor bench https://models.example.com --model pond"),
    (replay, "livereactor replay ses_0197… --model pond.py --film pond.mp4"),
    (export, "livereactor export ses_0197… pond.mp4"),
    (token, "livereactor token --model pond --expires-after 600"),
    (queue, "livereactor queue --json"),
    (stats, "livereactor stats http://localhost:8080"),
    (usage, "livereactor usage --from 2026-11-25 --to 2026-11-26 --csv"),
)
GROUPS: Final = (
    (keys, "keys", "livereactor keys create --name website"),
    (sessions, "sessions", "livereactor sessions list --state open"),
    (workers, "workers", "livereactor workers drain wrk_0197…"),
)
for command, example in COMMANDS:
    app.command(epilog=f"Example: {example}")(command)
for group, name, example in GROUPS:
    app.add_typer(group, name=name, epilog=f"Example: {example}")
app.command(hidden=True)(spare_worker)


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
    if isinstance(error, ModelLoadError):
        return 3
    # A ConfigError is a port in use or a malformed file: the command line itself was correct.
    return 2 if isinstance(error, UsageError) and not isinstance(error, ConfigError) else 1
