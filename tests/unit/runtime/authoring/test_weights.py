"""Weights: fetched with resume, checked before they are used."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import livereactor as lr
from livereactor.runtime.authoring.weights import WeightsError
from livereactor.runtime.execution.weight_fetching import ATTEMPTS, fetch
from livereactor.runtime.interfaces import LoadFailed, LoadFinished
from tests.unit.runtime.execution.rig import model_running

CONTENT = bytes(range(256)) * 4000


class Server(ThreadingHTTPServer):
    """Serves CONTENT; breaks off after `cut` bytes for the first `breaks` requests."""

    ranges: list[str | None]
    cut, breaks, status = 300_000, 0, 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        start = int(asked[6:-1]) if asked else 0
        if server.status:
            self.send_error(server.status)
            return
        body = CONTENT[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        broken = len(server.ranges) <= server.breaks
        self.wfile.write(body[: server.cut] if broken else body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("LIVEREACTOR_WEIGHTS_DIR", str(tmp_path / "weights"))
    with Server(("127.0.0.1", 0), Handler) as server:
        server.ranges = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Clock:
    """Waits in no time."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return 0.0

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


def declared(server: Server, content: bytes = CONTENT, **more: Any) -> lr.Weights:
    url = f"http://127.0.0.1:{server.server_port}/vae.safetensors"
    return lr.Weights("vae", url=url, sha256=hashlib.sha256(content).hexdigest(), **more)


def ignore(fraction: float, text: str) -> None: ...


def test_a_file_is_fetched_once_and_told_as_it_comes(server: Server) -> None:
    told: list[tuple[float, str]] = []
    path = fetch(declared(server), lambda *said: told.append(said))
    assert path.read_bytes() == CONTENT
    assert path.suffix == ".safetensors"
    assert told[-1] == (1.0, "checking vae")
    assert fetch(declared(server), ignore) == path
    assert len(server.ranges) == 1


def test_a_broken_download_goes_on_where_it_broke_off(server: Server) -> None:
    server.breaks = 2
    clock = Clock()
    assert fetch(declared(server, size=len(CONTENT)), ignore, clock).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-"]
    assert clock.waits == [1.0, 1.0]


def test_a_file_that_is_not_the_declared_one_is_never_used(server: Server) -> None:
    weights = declared(server, b"something else")
    with pytest.raises(WeightsError, match="declared"):
        fetch(weights, ignore)
    assert list(weights.path.parent.iterdir()) == []


def test_a_wrong_address_is_told_at_once_and_a_sick_server_after_some_attempts(server: Server) -> None:
    server.status = 404
    with pytest.raises(WeightsError, match="answered 404"):
        fetch(declared(server), ignore)
    server.status, clock = 503, Clock()
    with pytest.raises(WeightsError, match="attempts"):
        fetch(declared(server), ignore, clock)
    assert len(server.ranges) == 1 + ATTEMPTS
    assert clock.waits == [1.0, 2.0, 4.0, 8.0]


def test_a_model_finds_its_weights_when_it_loads(server: Server) -> None:
    class Heavy(lr.Model):
        weights = [declared(server)]  # noqa: RUF012 - as the documentation shows it
        main_video = lr.VideoOut()

        def load(self) -> None:
            assert self.weights_path("vae").read_bytes() == CONTENT

        def stream(self) -> Iterator[Any]:
            yield None

    with model_running(Heavy) as (_, rig):
        assert rig.of(LoadFinished)
    model: Any = Heavy()
    with pytest.raises(WeightsError, match="no weights named 'unet' are declared"):
        model.weights_path("unet")


def test_a_model_without_its_weights_does_not_load(server: Server) -> None:
    class Heavy(lr.Model):
        weights = [declared(server, b"other")]  # noqa: RUF012 - as the documentation shows it

        def stream(self) -> Iterator[Any]:
            yield None

    with model_running(Heavy) as (_, rig):
        assert "weights 'vae'" in rig.of(LoadFailed)[0].reason
