"""The client's HTTP against scripted servers: what it asks, what it makes of the answers, and what it never does."""

from __future__ import annotations

import asyncio
import errno
import io
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from livereactor.client.errors import AuthError, ReactorError
from livereactor.client.http import api as api_module
from livereactor.client.http.api import FLAT, Api
from livereactor.client.http.client import Http
from livereactor.client.http.credentials import Credentials, fetch_jwt
from tests.tools.nginx import make_certificate
from tests.tools.processes import free_port
from tests.tools.script import HANGS, NIL, Fault, Script, refuses, says
from tests.tools.scripted_server import ScriptedServer, scripted


@asynccontextmanager
async def asking(credentials: Credentials | None = None, **script: Any) -> AsyncIterator[tuple[ScriptedServer, Api]]:
    async with scripted(Script(**script)) as server:
        api = Api(
            server.url + "/", local=script.get("style") == "local", credentials=credentials or Credentials("rk_1")
        )
        try:
            yield server, api
        finally:
            await api.aclose()


async def test_a_session_is_created_asked_for_and_ended_at_a_coordinator() -> None:
    async with asking() as (server, api):
        api.credentials.ask_for(model="owner/m")
        opened = await api.create_session("owner/m@2", session_args={"a": 1}, max_session_duration=60.0)
        session_id = opened.descriptor.session_id
        assert opened.is_ours
        assert (await api.session(session_id)).capabilities is not None
        await api.ice_servers(session_id)
        await api.end_session(session_id)
        await api.end_session(session_id)
        created = server.of("S1")[0]
        assert created.json["model"] == {"name": "owner/m", "version": "2"}
        assert created.json["extra_args"] == {"a": 1}
        assert created.json["max_duration"] == 60.0
        assert created.json["client_info"]["sdk_type"].startswith("livereactor")
        assert created.json["supported_transports"] == [{"protocol": "webrtc", "version": "1.0"}]
        assert created.headers["reactor-api-version"] == "1"
        assert created.headers["authorization"] == "Bearer token-1"
        assert len(server.of("T")) == 1
        assert server.of("T")[0].headers["reactor-api-key"] == "rk_1"


async def test_ice_servers_are_asked_for_while_the_session_is_made_ready_and_again_where_that_was_too_early() -> None:
    async with asking() as (server, api):
        session_id = (await api.create_session("m")).descriptor.session_id
        await server.until(lambda: bool(server.of("W1")))
        assert await api.ice_servers(session_id) == ()
        assert len(server.of("W1")) == 1
        await api.ice_servers(session_id)
        assert len(server.of("W1")) == 2
    async with asking(faults={"W1": refuses(404, times=1)}) as (server, api):
        session_id = (await api.create_session("m")).descriptor.session_id
        assert await api.ice_servers(session_id) == ()
        assert len(server.of("W1")) == 2


async def test_who_comes_back_asks_for_ice_servers_again_only_when_their_credentials_end() -> None:
    relays = [
        {"uris": ["turn:relay.example:3478"], "credentials": {"username": f"{ends_at}:s", "password": "p"}}
        for ends_at in (int(time.time()) + 3600, int(time.time()) + 60)
    ]
    for relay, asked in ((relays[0], 1), (relays[1], 2)):
        async with asking(faults={"W1": says({"ice_servers": [relay]})}) as (server, api):
            session_id = (await api.create_session("m")).descriptor.session_id
            first = await api.ice_servers(session_id, again=True)
            assert await api.ice_servers(session_id, again=True) == first
            assert len(server.of("W1")) == asked
            await api.ice_servers("another", again=True)
            assert len(server.of("W1")) == asked + 1


async def test_a_description_of_another_session_is_none() -> None:
    other = says({"session_id": "other", "state": "WAITING"})
    async with asking(faults={"S2": other}) as (_, api):
        with pytest.raises(ReactorError, match="describes another one") as wrong:
            await api.session((await api.create_session("m")).descriptor.session_id)
        assert wrong.value.code == "DECODE_FAILED"


async def test_a_runtime_is_asked_without_a_token_and_by_the_id_it_gave() -> None:
    async with asking(style="local", session_id=NIL) as (server, api):
        opened = await api.create_session("m", session_args={"a": 1})
        assert opened.descriptor.session_id == NIL
        assert (await api.session(NIL)).session_id == NIL
        with pytest.raises(ReactorError, match="no session 'other' runs"):
            await api.session("other")
        await api.end_session(NIL)
        await api.end_session(NIL)
        assert server.of("L1")[0].json == {"extra_args": {"a": 1}}
        assert not [each for each in server.requests if "authorization" in each.headers]


async def test_a_session_that_runs_already_is_joined_and_is_not_ours() -> None:
    async with asking(style="local", running=True) as (server, api):
        opened = await api.create_session("m")
        assert not opened.is_ours
        assert opened.descriptor.session_id == (await api.session(opened.descriptor.session_id)).session_id
    async with asking(style="local", running=True) as (server, api):
        with pytest.raises(ReactorError) as conflict:  # a stepped one must not be taken for it
            await api.create_session("m", generation="stepped")
        assert (conflict.value.code, conflict.value.recoverable) == ("CONFLICT", True)
        assert not server.of("L2")


