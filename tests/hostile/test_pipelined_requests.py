"""Requests sent without waiting for answers: sixteen of a connection, and the server reads no more than it serves."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from livereactor.base.limits import Limits
from tests.hostile.visitors import PROGRAMS, dial, heard, program

MOST = Limits().pipelined_requests
ONE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
BODY = b"x" * 200_000  # more than uvicorn reads ahead


@pytest.mark.parametrize("name", PROGRAMS)
def test_requests_that_wait_for_no_answer_are_bounded(name: str, tmp_path: Path) -> None:
    with program(name, tmp_path) as found:
        with dial(found) as end:
            with suppress(ConnectionError):
                end.sendall(b"GET / HTTP/1.1\r\n\r\n" * 14_000)
            said = heard(end)
        assert said.startswith(b"HTTP/1.1 429"), said[:100]
        assert said.count(b"HTTP/1.1 ") == 1
        assert b"%d of %d" % (MOST, MOST) in said
        assert b"pipelined_requests" in said
        assert b"retry-after" in said.lower()
        assert found.log().count("reason=pipelined_requests") == 1
        assert found.get("/health")[0] == 200
        assert "Traceback" not in found.log()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_few_requests_at_once_are_answered_in_turn(name: str, tmp_path: Path) -> None:
    with program(name, tmp_path) as found:
        with dial(found) as end:
            end.sendall(ONE * (MOST - 1) + LAST)
            assert heard(end).count(b"HTTP/1.1 200") == MOST
        with dial(found) as end:  # one with a large body that is read when its turn comes, and others behind it
            posted = b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(BODY)
            end.sendall(ONE * 3 + posted + BODY + ONE * 3 + LAST)
            assert heard(end).count(b"HTTP/1.1 ") == 8
