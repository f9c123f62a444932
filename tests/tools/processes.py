"""Programs under test as processes: started on a free port, waited for by condition, ended by their own id."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
LISTENED_ON = range(20_000, 32_768)
TRIED_PORTS = 100
LIVEREACTOR = (str(Path(sys.executable).with_name("livereactor")),)


class ProcessFailedError(AssertionError):
    """The program ended, or was not ready in time; the message ends with its log."""


@dataclass(slots=True)
class Program:
    """A running program.

    Attributes:
        url: where its HTTP is.
        log_path: file with everything it printed.
    """

    process: subprocess.Popen[bytes]
    url: str
    log_path: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def get(self, path: str, *, timeout: float = 10.0) -> tuple[int, Any]:
        """GET on its HTTP: status and body, read as JSON where it is JSON."""
        return request(self.url + path, timeout=timeout)

    def wait_ready(self, *, timeout: float) -> None:
        """Until `/health` answers 200 with a model that is loaded; raises where it ends first."""
        self.wait_until(lambda: _is_ready(self.url), timeout=timeout)

    def wait_until(self, condition: Callable[[], bool], *, timeout: float) -> None:
        """Until `condition` holds, looked at twenty times a second; raises where the program ends first."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise ProcessFailedError(f"{self.url} not there after {timeout} s\n{self.log()}")
            try:  # waits for the end of the process, at most this long
                code = self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise ProcessFailedError(f"ended with code {code} before it was ready\n{self.log()}")

    def end(self, *, timeout: float = 15.0) -> int:
        """Ask it to end, then insist; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout)
        return self.process.returncode


@contextmanager
def background(
    command: Sequence[str],
    *,
    url: str,
    log_path: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path = REPOSITORY,
) -> Iterator[Program]:
    """Start `command`, wait for nothing, end it on leaving; `url` is where its HTTP will be."""
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            list(command),
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    program = Program(process, url, log_path, environment or {})
    try:
        yield program
    finally:
        program.end()


@contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    log_path: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path = REPOSITORY,
    ready_timeout: float = 60.0,
    host: str = "127.0.0.1",
) -> Iterator[Program]:
    """Start `command`, wait until it is ready at `host`, end it on leaving."""
    url = f"http://{host}:{port}"
    with background(command, url=url, log_path=log_path, environment=environment, directory=directory) as program:
        program.wait_ready(timeout=ready_timeout)
        yield program


@contextmanager
def livereactor_run(
    target: Path | str,
    *,
    log_path: Path,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    directory: Path = REPOSITORY,
) -> Iterator[Program]:
    """`livereactor run TARGET` on a free port."""
    port = free_port()
    command = [*LIVEREACTOR, "run", str(target), "--port", str(port), *arguments]
    with running(command, port=port, log_path=log_path, environment=environment, directory=directory) as program:
        yield program


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port of `host` that nothing listens on now, in the network of the calling thread.

    None of those that the kernel gives outgoing connections (Linux: from 32,768 up): one of these took it before the
    program that it was meant for, and a runtime did not come up (`EADDRINUSE`).
    """
    for port in secrets.SystemRandom().sample(LISTENED_ON, TRIED_PORTS):  # as tests seed `random`
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe, suppress(OSError):
            probe.bind((host, port))
            return port
    raise RuntimeError(f"none of {TRIED_PORTS} ports of {host} is free")


def free_media_ports(count: int) -> range:
    """UDP ports side by side that nothing uses now; as `free_port`, none of those that the kernel gives away."""
    for low in secrets.SystemRandom().sample(LISTENED_ON[:-count], TRIED_PORTS):
        with ExitStack() as held, suppress(OSError):
            for port in range(low, low + count):
                held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(("0.0.0.0", port))
            return range(low, low + count)
    raise RuntimeError(f"no {count} UDP ports side by side are free")


@contextmanager
def listening(
    command: Sequence[str], host: str, port: int, *, said: Path, timeout: float = 20.0, patience: float = 10.0
) -> Iterator[None]:
    """A program that does not say when it is ready, from when it takes connections to the end of the block.

    Args:
        said: where its output goes.
        timeout: seconds until it listens, after which the refusal is raised.
        patience: seconds it may take to end.
    """
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_listening(process, host, port, timeout=timeout, said=said)
        yield
    finally:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_listening(process: subprocess.Popen[bytes], host: str, port: int, *, timeout: float, said: Path) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((host, port), 1.0).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
        else:
            return
        try:  # waits for its end, at most this long
            code = process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise ProcessFailedError(f"{process.args} ended with code {code}: {said.read_text(errors='replace')}")


def request(
    url: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 10.0,
) -> tuple[int, Any]:
    """One HTTP request: status and body, read as JSON where it is JSON."""
    asked = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(asked, timeout=timeout) as answer:
            status, raw = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, raw = error.code, error.read()
    try:
        return status, json.loads(raw)
    except ValueError:
        return status, raw.decode(errors="replace")


def _is_ready(url: str) -> bool:
    try:
        status, body = request(url + "/health", timeout=5.0)
    except OSError:
        return False
    state = body.get("state") if isinstance(body, dict) else None
    loading = str(state).lower() in ("created", "loading", "initializing")
    return status == 200 and not loading
