"""`livereactor worker`: runs a worker for a coordinator, and a supervisor that starts it again if it dies.

The supervisor imports no model and holds no GPU, so nothing that a model does to its process can end the supervisor.
"""

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
from livereactor.coordinator.auth.worker_credentials import PREFIX, WorkerIdentity, claimed_name, credential
from livereactor.pool.confinement import CONFINED, confine_as_told, hide_memory
from livereactor.pool.model_process import MODULE, kill_group_led_by
from livereactor.pool.port import SECRET, WorkerExit
from livereactor.settings import Resolved, resolve

BACK_OFF: Final = 0.5  # seconds before the first restart, doubled with each
BACK_OFF_MAX: Final = 30.0
HEALTHY: Final = 60.0  # seconds of life after which a crash counts as the first again
REPORT_TIMEOUT: Final = 5.0  # seconds; without a report, the lease expires after 15
# Drained, wrong arguments or secret, interrupted: a restart would change nothing.
FINAL_CODES: Final = frozenset({0, 2, 130})
MODEL_FAILED: Final = 3

_Target = Annotated[str, typer.Argument(help="Model to run: a file, file.py:Class, or a folder with a model.py.")]
_Coordinator = Annotated[str, typer.Option(help="URL of the coordinator, such as http://host:8080.")]
_Id = Annotated[
    str | None, typer.Option("--id", help="Name of this worker in lists.", show_default="host name and random digits")
]
_Json = Annotated[bool, typer.Option("--json", help="Log one JSON object per line.")]


def worker(
    coordinator: _Coordinator,
    target: _Target = "model.py",
    worker_id: _Id = None,
    json_lines: _Json = False,
    pooled: Annotated[bool, typer.Option("--pooled", hidden=True)] = False,
    supervised: Annotated[bool, typer.Option("--supervised", "--kept", hidden=True)] = False,
) -> None:
    """Run a model for a coordinator on another machine.

    The worker dials out, so it only needs open ports for media. If its process dies, the coordinator learns of it at
    once and another process starts. Ctrl-C lets its session finish; a second Ctrl-C stops at once.

    LIVEREACTOR_WORKER_SECRET has a credential from `livereactor workers mint`, or the coordinator's worker secret. No
    option takes it: the model, and anybody on the machine, can read command lines.
    """
    confinement = confine_as_told() if pooled or supervised else None  # before anything starts a thread
    if worker_id is not None and not re.fullmatch(r"[\w.\-]{1,64}", worker_id):
        raise UsageError(f"--id {worker_id[:80]!r} is not valid; use up to 64 letters, digits, '_', '-' and '.'")
    secret = os.environ.get(SECRET)
    if not secret:
        raise ConfigError(
            f"no worker secret; set {SECRET} to what `livereactor workers mint` prints, or to the worker secret"
        )
    if pooled or supervised:
        os.environ.pop(SECRET, None)  # programs that the model starts, and what reports its crashes, need it no more
    path = Path(target.partition(":")[0])
    command_line = {"runtime.log_format": "json"} if json_lines else {}
    resolved = resolve(path if path.is_dir() else path.parent, command_line=command_line)
    if not (pooled or supervised):
        sys.exit(_supervise(target, resolved, coordinator, secret, name=worker_id))

    # The imports below load models and engines, which the supervisor does not need.
    from livereactor.wiring.worker import WorkerOptions, serve_coordinator

    if supervised:
        exit_with_parent()
    name = worker_id or _fresh_name(claimed_name(secret))
    serve_coordinator(target, resolved, WorkerOptions(coordinator, secret, name, pooled, confinement))


def spare_worker() -> None:
    """Import everything except a model, then wait until the pool names one (`pool/subprocess/spare.py`)."""
    confine_as_told()  # before the imports, which start threads
    from livereactor.wiring.worker import await_orders

    if (orders := await_orders(sys.stdin.buffer)) is not None:
        if orders.credential:
            os.environ[SECRET] = orders.credential  # `worker` takes it out at once
        worker(orders.coordinator, orders.target, worker_id=orders.worker, pooled=True)


