"""Bytes that are no HTTP: refused, with a line of the log every few seconds and not one for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.visitors import PROGRAMS, dial, program, status

SENT = 200


@pytest.mark.parametrize("name", PROGRAMS)
def test_garbage_leaves_few_lines(name: str, tmp_path: Path) -> None:
    with program(name, tmp_path) as found:
        before = len(found.log())
        for _ in range(SENT):
            with dial(found) as end:
                end.sendall(b"no such thing\r\n\r\n")
                assert status(end) == 400
        assert found.get("/health")[0] == 200
        said = found.log()[before:]
        assert 1 <= said.count("Invalid HTTP request") < 20
        assert len(said) < 5_000
