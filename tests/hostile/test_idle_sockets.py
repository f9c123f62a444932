"""Sockets that are opened and left: others get in, workers too, and the log says once what ran out."""

from __future__ import annotations

import resource
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hostile.visitors import PROGRAMS, dial, heard, program

IDLE = {"run": 600, "serve": 4_300}  # more than each has room for
ELSEWHERE = "127.0.0.2"  # this machine, but none of the addresses of known proxies


@pytest.mark.parametrize("name", PROGRAMS)
def test_idle_sockets_make_room_for_whoever_comes(name: str, tmp_path: Path) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < IDLE[name] * 2:
        pytest.skip(f"{most} descriptors are too few")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with program(name, tmp_path, RUNTIME__HEADER_WAIT="600") as found, ExitStack() as ends:
        for _ in range(IDLE[name]):
            ends.enter_context(dial(found))
        assert found.get("/health")[0] == 200
        told = [line for line in found.log().splitlines() if "sockets ran out" in line]
        assert 1 <= len(told) <= 6  # one every five seconds


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_address_has_its_share(name: str, tmp_path: Path) -> None:
    with program(name, tmp_path, RUNTIME__ADDRESS_SOCKETS="4", RUNTIME__HEADER_WAIT="600") as found:
        with ExitStack() as ends:
            for _ in range(4):
                ends.enter_context(dial(found, source=ELSEWHERE))
            with dial(found, source=ELSEWHERE) as fifth:
                said = heard(fifth)
            assert said.startswith(b"HTTP/1.1 429")
            assert b"4 of 4" in said
            assert b"retry-after" in said.lower()
            told = [line for line in found.log().splitlines() if "reason=address_sockets" in line]
            assert [f"address={ELSEWHERE}" in line for line in told] == [True]
            assert found.get("/health")[0] == 200  # of another address
        found.wait_until(lambda: _is_let_in(found), timeout=10)


def _is_let_in(found: object) -> bool:
    with dial(found, source=ELSEWHERE) as end:  # type: ignore[arg-type]
        end.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return heard(end).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("name", PROGRAMS)
def test_descriptors_are_raised_to_what_the_machine_allows(name: str, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        with program(name, tmp_path) as found:
            limits = Path(f"/proc/{found.pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    line = next(each for each in limits.splitlines() if each.startswith("Max open files"))
    assert int(line.split()[3]) == min(hard, 65_536)
