"""Headers that never end, or come in drops: refused by size and by time, before anybody is asked for a key."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.hostile.visitors import PROGRAMS, dial, heard, program, status

KIB = 1024
BEGIN = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
SENT = 8 * KIB * KIB  # bytes a visitor has for us; what is read of them is what counts


@pytest.mark.parametrize("name", PROGRAMS)
def test_headers_are_bounded_by_size_and_time(name: str, tmp_path: Path) -> None:
    with program(name, tmp_path, RUNTIME__HEADER_WAIT="1") as found:
        for endless in (b"x: " + b"y" * 1000 + b"\r\n", b"y" * 1000):
            with dial(found) as end:
                end.sendall(BEGIN + b"x: ")
                taken = 0
                with suppress(ConnectionError):
                    while taken < SENT:
                        end.sendall(endless)
                        taken += len(endless)
                assert taken < SENT
        with dial(found) as end:  # at once, and whole
            end.sendall(BEGIN + b"x: " + b"y" * 65 * KIB + b"\r\n\r\n")
            answer = heard(end)
            assert answer.startswith(b"HTTP/1.1 431")
            assert b"header_bytes" in answer
        with dial(found) as end:  # a URL is of the header as well
            end.sendall(b"GET /" + b"y" * 65 * KIB + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert status(end) == 431
        for part in (b"", BEGIN, b"\r\n", b"G"):
            with dial(found) as end:
                end.sendall(part)
                assert heard(end)[:12] in (b"", b"HTTP/1.1 408")
        for part in (b"G", b"\r\n"):  # behind an answer
            with dial(found) as end:
                end.sendall(BEGIN + b"\r\n" + part)
                assert heard(end).startswith(b"HTTP/1.1 200")
        assert found.get("/health")[0] == 200


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_header_of_sixty_kilobytes_is_served(name: str, tmp_path: Path) -> None:
    with program(name, tmp_path) as found, dial(found) as end:
        end.sendall(BEGIN + b"connection: close\r\nx: " + b"y" * 60 * KIB + b"\r\n\r\n")
        assert status(end) == 200