async def test_a_model_that_loads_is_asked_again_for_as_long_as_was_said() -> None:
    loading = Fault(503, {"error": "loading"}, {"Retry-After": "0.05"}, times=2)
    async with asking(style="local", faults={"L1": loading}) as (server, api):
        assert (await api.create_session("m")).is_ours
        assert len(server.of("L1")) == 3
        gaps = [later.at - earlier.at for earlier, later in zip(server.of("L1"), server.of("L1")[1:], strict=False)]
        assert min(gaps) >= api_module.SOONEST
    body = {"error": "the model is loading", "code": "MODEL_LOADING"}
    for_ever = Fault(503, body, {"Retry-After": "0.2"})
    async with asking(style="local", faults={"L1": for_ever}) as (server, api):
        with pytest.raises(ReactorError, match=r"is loading; retry in 0\.2 s") as loading_still:
            await api.create_session("m", patience=0.3)
        assert (loading_still.value.code, loading_still.value.recoverable) == ("MODEL_LOADING", True)
        assert len(server.of("L1")) == 2
    async with asking(style="local", faults={"L1": refuses(503)}) as (server, api):
        with pytest.raises(ReactorError):  # it says no time: the model is gone
            await api.create_session("m")
        assert len(server.of("L1")) == 1


async def test_a_server_without_numbered_connections_is_told_from_one_without_the_session() -> None:
    async with asking(style="local", flat=True) as (_, api):
        session_id = (await api.create_session("m")).descriptor.session_id
        assert await api.create_connection(session_id) == FLAT
    async with asking(style="local") as (_, api):
        with pytest.raises(ReactorError) as unknown:
            await api.create_connection("nobody")
        assert unknown.value.code == "NOT_FOUND"
        session_id = (await api.create_session("m")).descriptor.session_id
        assert await api.create_connection(session_id) == 5001
    async with asking(style="local", faults={"W2": refuses(405)}) as (_, api):
        assert await api.create_connection((await api.create_session("m")).descriptor.session_id) == FLAT


async def test_a_refusal_is_asked_for_once() -> None:
    async with asking(Credentials(jwt="t"), faults={"S1": refuses(401)}) as (server, api):
        with pytest.raises(AuthError) as refused:
            await api.create_session("m")
        assert (refused.value.status, refused.value.recoverable, len(server.requests)) == (401, False, 1)


async def test_a_refused_key_is_told_as_such_before_anything_else_is_asked() -> None:
    async with asking(faults={"T": refuses(401)}) as (server, api):
        with pytest.raises(AuthError, match=r"the API key was refused \(401\)") as refused:
            await api.create_session("m")
        assert "rk_1" not in str(refused.value)
        assert server.steps() == ["T"]
    for body in ({}, {"jwt": ""}, {"jwt": 5}, b"nonsense", None):
        async with asking(faults={"T": says(body)}) as (_, api):
            with pytest.raises(ReactorError) as unreadable:
                await api.create_session("m")
            assert unreadable.value.code == "DECODE_FAILED"


async def test_a_function_is_asked_before_every_request() -> None:
    tokens = iter(f"t{number}" for number in range(100))
    async with asking(Credentials(jwt=lambda: next(tokens)), faults={"W1": HANGS}) as (server, api):
        session_id = (await api.create_session("m")).descriptor.session_id
        await api.session(session_id)
        await api.end_session(session_id)
        shown = {each.headers["authorization"] for each in server.requests}
        assert len(shown) == len(server.requests) >= 3


async def test_nobody_there_is_a_network_error_that_names_the_place() -> None:
    port = free_port()
    api = Api(f"http://127.0.0.1:{port}", local=True, credentials=Credentials())
    with pytest.raises(ReactorError, match=rf"could not reach 127\.0\.0\.1:{port} \(refused\)") as gone:
        await api.create_session("m")
    assert (gone.value.code, gone.value.component, gone.value.recoverable) == ("NETWORK_ERROR", "api", True)


