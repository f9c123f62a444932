"""A worker that dials in while visitors hold every place of `serve`: it is let in, and serves."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from livereactor.coordinator.auth.secrets import kept_secrets
from tests.hostile.visitors import dial, heard
from tests.tools.processes import LIVEREACTOR, REPOSITORY, background
from tests.tools.serving import livereactor_serve

pytestmark = pytest.mark.timeout(300)
DESCRIPTORS = 256
UNDER = ("sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh")
HALF = "POST /sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: 9\r\n\r\n"
WHOLE = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def test_a_worker_is_let_in(tmp_path: Path) -> None:
    model = REPOSITORY / "examples/conformance.py"
    with livereactor_serve([], log_path=tmp_path / "log", under=UNDER) as found, ExitStack() as ends:
        half = HALF.format(key=found.key).encode()
        for _ in range(DESCRIPTORS):
            ends.enter_context(dial(found)).sendall(half)
            with dial(found) as last:
                last.sendall(WHOLE)
                said = heard(last)
            if said.startswith(b"HTTP/1.1 503"):
                break
        else:
            pytest.fail("the places never ran out")
        worker = background(
            [*LIVEREACTOR, "worker", str(model), "--coordinator", found.url],
            url=found.url,
            log_path=tmp_path / "worker.log",
            environment={"LIVEREACTOR_WORKER_SECRET": kept_secrets(found.data_dir).worker},
        )
        with worker as program:
            found.wait_until(lambda: "worker registered" in found.log(), timeout=60)
            with dial(found) as last:
                last.sendall(WHOLE)
                assert heard(last).startswith(b"HTTP/1.1 503")
            assert program.process.poll() is None
            ends.close()
            found.wait_for_worker()
            assert found.create()["session_id"]
