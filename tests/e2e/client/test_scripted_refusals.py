"""Every step of a connect refused, garbled, hung or too large.

Against `tests/tools/scripted_server`. `Met.refused` looks at what holds for every failure: nothing is left behind, and
the error that is raised is the one that the event carried.
"""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest

from livereactor import Reactor
from livereactor.client.errors import AuthError, ConnectionFailedError, DecodeFailedError, RateLimitedError
from tests.e2e.client.noting import Noted, are_apart
from tests.e2e.client.scripting import BOUND, met
from tests.tools.script import HANGS, MAIN_VIDEO, Fault, Step, refuses, says
from tests.tools.scripted_server import scripted

COORDINATOR: tuple[Step, ...] = ("S1", "S2", "W1", "W2", "W3", "W4")
LOCAL: tuple[Step, ...] = ("L1", "W1", "W2", "W3", "W4")
STATUSES = (400, 401, 402, 403, 405, 409, 410, 418, 422, 426, 429, 500, 501, 502, 503, 504)
CODES = {  # what is not here is BAD_REQUEST below 500, CONNECTION_FAILED from there on
    401: "UNAUTHORIZED", 403: "FORBIDDEN", 409: "CONFLICT", 426: "VERSION_MISMATCH", 429: "RATE_LIMITED",
    501: "VERSION_MISMATCH",
}  # fmt: skip
BAD_BODIES: tuple[Any, ...] = (b"", b"not json", b"[]", b"null", b'{"session_id": ', b"\xff\xfe\x00", 7, {"other": 1})


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("step", COORDINATOR)
async def test_a_coordinators_refusal_has_its_code_whatever_the_step(step: Step, status: int) -> None:
    async with met(faults={step: refuses(status, {"Retry-After": "7"})}) as them:
        error = await them.refused()
        if (step, status) in (("W2", 405), ("W2", 400), ("W3", 400), ("W2", 410), ("W3", 410), ("W4", 410)):
            return  # the routes or the session may be others: tried again, and then this way or that
        assert error.code == CODES.get(status, "BAD_REQUEST" if status < 500 else "CONNECTION_FAILED")
        assert error.component == "api"
        assert error.status == status
        if status in (429, 500, 502, 503, 504):
            assert error.recoverable
            assert error.retry_after == 7.0
        elif status != 409:
            assert not error.recoverable
        if error.code == "CONNECTION_FAILED":
            assert error.reason == "SERVER_ERROR"
        if step in ("S1", "S2"):
            assert len(them.server.of(step)) == 1


@pytest.mark.parametrize("step", LOCAL)
async def test_a_runtimes_refusal_is_reported_whatever_the_step(step: Step) -> None:
    for status in (400, 401, 422, 426, 429, 500):
        async with met(style="local", faults={step: refuses(status)}) as them:
            error = await them.refused()
            assert error.status == status
            assert error.code == CODES.get(status, "BAD_REQUEST" if status < 500 else "CONNECTION_FAILED")


async def test_without_credentials_a_server_of_ones_own_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "JWT", "LOCAL", "LOCAL_URL", "API_URL"):
        monkeypatch.delenv(f"REACTOR_{name}", raising=False)
        monkeypatch.delenv(f"LIVEREACTOR_{name}", raising=False)
    async with scripted() as server:
        reactor = Reactor("m", api_url=server.url)
        with pytest.raises(AuthError) as caught:
            await reactor.connect()
        assert (caught.value.code, caught.value.component) == ("UNAUTHORIZED", "api")
        assert not caught.value.recoverable
        assert server.steps() == ["S1"]
        reactor.close()


async def test_a_token_that_is_refused_is_tried_once() -> None:
    async with met(faults={"S1": refuses(401)}) as them:
        error = await them.refused()
        assert isinstance(error, AuthError)
        assert (error.code, error.recoverable, error.status) == ("UNAUTHORIZED", False, 401)
        assert them.server.steps() == ["S1"]


async def test_a_key_that_is_refused_asks_for_no_session() -> None:
    async with met(options={"api_key": "rk_secret", "jwt": None}, faults={"T": refuses(401)}) as them:
        error = await them.refused()
        assert isinstance(error, AuthError)
        assert (error.code, error.status) == ("UNAUTHORIZED", 401)
        assert "rk_secret" not in f"{error} {error!r} {them.reactor!r}"
        assert them.server.steps() == ["T"]


