"""A request with several origins, of which the guard and the routes could believe different ones: refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.visitors import PROGRAMS, dial, heard, program
from tests.tools.processes import Program

HERE, EVIL = "http://localhost:8080", "https://evil.example"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_request_is_of_one_page_or_of_none(name: str, tmp_path: Path) -> None:
    with program(name, tmp_path) as found:
        for origins in ([EVIL, HERE], [HERE, EVIL], [HERE, HERE]):
            for method in ("GET", "OPTIONS"):
                told = asked(found, method, origins)
                assert told.startswith(b"HTTP/1.1 403"), (method, origins)
                assert b"2 Origin headers; send one" in told
        for origins in ([], [HERE]):
            assert asked(found, "GET", origins).startswith(b"HTTP/1.1 200"), origins


def asked(found: Program, method: str, origins: list[str]) -> bytes:
    """The answer to a request of the health with these headers `Origin`."""
    lines = [
        f"{method} /health HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        *(f"Origin: {each}" for each in origins),
    ]
    with dial(found) as end:
        end.sendall("\r\n".join([*lines, "", ""]).encode())
        return heard(end)
