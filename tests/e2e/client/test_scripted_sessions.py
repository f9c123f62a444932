"""Sessions of the official protocol in all their turns: waiting, queued, closing, conflicting, dying, lost, ended."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest

from livereactor import Reactor
from livereactor.client.errors import GpuConnectionError, NotReadyError, SessionTerminalError
from livereactor.protocol import messages as m
from livereactor.protocol.messages import WireFormat
from tests.e2e.client.noting import Noted, are_apart
from tests.e2e.client.scripting import BOUND, met, ready
from tests.tools.script import NIL, refuses

FLAT_V0 = {"style": "local", "wire": WireFormat.V0, "flat": True}


@pytest.mark.parametrize(
    "server",
    [
        {},
        {"style": "local", "answer_once": True, "session_id": NIL},
        {"wire": WireFormat.V0},
        {"style": "local", "wire": WireFormat.V0, "session_id": "local"},
        FLAT_V0,
        {"flat": True, "wire": WireFormat.V0},
    ],
    ids=["coordinator", "3.10", "coordinator in JSON", "2.10", "2.10 flat", "flat coordinator"],
)
async def test_every_kind_of_server_serves_us(server: dict[str, Any]) -> None:
    async with ready(**server) as them:
        reactor, script = them.reactor, them.server.script
        assert them.noted.statuses == ["connecting", "waiting", "ready"]
        assert reactor.session_id == (script.session_id or reactor.session_id)
        assert await reactor.track("main_video").read(timeout=5.0) is not None
        reply = await reactor.send_command("echo", {"value": 3})
        if script.wire is WireFormat.V0:  # which has no replies: what is answered is a message like any other
            assert reply is None
            await them.noted.until(lambda: bool(them.noted.of("message")))
        else:
            assert reply == {"type": "echo_reply", "data": {"value": 3}}
        assert {"type": "echo_reply", "data": {"value": 3}} in them.noted.of("message") or reply is not None
        assert them.server.peer.format is script.wire
        assert them.server.peer.garbled == []
        await reactor.disconnect()
        assert them.server.open_sessions == []
        assert them.server.steps()[-1] == ("L3" if script.style == "local" else "S5")
        answers = [each for each in them.server.of("W4", "F4") if each.status == 200]
        assert len(answers) == 1


async def test_requests_say_who_asks_and_show_the_token_where_one_is_wanted() -> None:
    async with ready() as them:
        for each in them.server.requests:
            assert each.headers["authorization"] == "Bearer a token", each.step
            assert each.headers["reactor-api-version"] == "1"
            assert each.headers["reactor-api-accept-version"] == "1"
        (created,) = them.server.of("S1")
        assert created.json["model"] == {"name": "m"}
        assert created.json["client_info"]["sdk_type"].startswith("livereactor")
        assert created.json["client_info"]["sdk_version"]
        assert created.json["supported_transports"] == [{"protocol": "webrtc", "version": "1.0"}]
        for each in them.server.of("W1", "W2", "W3", "W4", "W5"):
            assert each.headers["reactor-webrtc-version"] == "1.0"
    async with ready(style="local") as them:
        assert not any("authorization" in each.headers for each in them.server.requests)


async def test_a_resolver_is_asked_before_every_request() -> None:
    asked: list[int] = []

    async def resolve() -> str:
        asked.append(len(asked))
        return f"token {len(asked)}"

    async with ready(options={"jwt": resolve}) as them:
        shown = [each.headers["authorization"] for each in them.server.requests]
        assert len(set(shown)) == len(shown)


async def test_a_session_that_is_not_ready_is_polled_for_ever_further_apart() -> None:
    words = [{"state": state} for state in ("CREATED", "PENDING", "FROBNICATING", "INACTIVE")]
    async with ready(before_ready=words) as them:
        polls = [each.at for each in them.server.of("S2")]
        gaps = [after - before for before, after in pairwise(polls)]
        assert are_apart(gaps, 0.2, 0.4, 0.8, 1.6), gaps
        assert them.noted.of("error") == []


async def test_while_queued_the_place_is_told_and_commands_are_refused() -> None:
    queued = [
        {"state": "PENDING", "queue": {"position": 2, "length": 3, "estimated_wait": 9.0}},
        {"state": "PENDING", "queue": {"position": 1, "length": 2, "loading": 0.4}},
    ]
    async with met(before_ready=[*queued, queued[1]]) as them:
        waiting = Noted(them.reactor, "waiting_info_changed")
        connecting = asyncio.ensure_future(them.reactor.connect(timeout=BOUND))
        await waiting.until(lambda: them.reactor.queue_position is not None)
        with pytest.raises(NotReadyError):
            await them.reactor.send_command("echo", {})
        assert (them.reactor.queue_position, them.reactor.queue_length, them.reactor.estimated_wait) == (2, 3, 9.0)
        await connecting
        told = [info for info in waiting.of("waiting_info_changed") if info.position is not None]
        assert [(info.position, info.length) for info in told] == [(2, 3), (1, 2)]
        assert them.server.peer.of(m.Command) == []


async def test_a_session_that_is_closed_while_it_is_waited_for_is_tried_once_again_and_then_reported() -> None:
    closed = [{"state": "CLOSED", "end_reason": "error"}] * 50
    async with met(before_ready=closed) as them:
        assert isinstance(await them.refused(), SessionTerminalError)
        assert len(them.server.of("S1")) == 2


async def test_a_session_that_dies_before_its_transport_is_replaced_silently() -> None:
    async with ready(doomed=1) as them:
        assert them.reactor.status == "ready"
        assert len(them.server.of("S1")) == 2
        assert them.noted.of("error") == []
        assert them.noted.statuses[-1] == "ready"
        assert len(them.server.open_sessions) == 1


async def test_a_second_session_that_dies_is_reported() -> None:
    async with met(doomed=2) as them:
        error = await them.refused()
        assert error.code in ("NOT_FOUND", "SESSION_TERMINAL")
        assert len(them.server.of("S1")) == 2


async def test_a_runtime_that_runs_already_is_joined_and_left_alone() -> None:
    async with met(style="local", running=True) as them:
        await them.reactor.connect(timeout=BOUND)
        assert them.server.steps()[:2] == ["L1", "L2"]
        assert await them.reactor.track("main_video").read(timeout=5.0) is not None
        await them.reactor.disconnect()
        assert them.server.of("L3") == []
        assert len(them.server.open_sessions) == 1


async def test_a_runtime_that_is_loading_is_asked_again_when_it_says() -> None:
    async with met(style="local", faults={"L1": refuses(503, {"Retry-After": "1"}, times=2)}) as them:
        started = time.monotonic()
        await them.reactor.connect(timeout=BOUND)
        assert time.monotonic() - started >= 2.0
        assert len(them.server.of("L1")) == 3


async def test_answers_that_are_late_are_polled_for() -> None:
    async with ready(pending=3) as them:
        polls = [each.at for each in them.server.of("W4")]
        gaps = [after - before for before, after in pairwise(polls)]
        assert are_apart(gaps, 0.2, 0.4, 0.8), gaps


async def test_refused_candidates_are_only_logged() -> None:
    for status in (400, 404, 500):
        async with ready(faults={"W5": refuses(status)}) as them:
            assert await them.reactor.track("main_video").read(timeout=5.0) is not None
            assert them.noted.of("error") == []


async def test_a_peer_that_its_server_closes_is_one_error_and_can_be_reconnected() -> None:
    async with ready() as them:
        session = them.reactor.session_id
        await them.server.peer.aclose()
        await them.noted.status("disconnected", timeout=8.0)
        (error,) = them.noted.of("error")
        assert isinstance(error, GpuConnectionError)
        assert (error.code, error.recoverable, error.retry_after) == ("GPU_CONNECTION_ERROR", True, 3)
        assert them.reactor.session_id == session
        await them.reactor.reconnect()
        assert them.reactor.session_id == session
        assert await them.reactor.track("main_video").read(timeout=5.0) is not None
        offers = them.server.of("W3")
        assert [each.method for each in offers] == ["POST", "PUT"]
        assert offers[0].path == offers[1].path
        assert len(them.server.of("S1")) == 1


async def test_a_reconnect_to_a_session_that_is_gone_is_terminal() -> None:
    async with ready() as them:
        await them.reactor.disconnect(recoverable=True)
        them.server.close_sessions()
        with pytest.raises(SessionTerminalError) as caught:
            await them.reactor.reconnect()
        assert not caught.value.recoverable
        assert them.reactor.session_id is None
        assert them.noted.of("error") == [caught.value]


async def test_a_reconnect_that_fails_for_now_keeps_the_session() -> None:
    async with ready(faults={"W3": refuses(503, skip=1, times=4)}) as them:
        session = them.reactor.session_id
        await them.reactor.disconnect(recoverable=True)
        with pytest.raises(Exception, match="503") as caught:
            await them.reactor.reconnect()
        assert getattr(caught.value, "code", None) == "RECONNECTION_FAILED"
        assert getattr(caught.value, "recoverable", None) is True
        assert (them.reactor.status, them.reactor.session_id) == ("disconnected", session)
        while len(them.server.of("W3")) < 5:
            with pytest.raises(Exception, match="503"):
                await them.reactor.reconnect()
        await them.reactor.reconnect()
        assert them.reactor.status == "ready"


async def test_the_answer_to_the_offer_before_is_not_taken_for_the_new_one() -> None:
    for more in ({}, FLAT_V0):
        async with ready(stale=True, **more) as them:
            for _ in range(2):
                await them.reactor.reconnect()
                assert await them.reactor.track("main_video").read(timeout=5.0) is not None


async def test_a_connection_that_cannot_be_come_back_to_is_made_anew() -> None:
    for status in (404, 503):
        async with ready(faults={"W3": refuses(status, skip=1, times=1)}) as them:
            session = them.reactor.session_id
            await them.reactor.disconnect(recoverable=True)
            await them.reactor.reconnect()
            assert them.reactor.session_id == session
            assert len(them.server.of("W2")) == 2
            assert await them.reactor.track("main_video").read(timeout=5.0) is not None


async def test_auto_reconnect_follows_by_itself() -> None:
    async with ready(options={"auto_reconnect": True, "jwt": "a token"}) as them:
        session = them.reactor.session_id
        await them.server.peer.aclose()
        await them.noted.until(lambda: them.noted.statuses[-2:] == ["connecting", "ready"])
        assert them.reactor.session_id == session
        assert len(them.server.of("S1")) == 1


@pytest.mark.parametrize("server", [{}, {"wire": WireFormat.V0}, FLAT_V0], ids=["v1", "v0", "flat"])
async def test_a_session_that_its_server_ends_is_said_to_be_over(server: dict[str, Any]) -> None:
    async with ready(**server) as them:
        await them.reactor.send_command("echo", {}, wait=False)  # so that the server knows our format
        await them.server.until(lambda: bool(them.server.peer.heard))
        them.server.peer.say(m.SessionEnded("maintenance"))
        await them.noted.status("disconnected")
        (ended,) = them.noted.of("session_ended")
        assert ended["reason"] == "maintenance"
        (error,) = them.noted.of("error")
        assert (error.code, error.reason) == ("SESSION_TERMINAL", "maintenance")
        assert them.reactor.session_id is None


async def test_an_adopter_asks_for_no_session_and_ends_none() -> None:
    async with ready() as first:
        server = first.server
        second = Reactor("m", api_url=server.url, jwt="a token")
        asked = len(server.of("S1"))
        await second.connect(session_id=first.reactor.session_id)
        assert await second.track("main_video").read(timeout=5.0) is not None
        await second.disconnect()
        second.close()
        assert len(server.of("S1")) == asked
        assert server.of("S5") == []


async def test_an_unknown_session_cannot_be_adopted() -> None:
    async with met() as them:
        error = await them.refused(session_id="nobody")
        assert error.code == "NOT_FOUND"
        assert them.server.of("S1", "S5") == []


async def test_connections_that_cannot_be_raise_at_the_call() -> None:
    async with met() as them:
        for number in (0, 1000, 10_000, -1):
            with pytest.raises(ValueError, match="1001"):
                await them.reactor.connect(connection_id=number)
        with pytest.raises(ValueError, match="max_attempts"):
            await them.reactor.connect(max_attempts=0)
        assert them.server.requests == []
        assert them.noted.statuses == []