def _supervise(target: str, resolved: Resolved, coordinator: str, secret: str, *, name: str | None) -> int:
    """Run worker processes one after another; return the exit code of the last."""
    if resolved.settings.pool.isolation != "off":
        os.environ[CONFINED] = ""
        hide_memory()
    log_options = ["--json"] if resolved.settings.runtime.log_format == "json" else []

    def command(worker: str) -> Sequence[str]:
        # By environment: anyone on the machine can read command-line arguments.
        os.environ[SECRET] = _narrowed(secret, worker)
        serve = [sys.executable, *MODULE, "livereactor", "worker", target, "--coordinator", coordinator]
        return [*serve, "--id", worker, "--supervised", *log_options]

    grace = resolved.settings.coordinator.drain_timeout + Limits().exit_timeout
    new_id = (lambda: name) if name else (lambda: _fresh_name(claimed_name(secret)))
    return WorkerSupervisor(command, new_id, death_reporter(coordinator, secret), grace=grace).run()


def _narrowed(secret: str, worker: str) -> str:
    """Return what a process with a model's code shows: a credential, and never the worker secret."""
    return secret if secret.startswith(PREFIX) else credential(secret, WorkerIdentity(worker))


def _fresh_name(family: str | None = None) -> str:
    name = family or re.sub(r"[^a-zA-Z0-9_.-]", "-", socket.gethostname())[:48]
    return f"{name}-{secrets.token_hex(4)}"


class RestartPolicy:
    """Decides when a worker that ended is started again. Pure."""

    def __init__(self) -> None:
        self._crashes, self._served = 0, False

    def after(self, code: int, *, lived: float) -> float | None:
        """Return the seconds until the next start; None = no restart.

        Args:
            code: exit code of the process, negative for a signal.
            lived: seconds from the start of the process to its end.
        """
        if lived >= HEALTHY:
            self._crashes, self._served = 0, True
        # A model that never loaded needs its author; one that did load may load again when its GPU is back.
        if code in FINAL_CODES or (code == MODEL_FAILED and not self._served):
            return None
        self._crashes += 1
        return min(BACK_OFF * 2 ** (self._crashes - 1), BACK_OFF_MAX)


class WorkerSupervisor:
    """Runs one worker, process after process. Main thread only.

    Args:
        command: returns the command line for a worker id; the process ends with its stdin (`exit_with_parent`).
        new_id: returns the id of the next process.
        report: called with each process that did not end normally.
        grace: seconds that a process gets to finish its sessions when the worker has to stop.
    """

    def __init__(
        self,
        command: Callable[[str], Sequence[str]],
        new_id: Callable[[], str],
        report: Callable[[WorkerExit], None],
        *,
        grace: float,
    ) -> None:
        self._command, self._new_id, self._report, self._grace = command, new_id, report, grace
        self._child: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()

    def run(self) -> int:
        """Run until the worker ends for good or has to stop; return its exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)
        restarts = RestartPolicy()
        while True:
            worker, began = self._new_id(), time.monotonic()
            code = self._one(worker)
            if code not in FINAL_CODES:
                self._report(WorkerExit(worker, code))
            pause = restarts.after(code, lived=time.monotonic() - began)
            if pause is None or self._ending.is_set():
                return code if code >= 0 else 128 - code
            print(f"livereactor: {WorkerExit(worker, code).reason}; starting another in {pause} s", file=sys.stderr)
            if self._ending.wait(pause):
                return 0

    def _one(self, worker: str) -> int:
        """Start a process and wait for its end."""
        # In its own process group, so that Ctrl-C in the terminal reaches only us. Its stdin ends when we do.
        with subprocess.Popen(list(self._command(worker)), stdin=subprocess.PIPE, process_group=0) as child:
            self._child = child
            if self._ending.is_set():
                child.terminate()
            code = child.wait()
            kill_group_led_by(child.pid)
        return code

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        child = self._child
        if self._ending.is_set():  # second request: stop waiting
            if child is not None:
                kill_group_led_by(child.pid)
            os._exit(130)
        self._ending.set()
        if child is not None:
            child.terminate()
            timer = threading.Timer(self._grace, kill_group_led_by, [child.pid])
            timer.daemon = True
            timer.start()


def death_reporter(coordinator: str, secret: str) -> Callable[[WorkerExit], None]:
    """Return a function that reports a worker's death to the coordinator. If it fails, the lease expires instead."""

    def report(ended: WorkerExit) -> None:
        asked = urllib.request.Request(
            f"{coordinator.rstrip('/')}/workers/{ended.worker}/died",
            data=json.dumps({"reason": ended.reason}).encode(),
            headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
            method="POST",
        )
        with suppress(OSError), urllib.request.urlopen(asked, timeout=REPORT_TIMEOUT):
            pass

    return report


def exit_with_parent() -> None:
    """Stop this worker process when its supervisor is gone."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="supervisor watch", daemon=True).start()