async def test_a_dead_address_is_a_network_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    doors: tuple[dict[str, Any], ...] = (
        {"local": f"http://127.0.0.1:{port}"},
        {"api_url": f"http://127.0.0.1:{port}", "jwt": "a token"},
    )
    for options in doors:
        reactor = Reactor("m", **options)
        noted = Noted(reactor)
        started = time.monotonic()
        with pytest.raises(ConnectionFailedError) as caught:
            await reactor.connect()
        assert time.monotonic() - started <= 10.0
        error = caught.value
        assert (error.code, error.reason, error.component) == ("CONNECTION_FAILED", "NETWORK_ERROR", "api")
        assert error.recoverable
        assert str(port) in error.message
        assert noted.statuses == ["connecting", "disconnected"]
        reactor.close()


async def test_an_answer_that_never_comes_is_polled_for_as_often_as_asked() -> None:
    async with met(webrtc=False) as them:
        error = await them.refused(max_attempts=3)
        polls = [each.at for each in them.server.of("W4")]
        gaps = [after - before for before, after in pairwise(polls)]
        assert are_apart(gaps, 0.2, 0.4), gaps
        assert (error.code, error.reason, error.component) == ("CONNECTION_FAILED", "REQUEST_TIMEOUT", "gpu")
        assert error.recoverable
        assert len(them.server.of("S5")) == 1


@pytest.mark.parametrize("step", ["T", *COORDINATOR])
async def test_a_step_that_hangs_is_bounded_by_the_timeout(step: Step) -> None:
    async with met(options={"api_key": "rk_1", "jwt": None}, faults={step: HANGS}) as them:
        started = time.monotonic()
        error = await them.refused(timeout=0.5)
        assert 0.5 <= time.monotonic() - started <= 2.0
        assert (error.code, error.reason) == ("CONNECTION_FAILED", "REQUEST_TIMEOUT")
        assert error.recoverable


@pytest.mark.parametrize("step", ["T", *COORDINATOR])
async def test_a_connect_cancelled_at_any_step_leaves_nothing(step: Step) -> None:
    async with met(options={"api_key": "rk_1", "jwt": None}, faults={step: HANGS}) as them:
        connecting = asyncio.ensure_future(them.reactor.connect())
        await them.server.until(lambda: bool(them.server.of(step)))
        connecting.cancel()
        started = time.monotonic()
        (outcome,) = await asyncio.gather(connecting, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError)
        await them.server.until(lambda: all(each.ended_at is not None for each in them.server.requests), timeout=1.0)
        assert time.monotonic() - started <= 1.0
        assert them.server.open_sessions == []
        assert them.reactor.status == "disconnected"
        assert them.noted.of("error") == []


async def test_an_end_of_a_session_that_hangs_holds_nobody_for_long() -> None:
    async with met(faults={"S5": HANGS}) as them:
        await them.reactor.connect(timeout=BOUND)
        started = time.monotonic()
        await them.reactor.disconnect()
        assert time.monotonic() - started <= 5.5
        assert them.reactor.status == "disconnected"
        assert them.noted.of("error") == []


async def test_a_refused_end_of_a_session_raises_nothing() -> None:
    for status in (400, 401, 404, 409, 500, 503):
        async with met(faults={"S5": refuses(status)}) as them:
            await them.reactor.connect(timeout=BOUND)
            await them.reactor.disconnect()
            assert them.reactor.status == "disconnected"
            assert them.noted.of("error") == []


@pytest.mark.parametrize("step", ["T", "S1", "S2", "W1", "W2", "W4"])
async def test_a_body_that_is_none_of_the_protocol_is_not_decoded(step: Step) -> None:
    for body in BAD_BODIES:
        options = {"api_key": "rk_1", "jwt": None}
        async with met(options=options, faults={step: says(body, 201 if step in ("S1", "W2") else 200)}) as them:
            if step == "W1" and body in (b"", b"null", {"other": 1}):
                continue  # no servers
            error = await them.refused(timeout=3.0)
            assert isinstance(error, DecodeFailedError), body
            assert not error.recoverable


