"""A whole service under fault: its coordinator to be killed and started again, its workers, its polls in threads."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from livereactor.coordinator.auth.secrets import kept_secrets
from livereactor.pool.subprocess.processes import Records, is_living, kill_group
from livereactor.protocol.tokens import KeyRequest
from tests.tools.processes import LIVEREACTOR, REPOSITORY, Program, free_port
from tests.tools.serving import Coordinator, livereactor_serve, made_key

MODELS = Path(__file__).with_name("models_served.py")
PATIENCE = 60.0  # seconds for what takes three on an idle machine, such as another worker


class Service:
    """`livereactor serve` on one data folder and one port, run after run.

    Args:
        targets: names of classes in `models_served.py`, or whole targets.
        settings: of the coordinator and its workers, as environment variables without `LIVEREACTOR_`.

    Attributes:
        at: the coordinator that runs, or ran last.
    """

    def __init__(
        self, folder: Path, targets: Sequence[str], *, arguments: Sequence[str] = (), settings: Mapping[str, str]
    ) -> None:
        self._folder, self._arguments = folder, arguments
        self._targets = [each if ":" in each else f"{MODELS}:{each}" for each in targets]
        self.environment = {
            "PYTHONPATH": str(REPOSITORY),
            # A test that fails half-way must not wait for its sessions.
            **{f"LIVEREACTOR_{name}": value for name, value in {"COORDINATOR__DRAIN_TIMEOUT": "1", **settings}.items()},
        }
        self.data_dir = folder / "data"
        self.port = free_port()
        self._runs = 0
        self._stack = ExitStack()
        self._threads = ThreadPoolExecutor(32)
        self.at: Coordinator
        self._admin = ""

    def start(self) -> Coordinator:
        """The next run, on the port and the data folder of the one before."""
        self._runs += 1
        serve = livereactor_serve(
            self._targets,
            log_path=self._folder / f"coordinator-{self._runs}.log",
            environment=self.environment,
            arguments=self._arguments,
            data_dir=self.data_dir,
            port=self.port,
        )
        self.at = self._stack.enter_context(serve)
        self._admin = self._admin or made_key(self.data_dir, KeyRequest(account="ops", scopes=["admin", "view"]))
        return self.at

    def kill(self) -> None:
        """SIGKILL to the coordinator alone; its workers live on."""
        self.at.process.kill()
        self.at.process.wait(10)

    def overview(self) -> dict[str, Any]:
        """As operators see it now."""
        status, body = self.at.call("GET", "/admin/overview", token=self._admin)
        assert status == 200, body
        return body

    def workers(self, model: str | None = None, *, state: str | None = None) -> list[dict[str, Any]]:
        """Those that live, of a model or of all, in a state or in any."""
        return [
            each
            for each in self.overview()["workers"]
            if model in (None, each["model"]) and state in (None, each["state"])
        ]

    def wait_for_workers(self, count: int, model: str | None = None) -> list[dict[str, Any]]:
        """Until so many are ready."""
        self.at.wait_until(lambda: len(self.workers(model, state="ready")) >= count, timeout=PATIENCE)
        return self.workers(model, state="ready")

    def worker_of(self, session: str) -> dict[str, Any]:
        """The one that holds a session."""
        found = [each for each in self.workers() if session in each["sessions"]]
        assert len(found) == 1, (session, found)
        return found[0]

    def session(self, session: str, **asked: Any) -> dict[str, Any]:
        """GET /sessions/{id}, held as asked."""
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        status, body = self.at.call("GET", f"/sessions/{session}?{query}", timeout=40.0)
        assert status == 200, (status, body)
        return body

    def ready(self, model: str) -> str:
        """A new session that a worker has taken; no client has reached it."""
        session = self.at.create(model)["session_id"]
        return self.until(session, lambda view: "capabilities" in view)["session_id"]

    def until(self, session: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Long poll after long poll until the session is so."""
        view = self.session(session, wait=0)
        deadline = time.monotonic() + PATIENCE
        while not condition(view):
            assert time.monotonic() < deadline, (view, self.at.log())
            view = self.session(session, wait=5, version=view["version"])
        return view

    def state_of(self, session: str, *states: str) -> dict[str, Any]:
        """Until it is in one of these states, as operators and lists see it."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [each for each in self.overview()["sessions"] if each["session_id"] == session]
            return found[0]["state"] in states

        self.at.wait_until(there, timeout=PATIENCE)
        return found[0]

    def poll(self, session: str) -> Future[tuple[dict[str, Any], float]]:
        """A long poll that is held now: what it is told at the next change, and when (monotonic)."""
        version = self.session(session, wait=0)["version"]

        def held() -> tuple[dict[str, Any], float]:
            view = self.session(session, wait=20, version=version)
            return view, time.monotonic()

        return self._threads.submit(held)

    def close(self) -> None:
        """End the run, and whatever of it lives on."""
        self._threads.shutdown(wait=False)
        try:
            self._stack.close()
        finally:
            for record in Records(self.data_dir / "workers").read():
                if is_living(record):
                    kill_group(record)


@contextmanager
def service(folder: Path, *targets: str, arguments: Sequence[str] = (), **settings: str) -> Iterator[Service]:
    """A service that runs, with workers that are killed at the end if they are still there."""
    made = Service(folder, targets, arguments=arguments, settings=settings)
    try:
        made.start()
        yield made
    finally:
        made.close()


@contextmanager
def worker_elsewhere(
    service: Service, target: str, *, log_path: Path, arguments: Sequence[str] = ()
) -> Iterator[Program]:
    """`livereactor worker TARGET --coordinator URL`, started by hand."""
    command = [*LIVEREACTOR, "worker", f"{MODELS}:{target}", "--coordinator", service.at.url, *arguments]
    secret = {"LIVEREACTOR_WORKER_SECRET": kept_secrets(service.data_dir).worker}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **service.environment, **secret},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    program = Program(process, service.at.url, log_path)
    try:
        yield program
    finally:
        program.end()


def is_unbroken(seen: Mapping[str, Any]) -> bool:
    """Frames in order without a gap, but for the few that a busy machine skips; a stream that was cut misses more."""
    return bool(seen["backwards"] == 0 and seen["missing"] <= seen["count"] // 8)


def kill(worker: Mapping[str, Any]) -> float:
    """SIGKILL to a worker, as it is listed; when (monotonic)."""
    at = time.monotonic()
    os.kill(worker["pid"], signal.SIGKILL)
    return at


def is_there(pid: int) -> bool:
    """A process with this number runs; one that is dead and not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
