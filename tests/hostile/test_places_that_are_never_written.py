"""A share link that reserves all that a session may upload, and writes nothing: the owner uploads all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import httpx2

from livereactor.base.limits import MIB
from tests.tools.processes import REPOSITORY
from tests.tools.serving import Coordinator, livereactor_serve

CONFORMANCE: Final = REPOSITORY / "examples/conformance.py"


def _reserve(program: Coordinator, session: str, token: str, size: int) -> tuple[int, dict[str, Any]]:
    asked = {"name": "a.bin", "size": size, "mime_type": "application/octet-stream"}
    return program.call("POST", f"/sessions/{session}/uploads", asked, token=token)


def test_links_that_reserve_and_never_write_leave_the_owner_its_bytes(tmp_path: Path) -> None:
    with livereactor_serve([CONFORMANCE], log_path=tmp_path / "log") as program:
        program.wait_for_worker()
        session = program.create()["session_id"]
        shared = [
            program.call("POST", f"/sessions/{session}/share", {"scope": ["view", "upload"]})[1]["jwt"]
            for _ in range(2)
        ]
        first, second = shared
        reserved = [_reserve(program, session, first, 100 * MIB) for _ in range(10)]
        assert [status for status, _ in reserved] == [201] * 2 + [429] * 8
        assert "200 MiB of 250 MiB that one share link may reserve" in reserved[-1][1]["error"]
        newest = [_reserve(program, session, second, 100 * MIB) for _ in range(2)]
        assert [status for status, _ in newest] == [201] * 2

        mine = [_reserve(program, session, program.key, size) for size in (100 * MIB, 100 * MIB, 4)]
        assert [status for status, _ in mine] == [201] * 3, mine
        small = mine[-1][1]
        assert httpx2.put(program.url + small["path"], content=b"1234").status_code == 204
        displaced = httpx2.put(program.url + newest[-1][1]["path"], content=b"1234")
        assert displaced.status_code == 404, displaced.text
        assert "reserve a slot first" in displaced.text
        kept = httpx2.request("HEAD", program.url + reserved[0][1]["path"])
        assert kept.status_code == 200
