"""Texts and numbers that databases and paths are not made for, wherever a client may put them, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.sql.store import open_sql_store
from tests.integration.coordinator.asking import UNLIMITED
from tests.integration.coordinator.rig import Served, coordinating, working
from tests.tools.postgres import postgres_server

ODD = [
    "\x00",
    "a\x00b",
    "\ud7ff\ue000",
    "\U0010ffff",
    "x" * 3_000,
    "'; DROP TABLE sessions; --",
    "%00",
    "..",
    "é" * 300,
]
HUGE = [2**31, 2**63, 2**64, -(2**63), 10**30, 1e308]
Case = tuple[str, str, Any]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path_factory.mktemp('odd') / 'livereactor.db'}"
        else:
            server = stack.enter_context(postgres_server())
            yield server.url(server.create_database())


def cases(session: str) -> Iterator[Case]:
    for odd in ODD:
        path = quote(odd, safe="")
        yield from (("GET", f"/sessions/{path}", None), ("DELETE", f"/sessions/{path}", None))
        yield from (
            ("GET", f"/sessions?model={path}", None),
            ("GET", f"/sessions/{session}?wait=0&version={path}", None),
        )
        yield from (("GET", f"/models/{path}/schema", None), ("DELETE", f"/keys/{path}", None))
        yield from (("PUT", f"/uploads/{path}?sig={path}&exp={path}", None), ("POST", f"/workers/{path}/died", None))
        yield from (("GET", f"/internal/blobs/{path}", None), ("POST", f"/admin/workers/{path}/drain", None))
        yield "POST", f"/sessions/{path}/transport/webrtc/connections", {}
        yield "POST", f"/sessions/{session}/transport/webrtc/connections/{path}/sdp_params", {}
        yield "POST", "/sessions", {"model": {"name": odd, "version": odd}}
        yield "POST", "/sessions", {"model": {"name": "pond"}, "client_info": {"sdk_type": odd, "sdk_version": odd}}
        yield "POST", "/sessions", {"model": {"name": "pond"}, "extra_args": {odd: [odd, {odd: odd}]}}
        yield "POST", "/tokens", {"subject": odd}
        bound = {"models": {"match": [odd]}, "sessions": {"bind": [odd]}}
        yield "POST", "/tokens", {"authorization_details": [{"type": "session", "resources": bound}]}
        yield "POST", "/keys", {"name": odd}
        yield "POST", "/keys", {"account": odd}
        yield "POST", f"/sessions/{session}/uploads", {"name": odd, "size": 5, "mime_type": odd}
        yield "POST", f"/sessions/{session}/uploads", {"name": "a", "size": 5, "mime_type": "a/b", "upload_id": odd}
        yield "POST", "/workers/nobody/died", {"reason": odd}
    for huge in HUGE:
        for name in ("max_duration", "reconnection_window", "unclaimed_window", "steps"):
            yield "POST", "/sessions", {"model": {"name": "pond"}, name: huge}
        yield "POST", "/sessions", {"model": {"name": "pond"}, "extra_args": {"n": huge}}
        yield "POST", "/tokens", {"expires_after": huge}
        yield "POST", "/keys", {"max_sessions": huge, "weight": huge}
        yield "POST", f"/sessions/{session}/uploads", {"name": "a", "size": huge, "mime_type": "a/b"}
        yield from (("GET", f"/sessions?before={huge}", None), ("GET", f"/sessions/{session}?wait={huge}", None))


async def refusals(served: Served, session: str) -> list[tuple[Case, int, str]]:
    found: list[tuple[Case, int, str]] = []
    headers = {"Reactor-API-Key": served.key, "Authorization": f"Bearer {served.secrets.worker}"}
    for case in cases(session):
        method, path, body = case
        answer = await served.http.request(method, path, json=body, headers=headers)
        if answer.status_code >= 500:
            found.append((case, answer.status_code, answer.text))
    return found


async def test_no_text_and_no_number_is_an_error_of_ours(database: str) -> None:
    store = open_sql_store(database)
    try:
        options = CoordinatorOptions(quotas=UNLIMITED, hold=0.05)
        async with coordinating(options, store=store, operator=True) as served, working(served, slots=100):
            session = await served.session()
            assert await refusals(served, session) == []
            # And what was taken can be told.
            assert (await served.http.get("/sessions?limit=500")).status_code == 200
            assert (await served.http.get("/keys")).status_code == 200
            assert (await served.http.get("/health")).json()["status"] == "healthy"
    finally:
        await store.aclose()


async def test_an_idempotency_key_may_be_any_bytes_of_a_header(tmp_path: Path) -> None:
    store = open_sql_store(f"sqlite:///{tmp_path / 'livereactor.db'}")
    try:
        async with coordinating(store=store) as served:
            for key, status in ((b"\xff\xfe", 201), (b"'--", 201), (b"k" * 255, 201), (b"k" * 256, 400), (b"", 400)):
                headers = {b"Idempotency-Key": key}
                answer = await served.http.post("/sessions", json={"model": {"name": "pond"}}, headers=headers)
                assert answer.status_code == status, answer.text
    finally:
        await store.aclose()