async def test_a_certificate_that_nobody_vouches_for_is_no_matter_of_the_network(tmp_path: Path) -> None:
    made = make_certificate(tmp_path / "tls", ["IP:127.0.0.1"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made, made.with_name("privkey.pem"))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=tls)
    async with server:
        api = Api(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", local=True, credentials=Credentials())
        with pytest.raises(ReactorError, match=r"TLS: certificate verify failed.*SSL_CERT_FILE") as refused:
            await api.create_session("m")
        await api.aclose()
    assert "check the address and the network" not in refused.value.message


async def test_an_answer_that_does_not_come_is_not_waited_for_for_ever() -> None:
    async with scripted(Script(style="local", faults={"L2": HANGS})) as server:
        http = Http(server.url, direct=True)
        with pytest.raises(ReactorError, match=r"no answer from 127\.0\.0\.1:\d+ in 0\.1 s") as late:
            await http.ask("GET", f"{server.url}/session", headers={}, timeout=0.1)
        assert (late.value.code, late.value.component) == ("REQUEST_TIMEOUT", "api")
        await http.aclose()


async def test_an_answer_without_end_is_cut_off() -> None:
    async with asking(style="local", faults={"L1": Fault(200, b"{", size=1 << 30)}) as (_, api):
        with pytest.raises(ReactorError, match="has more than") as endless:
            await api.create_session("m")
        assert endless.value.code == "DECODE_FAILED"


async def test_a_full_disk_is_no_matter_of_the_network() -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "no space left on device")

    async with scripted(Script(style="local")) as server:
        http = Http(server.url, direct=True)
        with pytest.raises(OSError, match="no space left"):
            await http.ask("GET", f"{server.url}/schema", headers={}, into=Full())
        await http.aclose()


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{", b"nonsense\r\n\r\n"])
async def test_a_connection_that_breaks_is_replaced_once(first: bytes) -> None:
    asked = list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(first if len(asked) % 2 else b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        http = Http(url, direct=True)
        assert (await http.ask("GET", url, headers={})).body == b"{}"
        assert len(asked) == 2
        with pytest.raises(ReactorError) as broken:
            await http.ask("POST", url, headers={}, again=False)
        assert broken.value.code == "NETWORK_ERROR"
        assert len(asked) == 3
        await http.aclose()


async def test_a_token_is_shown_to_our_own_server_only() -> None:
    async with scripted(Script()) as other, asking(Credentials(jwt="secret")) as (server, api):
        await api.get("/clips?session_id=a&start=0&end=1")
        await api.get(f"{server.url}/clips?session_id=a&start=0&end=1")
        await api.get(f"{other.url}/clips?session_id=a&start=0&end=1")
        assert [each.headers.get("authorization") for each in server.of("C1")] == ["Bearer secret"] * 2
        assert [each.headers.get("authorization") for each in other.of("C1")] == [None]
        with pytest.raises(ReactorError) as none:
            await api.get("http://[::1/clips")
        assert none.value.code == "DECODE_FAILED"


async def test_a_proxy_is_asked_for_servers_elsewhere_never_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = list[bytes]()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as listening, scripted(style="local") as server:
        address = listening.sockets[0].getsockname()
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{address[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        http = Http(server.url, direct=True)
        await http.ask("GET", "http://coordinator.example/health", headers={})
        await http.ask("GET", f"{server.url}/session", headers={})
        assert asked == [b"GET http://coordinator.example/health HTTP/1.1\r\n"]
        assert len(server.of("L2")) == 1
        await http.aclose()


async def test_a_slot_is_written_to_without_a_token_and_at_our_runtimes_own_address() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"abc"

    elsewhere = says({"presigned_id": "i", "presigned_url": "http://localhost:1/uploads/x?sig=1", "path": "p"}, 201)
    async with asking(style="local", faults={"U1": elsewhere}) as (server, api):
        slot = await api.reserve_upload("s", name="a", size=3, mime_type="text/plain")
        assert slot.url == f"{server.url}/uploads/x?sig=1"
        assert not slot.takes_pieces, "an official server says nothing of it"
        assert (await api.at_address("PUT", slot.url, headers={"Content-Length": "3"}, content=content())).is_ok
        assert server.uploads["x"] == b"abc"
        assert server.of("U2")[0].headers["content-length"] == "3"
    for body in ({"presigned_id": "i", "presigned_url": "http://[/", "path": "p"}, {}, []):
        async with asking(style="local", faults={"U1": says(body, 201)}) as (_, api):
            with pytest.raises(ReactorError) as unreadable:
                await api.reserve_upload("s", name="a", size=3, mime_type="text/plain")
            assert unreadable.value.code == "DECODE_FAILED"


async def test_a_key_is_exchanged_for_a_token_by_itself() -> None:
    async with scripted(Script()) as server:
        assert await fetch_jwt("rk_1", server.url, models=["m"], expires_after=60) == "token-1"
        assert server.of("T")[0].json["expires_after"] == 60
    with pytest.raises(ValueError, match="rk_"):
        await fetch_jwt("")
    with pytest.raises(ValueError, match="is not the address of a server"):
        await fetch_jwt("rk_1", "ftp://x")


def test_a_client_serves_one_loop_after_another() -> None:
    async def ask(api: Api) -> None:
        async with scripted(Script(style="local"), engine=None) as server:
            api.url = server.url
            await api.create_session("m")

    api = Api("http://127.0.0.1:1", local=True, credentials=Credentials())
    for _ in range(2):
        asyncio.run(ask(api))


async def test_what_is_no_json_is_a_mistake_of_the_caller() -> None:
    async with asking(style="local") as (server, api):
        with pytest.raises(ValueError, match="not finite"):
            await api.create_session("m", session_args={"a": float("nan")})
        assert not server.requests
