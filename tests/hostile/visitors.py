"""Raw sockets to `run` and `serve`: what a visitor sends before anybody asked who it is."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.tools.processes import Program, livereactor_run
from tests.tools.serving import livereactor_serve

PATIENCE = 30.0  # seconds for what takes one or two
PROGRAMS = ("run", "serve")


@contextmanager
def program(name: str, folder: Path, **environment: str) -> Iterator[Program]:
    """`livereactor run` or `serve` with settings made small."""
    given: Mapping[str, str] = {f"LIVEREACTOR_{each}": value for each, value in environment.items()}
    if name == "run":
        with livereactor_run("examples/pond.py", log_path=folder / "log", environment=given) as found:
            yield found
    else:
        with livereactor_serve([], log_path=folder / "log", environment=given) as found:
            yield found


def dial(found: Program, *, source: str = "127.0.0.1") -> socket.socket:
    """A connection, from one of the addresses of this machine."""
    at = urlsplit(found.url)
    assert at.hostname
    assert at.port
    return socket.create_connection((at.hostname, at.port), PATIENCE, (source, 0))


def heard(end: socket.socket) -> bytes:
    """All that the server says until it hangs up; raises `TimeoutError` where it does not."""
    said = b""
    try:
        while more := end.recv(65_536):
            said += more
    except ConnectionError:  # it closed while more was on its way to it
        pass
    return said


def status(end: socket.socket) -> int:
    """The status of the one answer on a connection that is closed behind it."""
    return int(heard(end).split(b" ", 2)[1])
