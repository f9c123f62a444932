"""A Worker from elsewhere and its keeper: whichever of the two dies, nothing is left that nobody knows of."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from livereactor.cli.commands.worker import death_reporter
from livereactor.pool.port import WorkerExit
from tests.tools.processes import LIVEREACTOR, REPOSITORY


@contextmanager
def kept(what: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fault.kept", what],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def up(process: subprocess.Popen[str]) -> int:
    """The number of the next Worker, once it is up."""
    word, number = line(process).split()
    assert word == "up"
    return int(number)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True


def wait_gone(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 10)[0], f"process {pid} lives on"
    finally:
        os.close(descriptor)


def test_a_killed_worker_is_told_at_once_and_started_again() -> None:
    with kept("serves") as keeper:
        first = up(keeper)
        os.kill(first, signal.SIGKILL)
        assert line(keeper) == "died its process was ended by SIGKILL"
        assert up(keeper) != first


def test_a_worker_ends_in_order_when_its_keeper_is_asked_to_end() -> None:
    with kept("serves") as keeper:
        worker = up(keeper)
        os.killpg(keeper.pid, signal.SIGINT)
        assert keeper.wait(10) == 0
        assert is_gone(worker)
        assert line(keeper) == ""


def test_a_worker_that_hangs_is_killed_after_its_grace() -> None:
    with kept("stubborn") as keeper:
        worker = up(keeper)
        keeper.terminate()
        assert keeper.wait(10) == 128 + signal.SIGKILL
        assert is_gone(worker)


def test_who_asks_twice_does_not_wait() -> None:
    with kept("stubborn") as keeper:
        worker = up(keeper)
        keeper.terminate()
        keeper.terminate()
        assert keeper.wait(5) in (130, 128 + signal.SIGKILL)
        wait_gone(worker)


def test_a_worker_does_not_outlive_a_killed_keeper() -> None:
    with kept("serves") as keeper:
        worker = up(keeper)
        keeper.kill()
        keeper.wait(10)
        wait_gone(worker)


def test_a_model_that_does_not_load_ends_its_keeper_with_the_same_code() -> None:
    with kept("fails") as keeper:
        up(keeper)
        assert keeper.wait(10) == 3


def test_a_death_is_told_to_the_coordinator_with_the_secret_of_workers() -> None:
    heard: list[tuple[str, str | None, bytes]] = []

    class Coordinator(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, self.headers["Authorization"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object, **_named: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Coordinator) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        death_reporter(f"http://127.0.0.1:{server.server_port}/", "hush")(WorkerExit("wrk_1", -9))
        thread.join(10)
    told = b'{"reason": "its process was ended by SIGKILL"}'
    assert heard == [("/workers/wrk_1/died", "Bearer hush", told)]


@pytest.mark.parametrize(
    ("secret", "arguments", "code", "says"),
    [
        ("hush", [], 3, "no weights"),  # as its worker ended
        ("", [], 1, "no worker secret; set LIVEREACTOR_WORKER_SECRET"),
        ("", ["--secret", "hush"], 2, "No such option: --secret"),  # anybody could read it there, the model too
    ],
)
def test_the_command_ends_with_one_reason_and_its_code(
    secret: str, arguments: list[str], code: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('no weights')\n")
    command = [*LIVEREACTOR, "worker", str(tmp_path / "broken.py"), "--coordinator", "http://127.0.0.1:9", *arguments]
    shown = {**os.environ, "LIVEREACTOR_WORKER_SECRET": secret}
    done = subprocess.run(command, env=shown, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("livereactor: ") == (0 if arguments else 1)
    assert says in done.stderr


def test_a_wrong_secret_is_told_before_the_model_is_read(tmp_path: Path) -> None:
    class Coordinator(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object, **_named: object) -> None:
            pass

    (tmp_path / "broken.py").write_text("raise RuntimeError('was read')\n")
    with HTTPServer(("127.0.0.1", 0), Coordinator) as server:
        Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        command = [*LIVEREACTOR, "worker", str(tmp_path / "broken.py"), "--coordinator", url]
        shown = {**os.environ, "LIVEREACTOR_WORKER_SECRET": "wrong"}
        done = subprocess.run(command, env=shown, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert "it must equal `[coordinator] worker_secret` there" in done.stderr


def test_a_coordinator_that_is_away_does_not_stop_the_keeper() -> None:
    death_reporter("http://127.0.0.1:9", "hush")(WorkerExit("wrk_1", 1))
