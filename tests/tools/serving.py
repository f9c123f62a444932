"""`livereactor serve` under test: a coordinator with its workers, a key to it, and its HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livereactor.protocol.tokens import KeyRequest
from livereactor.settings import resolve
from livereactor.wiring.data import open_data
from tests.tools.processes import LIVEREACTOR, REPOSITORY, Program, free_port, request, running


@dataclass(slots=True)
class Coordinator(Program):
    """A running coordinator.

    Attributes:
        data_dir: its data folder.
        key: an API key of the account `tests`.
        model: the one that clients ask for.
        admin: an operator's key, empty until one is needed.
    """

    data_dir: Path = Path()
    key: str = ""
    model: str = "conformance"
    admin: str = ""

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        **headers: str,
    ) -> tuple[int, Any]:
        """One request with the key, or with a token instead; status and body."""
        raw = None if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {token or self.key}", "Content-Type": "application/json", **headers}
        return request(self.url + path, method=method, body=raw, headers=sent, timeout=timeout)

    def token(self, **asked: Any) -> str:
        """A fresh token, unscoped unless told otherwise."""
        status, body = self.call("POST", "/tokens", asked)
        assert status == 200, body
        return str(body["jwt"])

    def key_of(self, account: str) -> str:
        """A fresh key of another account."""
        return made_key(self.data_dir, KeyRequest(account=account), environment=self.environment)

    def create(self, model: str = "conformance", *, token: str | None = None, **more: Any) -> dict[str, Any]:
        """A new Session; raises where it is refused."""
        status, body = self.call("POST", "/sessions", {"model": {"name": model}, **more}, token=token)
        assert status == 201, (status, body)
        return body

    def workers(self) -> list[dict[str, Any]]:
        """As operators see them."""
        self.admin = self.admin or made_key(
            self.data_dir, KeyRequest(account="ops", scopes=["admin", "view"]), environment=self.environment
        )
        status, body = self.call("GET", "/admin/overview", token=self.admin)
        assert status == 200, body
        return body["workers"]

    def wait_for_worker(self, *, count: int = 1, timeout: float = 60.0) -> list[dict[str, Any]]:
        """Until so many Workers are ready."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [each for each in self.workers() if each["state"] == "ready"]
            return len(found) >= count

        self.wait_until(there, timeout=timeout)
        return found


def made_key(data_dir: Path, asked: KeyRequest, *, environment: Mapping[str, str] | None = None) -> str:
    """A key, made as `livereactor keys create` makes it, in this process: a process takes a second to begin."""
    environ = {**os.environ, **(environment or {})}
    settings = resolve(data_dir, command_line={"coordinator.data_dir": data_dir}, environ=environ).settings

    async def make() -> str:
        async with open_data(settings, make=True) as data:
            return (await data.authenticator.keys.create(asked)).key

    with ThreadPoolExecutor(1) as thread:  # the caller's may run a loop already
        return thread.submit(asyncio.run, make()).result()


def operate(data_dir: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    """A command of the operators' with `--json`: its object, or the list of its lines."""
    done = subprocess.run(
        [*LIVEREACTOR, *arguments, "--json"],
        env={**os.environ, **(environment or {}), "LIVEREACTOR_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    return lines[0] if arguments[0] in ("keys", "token") else lines


@contextmanager
def livereactor_serve(
    targets: Sequence[Path | str],
    *,
    log_path: Path,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    data_dir: Path | None = None,
    port: int | None = None,
    host: str = "127.0.0.1",
    under: Sequence[str] = (),
) -> Iterator[Coordinator]:
    """`livereactor serve TARGETS` on a free port of `host`, with a key of the account `tests` without quotas.

    Args:
        under: a command that becomes the program, such as `prlimit`.
    """
    port = port or free_port()
    data_dir = data_dir or log_path.parent / "data"
    where = ("--host", host, "--port", str(port), "--data-dir", str(data_dir))
    command = [*under, *LIVEREACTOR, "serve", *map(str, targets), *where, *arguments]
    free = KeyRequest(account="tests", max_sessions=0, sessions_per_minute=0)
    key = made_key(data_dir, free, environment=environment)
    started = running(command, port=port, host=host, log_path=log_path, environment=environment, directory=REPOSITORY)
    with started as program:
        yield Coordinator(
            program.process, program.url, program.log_path, program.environment, data_dir=data_dir, key=key
        )
