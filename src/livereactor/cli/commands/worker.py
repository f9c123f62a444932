"""`livereactor worker`: one more Worker for a coordinator, wherever that is; a keeper watches it."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer

from livereactor.base.errors import ConfigError, UsageError
from livereactor.base.limits import Limits
from livereactor.pool.environment import SECRET
from livereactor.pool.port import Ended
from livereactor.settings import Resolved, resolve

BACK_OFF: Final = 0.5  # seconds before the first restart, doubled with each
BACK_OFF_MAX: Final = 30.0
HEALTHY: Final = 60.0  # seconds after which a crash is the first one again
TELL_TIMEOUT: Final = 5.0  # seconds; the lease tells the same after 15
# Drained, called wrongly or with a wrong secret, interrupted: starting it again would change nothing.
FINAL_CODES: Final = frozenset({0, 2, 130})
MODEL_FAILED: Final = 3

_Target = Annotated[str, typer.Argument(help="A file, file.py:Class, or a folder with a model.py.")]
_Coordinator = Annotated[str, typer.Option(help="URL of the coordinator, such as http://host:8080.")]
_Secret = Annotated[str | None, typer.Option(help="What it asks of workers.", show_default="LIVEREACTOR_WORKER_SECRET")]
_Id = Annotated[str | None, typer.Option("--id", help="Name of this worker in lists.", show_default="host and chance")]
_Json = Annotated[bool, typer.Option("--json", help="Log as JSON, a record a line.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: livereactor worker pond.py --coordinator https://models.example")(worker)
    app.command(hidden=True)(spare_worker)


def worker(
    coordinator: _Coordinator,
    target: _Target = "model.py",
    secret: _Secret = None,
    worker_id: _Id = None,
    json_lines: _Json = False,
    pooled: Annotated[bool, typer.Option("--pooled", hidden=True)] = False,
    kept: Annotated[bool, typer.Option("--kept", hidden=True)] = False,
) -> None:
    """Run a model for a coordinator elsewhere.

    It dials out, so it needs no open port but those of media. Should its process die, the coordinator is told at once
    and another is started. Ctrl-C lets its session finish, once more ends at once.
    """
    if worker_id is not None and not re.fullmatch(r"[\w.\-]{1,64}", worker_id):
        raise UsageError(f"--id {worker_id[:80]!r} is no name; use letters, digits, '_', '-' and '.', 64 at most")
    secret = secret or os.environ.get(SECRET)
    if not secret:
        raise ConfigError(f"no worker secret; set {SECRET} to the coordinator's, or say --secret")
    path = Path(target.partition(":")[0])
    command_line = {"runtime.log_format": "json"} if json_lines else {}
    resolved = resolve(path if path.is_dir() else path.parent, command_line=command_line)
    if not (pooled or kept):
        sys.exit(_keep(target, resolved, coordinator, secret, name=worker_id))

    # What follows imports models and engines, which a keeper has no use for.
    from livereactor.wiring.worker import WorkerOptions, serve_coordinator

    if kept:
        exit_with_parent()
    serve_coordinator(target, resolved, WorkerOptions(coordinator, secret, worker_id or _fresh_name(), pooled))


def spare_worker() -> None:
    """Import all but a model, then wait until the pool that started this says which (`pool/subprocess/spare.py`)."""
    from livereactor.wiring.worker import await_orders

    if (orders := await_orders(sys.stdin.buffer)) is not None:
        worker(orders.coordinator, orders.target, worker_id=orders.worker, pooled=True)


def _keep(target: str, resolved: Resolved, coordinator: str, secret: str, *, name: str | None) -> int:
    """Run Workers in processes of their own, one after another; the exit code of the last."""
    os.environ[SECRET] = secret  # for them; anybody on the machine can read arguments
    said = ["--json"] if resolved.settings.runtime.log_format == "json" else []

    def command(worker: str) -> Sequence[str]:
        serve = [sys.executable, "-m", "livereactor", "worker", target, "--coordinator", coordinator]
        return [*serve, "--id", worker, "--kept", *said]

    grace = resolved.settings.coordinator.drain_timeout + Limits().exit_timeout
    new_id = (lambda: name) if name else _fresh_name
    return WorkerSupervisor(command, new_id, death_reporter(coordinator, secret), grace=grace).run()


def _fresh_name() -> str:
    return f"{re.sub(r'[^a-zA-Z0-9_.-]', '-', socket.gethostname())[:48]}-{secrets.token_hex(4)}"


class RestartPolicy:
    """When a Worker that ended is started again. Pure."""

    def __init__(self) -> None:
        self._crashes, self._served = 0, False

    def after(self, code: int, *, lived: float) -> float | None:
        """Seconds until the next start; None = it is not started again.

        Args:
            code: its exit code, negative for a signal.
            lived: seconds between its start and its end.
        """
        if lived >= HEALTHY:
            self._crashes, self._served = 0, True
        # A model that never loaded is its author's to mend; one that did may load again when its GPU is back.
        if code in FINAL_CODES or (code == MODEL_FAILED and not self._served):
            return None
        self._crashes += 1
        return min(BACK_OFF * 2 ** (self._crashes - 1), BACK_OFF_MAX)


class WorkerSupervisor:
    """One Worker's, process after process. Main thread only.

    Args:
        command: the arguments of a process that serves under this id; it ends when its stdin does (`exit_with_parent`).
        new_id: gives the id of each process.
        tell: told how each ended that did not end in order.
        grace: seconds that a process gets to finish its Sessions when we are asked to end.
    """

    def __init__(
        self,
        command: Callable[[str], Sequence[str]],
        new_id: Callable[[], str],
        tell: Callable[[Ended], None],
        *,
        grace: float,
    ) -> None:
        self._command, self._new_id, self._tell, self._grace = command, new_id, tell, grace
        self._child: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()

    def run(self) -> int:
        """Until the Worker ends for good, or we are asked to; its exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)
        restarts = RestartPolicy()
        while True:
            worker, began = self._new_id(), time.monotonic()
            code = self._one(worker)
            if code not in FINAL_CODES:
                self._tell(Ended(worker, code))
            pause = restarts.after(code, lived=time.monotonic() - began)
            if pause is None or self._ending.is_set():
                return code if code >= 0 else 128 - code
            print(f"livereactor: {Ended(worker, code).reason}; another is started in {pause} s", file=sys.stderr)
            if self._ending.wait(pause):
                return 0

    def _one(self, worker: str) -> int:
        """Start a process and wait for its end."""
        # A group of its own: Ctrl-C in the terminal reaches us, and we ask it once. Its stdin ends when we do.
        with subprocess.Popen(list(self._command(worker)), stdin=subprocess.PIPE, process_group=0) as child:
            self._child = child
            if self._ending.is_set():
                child.terminate()
            code = child.wait()
            _kill_group(child.pid)
        return code

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        child = self._child
        if self._ending.is_set():  # asked twice: nobody waits any more
            if child is not None:
                _kill_group(child.pid)
            os._exit(130)
        self._ending.set()
        if child is not None:
            child.terminate()
            timer = threading.Timer(self._grace, _kill_group, [child.pid])
            timer.daemon = True
            timer.start()


def death_reporter(coordinator: str, secret: str) -> Callable[[Ended], None]:
    """Tells a coordinator of a Worker's death; what does not reach it in time, the lease tells."""

    def tell(ended: Ended) -> None:
        asked = urllib.request.Request(
            f"{coordinator.rstrip('/')}/workers/{ended.worker}/died",
            data=json.dumps({"reason": ended.reason}).encode(),
            headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
            method="POST",
        )
        with suppress(OSError), urllib.request.urlopen(asked, timeout=TELL_TIMEOUT):
            pass

    return tell


def exit_with_parent() -> None:
    """In the kept process: ask ourselves to end when the keeper is gone."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="keeper", daemon=True).start()


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