async def test_a_description_of_another_session_is_not_taken_for_ours() -> None:
    other = {"session_id": "other", "state": "WAITING", "selected_transport": {"protocol": "webrtc", "version": "1.0"}}
    async with met(faults={"S2": says({**other, "capabilities": {"protocol_version": "v0", "tracks": []}})}) as them:
        assert isinstance(await them.refused(timeout=3.0), DecodeFailedError)


async def test_tracks_that_we_have_no_word_for_are_left_out() -> None:
    tracks = [
        {"name": "smell", "kind": "smell", "direction": "recvonly"},
        MAIN_VIDEO,
        {"name": "both", "kind": "video", "direction": "sideways"},
    ]
    async with met(tracks=tracks) as them:
        await them.reactor.connect(timeout=BOUND)
        assert [track.name for track in them.reactor.tracks] == ["main_video"]
        assert await them.reactor.track("main_video").read(timeout=5.0) is not None


async def test_a_place_in_the_queue_outlives_a_coordinator_that_is_away_for_a_moment() -> None:
    queued = [{"state": "PENDING", "queue": {"position": 1, "length": 1}}]
    for status in (429, 503):
        away = refuses(status, {"Retry-After": "0.3"}, skip=1, times=2)
        async with met(before_ready=queued, faults={"S2": away}) as them:
            await them.reactor.connect(timeout=BOUND)
            assert len(them.server.of("S1")) == 1
            assert them.noted.of("error") == []


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "nonsense",
        "v=0\r\n",
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n",
        "v=0\r\n" * 100_000,
        "\x00" * 100,
    ],
    ids=["empty", "nonsense", "short", "other sections", "long", "zeros"],
)
async def test_an_answer_that_is_no_description_fails_the_connect(answer: str) -> None:
    async with met(faults={"W4": says({"sdp_answer": answer, "connection_id": 5001})}) as them:
        error = await them.refused(timeout=5.0)
        assert error.code in ("DECODE_FAILED", "CONNECTION_FAILED")


@pytest.mark.parametrize("step", ["S1", "S2", "W1", "W2", "W4"])
async def test_a_body_without_an_end_is_not_read_to_it(step: Step) -> None:
    huge = Fault(200, b'{"session_id": "s", "more": "', {"Content-Type": "application/json"}, size=256 * 1024 * 1024)
    async with met(faults={step: huge}) as them:
        started = time.monotonic()
        error = await them.refused()
        assert time.monotonic() - started <= 5.0
        assert error.code in ("DECODE_FAILED", "CONNECTION_FAILED")


async def test_retry_after_is_read_as_seconds_and_what_is_none_is_no_harm() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    said: dict[str, Any] = {
        "2": 2.0,
        "1.5": 1.5,
        soon: None,  # a date, which no server of the protocol sends
        "soon": None,
        "-3": None,
        "nan": None,
    }
    for header, seconds in said.items():
        async with met(faults={"S1": refuses(429, {"Retry-After": header})}) as them:
            error = await them.refused()
            assert isinstance(error, RateLimitedError)
            assert error.retry_after == seconds, header
            assert len(them.server.of("S1")) == 1


async def test_what_a_server_says_of_its_quota_is_in_the_error() -> None:
    body = {"error": "5 of 5 sessions in use", "quota_type": "concurrent_sessions", "limit": 5, "current": 5}
    async with met(faults={"S1": Fault(429, body, {"Retry-After": "12"})}) as them:
        error = await them.refused()
        assert "5 of 5 sessions in use" in error.message
        assert {name: error.details[name] for name in ("quota_type", "limit", "current")} == {
            "quota_type": "concurrent_sessions", "limit": 5, "current": 5,
        }  # fmt: skip
        assert str(error).startswith("connect: [RATE_LIMITED]")


async def test_a_slow_server_is_waited_for() -> None:
    slow = Fault(delay=0.4)
    async with met(faults=dict.fromkeys(COORDINATOR, slow)) as them:
        await them.reactor.connect(timeout=BOUND)
        assert them.reactor.status == "ready"
