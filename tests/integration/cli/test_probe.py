"""Where a way is broken the probe says at which step, and what to do; what it began it ends."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from livereactor.cli import probe_steps
from livereactor.cli.probe_steps import ProbeStep, ServerTarget, run_probe
from livereactor.client.http.client import HttpAnswer
from tests.tools.nginx import make_certificate
from tests.tools.processes import free_port
from tests.tools.script import HANGS, refuses, says
from tests.tools.scripted_server import scripted

WAY = ["dns", "tcp", "http", "server", "token", "session", "version", "signalling", "ice", "dtls", "channels", "frame"]


async def report(url: str, **options: Any) -> list[ProbeStep]:
    return [step async for step in run_probe(ServerTarget(url, **options))]


def outcomes(steps: list[ProbeStep]) -> dict[str, str]:
    return {step.check: step.status for step in steps}


@asynccontextmanager
async def answering(raw: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that says `raw` to whatever it is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def html(status: str, more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{more}Content-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>".encode()


def token(seconds: float) -> str:
    claims = urlsafe_b64encode(f'{{"exp": {time.time() + seconds}}}'.encode()).decode().rstrip("=")
    return f"e30.{claims}.signature"


async def test_a_port_where_nobody_listens_fails_at_tcp() -> None:
    steps = await report(f"http://127.0.0.1:{free_port()}")
    assert outcomes(steps) == {"dns": "ok", "tcp": "fail"}
    assert "refused" in steps[-1].text
    assert "start the server" in steps[-1].fix


async def test_a_name_that_is_none_fails_at_dns() -> None:
    steps = await report("http://nosuch.invalid")
    assert outcomes(steps) == {"dns": "fail"}


async def test_an_address_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="is not the address of a server"):
        await report("ws://somewhere")


async def test_a_port_without_tls_fails_at_tls() -> None:
    async with answering(html("200 OK")) as port:
        steps = await report(f"https://127.0.0.1:{port}")
    assert outcomes(steps) == {"dns": "ok", "tcp": "ok", "tls": "fail"}
    assert "http://" in steps[-1].fix


async def test_a_certificate_that_nobody_vouches_for_fails_at_tls(tmp_path: Path) -> None:
    made = make_certificate(tmp_path / "tls", ["IP:127.0.0.1"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made, made.with_name("privkey.pem"))
    async with answering(html("200 OK"), tls) as port:
        steps = await report(f"https://127.0.0.1:{port}")
    assert steps[-1].check == "tls"
    assert "self-signed" in steps[-1].text


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
async def test_some_other_web_server_fails_at_http(status: str) -> None:
    async with answering(html(status)) as port:
        steps = await report(f"http://127.0.0.1:{port}")
    assert outcomes(steps) == {"dns": "ok", "tcp": "ok", "http": "fail"}
    assert "not as a Reactor server" in steps[-1].text


async def test_a_redirect_is_said_with_where_it_leads() -> None:
    async with answering(html("301 Moved", "Location: https://elsewhere.example\r\n")) as port:
        steps = await report(f"http://127.0.0.1:{port}")
    assert "https://elsewhere.example" in steps[-1].fix


async def test_a_server_that_says_nothing_fails_at_http() -> None:
    async with answering(b"") as port:
        steps = await report(f"http://127.0.0.1:{port}")
    assert steps[-1].check == "http"
    assert steps[-1].status == "fail"


async def test_the_whole_way_to_an_official_runtime_is_found_good_and_the_session_ended() -> None:
    async with scripted(style="local") as server:
        steps = await report(server.url, local=True)
        assert server.open_sessions == []
    assert [step.check for step in steps] == [*WAY, "end"]
    assert {step.check for step in steps if step.status != "ok"} <= {"http"}  # it has no /health
    assert all(step.took_ms >= 0 for step in steps)


async def test_a_coordinator_without_guests_wants_credentials() -> None:
    async with scripted() as server:
        steps = await report(server.url, model="pond")
    assert (steps[-1].check, steps[-1].status) == ("session", "fail")
    assert "LIVEREACTOR_API_KEY" in steps[-1].fix


async def test_a_coordinator_is_probed_with_a_key_to_the_first_frame() -> None:
    async with scripted() as server:
        steps = await report(server.url, model="pond", api_key="rk_test")
        assert server.open_sessions == []
    assert [step.check for step in steps] == [*WAY, "end"]


async def test_a_refused_key_fails_at_the_token() -> None:
    async with scripted(faults={"T": refuses(401)}) as server:
        steps = await report(server.url, model="pond", api_key="rk_wrong")
    assert (steps[-1].check, steps[-1].status) == ("token", "fail")
    assert "rk_wrong" not in repr(steps)


async def test_an_expired_token_fails_before_it_is_shown() -> None:
    async with scripted() as server:
        steps = await report(server.url, model="pond", jwt=token(-60))
        assert server.of("S1") == []
    assert (steps[-1].check, steps[-1].status) == ("token", "fail")
    assert "expired" in steps[-1].text


async def test_a_coordinator_that_names_no_models_has_to_be_told_one() -> None:
    async with scripted() as server:
        steps = await report(server.url, jwt=token(60))
    assert steps[-1].check == "server"
    assert "and its path" in steps[-1].fix
    assert "name one with --model" in steps[-1].fix


async def test_a_full_coordinator_fails_at_the_session() -> None:
    async with scripted(faults={"S1": refuses(429, {"Retry-After": "7"})}) as server:
        steps = await report(server.url, model="pond", jwt=token(60))
    assert (steps[-1].check, steps[-1].status) == ("session", "fail")
    assert "RATE_LIMITED" in steps[-1].text


async def test_a_session_that_closes_while_it_is_waited_for_fails() -> None:
    async with scripted(before_ready=[{"state": "PENDING"}, {"state": "CLOSED", "end_reason": "error"}]) as server:
        steps = await report(server.url, model="pond", jwt=token(60))
    session = next(step for step in steps if step.check == "session")
    assert session.status == "fail"
    assert "error" in session.text


async def test_an_offer_without_an_answer_fails_at_signalling_and_the_session_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe_steps, "POLLS", 2)
    async with scripted(style="local", webrtc=False) as server:
        steps = await report(server.url, local=True)
        assert server.of("L3")
    signalling = next(step for step in steps if step.check == "signalling")
    assert signalling.status == "fail"
    assert "no answer to the offer" in signalling.text
    assert steps[-1].check == "end"


async def test_an_answer_that_is_none_fails_at_signalling() -> None:
    async with scripted(style="local", faults={"W4": says({"sdp_answer": "v=0"})}) as server:
        steps = await report(server.url, local=True)
    assert next(step for step in steps if step.check == "signalling").status == "fail"


async def test_a_queue_that_does_not_move_is_said_with_the_place_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_steps, "QUEUED", 0.5)
    waiting = [{"state": "PENDING", "queue": {"position": 3, "length": 5}}] * 200
    async with scripted(before_ready=waiting) as server:
        steps = await report(server.url, model="pond", jwt=token(60))
    session = next(step for step in steps if step.check == "session")
    assert "position 3 of 5" in session.text


async def test_candidates_that_cannot_be_sent_do_not_stop_the_probe() -> None:
    async with scripted(style="local", faults={"W5": HANGS}) as server:
        steps = await report(server.url, local=True)
    assert [step.check for step in steps] == [*WAY, "end"]


@pytest.mark.parametrize("models", [5, {"a": 1}, ["m"], [{"id": "m"}], [{"name": None}]])
async def test_a_list_of_models_that_is_none_is_a_step_that_fails(
    models: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = {"/health": {"status": "ok"}, "/session": {}, "/models": {"models": models}}

    async def answered(_: object, path: str) -> HttpAnswer:
        return HttpAnswer(200, {}, json.dumps(bodies[path]).encode())

    monkeypatch.setattr(probe_steps._Probe, "_get", answered)
    async with scripted() as server:
        steps = await report(server.url)
    assert (steps[-1].check, steps[-1].status) == ("server", "fail")
    assert "lists no models" in steps[-1].text
