"""How a runtime's process ends: in time and with the right code, whatever its model does."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from tests.tools.processes import LIVEREACTOR, Program, free_port, livereactor_run, request

MODELS = Path(__file__).with_name("models_that_hang.py")


def _start(program: Program) -> None:
    status, descriptor = request(program.url + "/start_session", method="POST")
    assert (status, descriptor["state"]) == (200, "waiting")


def test_sigterm_ends_a_hanging_model_in_ten_seconds_with_code_0(tmp_path: Path) -> None:
    with livereactor_run(f"{MODELS}:Hangs", log_path=tmp_path / "log") as program:
        _start(program)
        began = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(30) == 0, program.log()
        assert time.monotonic() - began <= 13.0  # ten for the model, the rest for a busy machine


def test_a_session_that_cannot_be_closed_ends_the_process_with_code_1(tmp_path: Path) -> None:
    with livereactor_run(f"{MODELS}:Hangs", log_path=tmp_path / "log") as program:
        _start(program)
        assert request(program.url + "/stop_session", method="POST")[0] == 200
        assert program.process.wait(40) == 1, program.log()
        assert "did not end its step" in program.log()


def test_an_event_stream_resumes_and_does_not_hold_the_end_up(tmp_path: Path) -> None:
    with livereactor_run("examples/pond.py", log_path=tmp_path / "log") as program:
        _start(program)
        with urllib.request.urlopen(program.url + "/events?since=1", timeout=10) as events:
            assert events.headers["content-type"].startswith("text/event-stream")
            lines = [events.readline() for _ in range(2)]
            assert lines[0] == b"id: 2\n"
            assert b'"to": "waiting"' in lines[1]
            began = time.monotonic()
            program.process.send_signal(signal.SIGINT)
            assert program.process.wait(10) == 0, program.log()
            assert time.monotonic() - began < 5


def test_a_model_that_does_not_load_ends_with_code_3_and_one_reason(tmp_path: Path) -> None:
    model = tmp_path / "broken.py"
    model.write_text(
        "import livereactor as lr\n\n\nclass Broken(lr.Model):\n    main_video = lr.VideoOut(width=64, height=48)\n\n"
        "    def load(self):\n        raise RuntimeError('no weights')\n\n    def stream(self):\n        yield None\n"
    )
    done = subprocess.run(
        [*LIVEREACTOR, "run", str(model), "--port", str(free_port())], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 3
    assert b"no weights" in done.stderr


def test_garbage_on_the_port_is_borne(tmp_path: Path) -> None:
    garbage = (b"\x00\xff garbage\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /start_session HTTP/1.1\r\n")
    with livereactor_run("examples/pond.py", log_path=tmp_path / "log") as program:
        port = int(program.url.rsplit(":", 1)[1])
        for raw in garbage * 10:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(raw)
        _start(program)
