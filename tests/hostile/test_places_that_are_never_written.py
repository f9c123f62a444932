"""Share links that reserve all that a session may upload, and write it or not: the owner uploads all the same."""

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
        assert "200 MiB of 250 MiB (upload_session_bytes) that one share link may have" in reserved[-1][1]["error"]
        newest = [_reserve(program, session, second, 100 * MIB) for _ in range(2)]
        assert [status for status, _ in newest] == [201, 429]
        assert "300 MiB of 375 MiB (upload_session_bytes) that all share links may have" in newest[-1][1]["error"]

        mine = [_reserve(program, session, program.key, size) for size in (100 * MIB, 100 * MIB, 100 * MIB, 4)]
        assert [status for status, _ in mine] == [201] * 4, mine
        small = mine[-1][1]
        assert httpx2.put(program.url + small["path"], content=b"1234").status_code == 204
        displaced = httpx2.put(program.url + newest[0][1]["path"], content=b"1234")
        assert displaced.status_code == 404, displaced.text
        assert "reserve a slot first" in displaced.text
        kept = httpx2.request("HEAD", program.url + reserved[0][1]["path"])
        assert kept.status_code == 200


def test_links_that_write_all_they_may_leave_the_owner_a_quarter_of_its_places(tmp_path: Path) -> None:
    with livereactor_serve([CONFORMANCE], log_path=tmp_path / "log") as program, httpx2.Client() as client:
        program.wait_for_worker()
        session = program.create()["session_id"]
        written: list[int] = []
        for _ in range(2):
            _, shared = program.call("POST", f"/sessions/{session}/share", {"scope": ["view", "upload"]})
            count = 0
            while (answer := _reserve(program, session, shared["jwt"], 1))[0] == 201 and count < 256:
                assert client.put(program.url + answer[1]["path"], content=b"1").status_code == 204
                count += 1
            assert answer[0] == 429
            assert "upload_slots" in answer[1]["error"]
            written.append(count)
        assert written == [128, 64]
        status, mine = _reserve(program, session, program.key, 4)
        assert status == 201, mine
        assert client.put(program.url + mine["path"], content=b"1234").status_code == 204
