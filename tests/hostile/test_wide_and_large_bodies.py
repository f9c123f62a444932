"""Bodies that are larger than any real one, or hold more values, or one key twice: refused before they are walked."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from livereactor.base.limits import Limits
from livereactor.protocol import json_text
from tests.integration.coordinator.rig import coordinating
from tests.integration.models import Plain
from tests.integration.rig import serving

LIMITS = Limits()
AT = "/sessions/ses_1/transport/webrtc/connections/1001"
ROUTES = [
    ("run", "/start_session"),
    ("run", "/stop_session"),
    ("run", "/sessions/{session}/uploads"),
    ("serve", "/sessions"),
    ("serve", "/tokens"),
    ("serve", "/sessions/{session}/share"),
    ("serve", "/sessions/{session}/uploads"),
]


@asynccontextmanager
async def http_of(name: str) -> AsyncGenerator[httpx2.AsyncClient]:
    if name == "run":
        async with serving(Plain) as served:
            yield served.http
    else:
        async with coordinating() as coordinator:
            yield coordinator.http


async def path_of(http: httpx2.AsyncClient, name: str, path: str) -> str:
    """The path in a session that there is: of another one, 404 comes before a byte is read."""
    if "{session}" not in path:
        return path
    made = await (
        http.post("/start_session", json={})
        if name == "run"
        else http.post("/sessions", json={"model": {"name": "pond"}})
    )
    assert made.is_success, made.text
    return path.format(session=made.json()["session_id"])


async def pieces(size: int) -> AsyncIterator[bytes]:
    """A body that announces no length."""
    for _ in range(0, size, 4096):
        yield b" " * 4096


@pytest.mark.parametrize(("name", "path"), ROUTES)
async def test_a_body_has_64_kib(name: str, path: str) -> None:
    async with http_of(name) as http:
        path = await path_of(http, name, path)
        for content in (b" " * (LIMITS.json_body_bytes + 1), pieces(LIMITS.json_body_bytes + 4096)):
            refused = await http.post(path, content=content)
            assert refused.status_code == 413, refused.text
            assert f"{LIMITS.json_body_bytes} bytes (json_body_bytes)" in refused.json()["error"]
        assert (await http.post(path, content=b" " * LIMITS.json_body_bytes)).status_code != 413


@pytest.mark.parametrize("name", ["run", "serve"])
async def test_an_offer_and_candidates_may_be_larger(name: str) -> None:
    async with http_of(name) as http:
        for path in (f"{AT}/sdp_params", f"{AT}/ice_candidates"):
            assert (await http.post(path, content=b" " * (LIMITS.json_body_bytes + 1))).status_code == 404
            assert (await http.post(path, content=b" " * (LIMITS.body_bytes + 1))).status_code == 413
        # A path that looks like one is none: nothing reads what is sent there.
        assert (await http.post("/tokens/sdp_params", content=b"[" * LIMITS.body_bytes)).status_code == 404


@pytest.mark.parametrize(("name", "path"), ROUTES)
async def test_values_are_counted_before_they_are_made(name: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[int]()
    decode = json_text._DECODER.decode

    def watched(text: str) -> object:
        made.append(len(text))
        return decode(text)

    class Watched:
        def decode(self, text: str) -> object:
            return watched(text)

    monkeypatch.setattr(json_text, "_DECODER", Watched())
    async with http_of(name) as http:
        path = await path_of(http, name, path)
        made.clear()
        for wide in ("[" + "0," * LIMITS.json_nodes + "0]", '{"x":[' + "[]," * LIMITS.json_nodes + "0]}"):
            refused = await http.post(path, content=wide)
            assert refused.status_code == 400, refused.text
            assert "json_nodes" in refused.json()["error"]
    assert made == []


@pytest.mark.parametrize(("name", "path"), ROUTES)
async def test_a_key_that_stands_twice_is_refused(name: str, path: str) -> None:
    async with http_of(name) as http:
        path = await path_of(http, name, path)
        for twice in ('{"x": 1, "x": 2}', '{"a": {"b": {"scope": 1, "scope": 2}}}'):
            refused = await http.post(path, content=twice)
            assert refused.status_code == 400, refused.text
            assert "stands twice in one object" in refused.json()["error"]


async def test_texts_with_commas_are_no_values() -> None:
    async with http_of("run") as http:
        long = json.dumps({"client_info": {"sdk_type": "x", "note": "," * (LIMITS.json_nodes * 2)}})
        assert (await http.post("/start_session", content=long)).status_code == 200
