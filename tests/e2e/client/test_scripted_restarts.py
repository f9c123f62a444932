"""A server that restarts behind a load balancer: what may be asked twice is asked again, and no more than that."""

from __future__ import annotations

import time
from typing import Any

import pytest

from livereactor.client.http import api_errors as again
from livereactor.client.http.credentials import fetch_jwt
from tests.e2e.client.scripting import BOUND, met
from tests.tools.script import Fault, Step, refuses
from tests.tools.scripted_server import scripted

KEY = {"api_key": "rk_1", "jwt": None}
REPEATED: tuple[Step, ...] = ("T", "S1", "S2", "W1")


def in_front(status: int = 502, **how: Any) -> Fault:
    """As nginx says it."""
    page = b"<html><head><title>Bad Gateway</title></head></html>"
    return Fault(status, page, {"Content-Type": "text/html", **how.pop("headers", {})}, **how)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "PAUSES", (0.01, 0.01, 0.01))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("step", REPEATED)
async def test_what_a_proxy_did_not_pass_on_is_asked_again(step: Step, status: int) -> None:
    async with met(options=KEY, faults={step: in_front(status, times=2)}) as them:
        await them.reactor.connect(timeout=BOUND)
        assert them.reactor.status == "ready"
        assert them.noted.of("error") == []
        assert len(them.server.open_sessions) == 1
        made = [each.headers["idempotency-key"] for each in them.server.of("S1")]
        assert len(made) == (3 if step == "S1" else 1)
        assert len(set(made)) == 1, "the server tells by it that it is one and the same session"


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("step", REPEATED[:3])
async def test_one_that_stays_away_is_told_after_four_times(step: Step) -> None:
    async with met(options=KEY, faults={step: in_front(503)}) as them:
        error = await them.refused()
        assert (error.code, error.reason, error.status) == ("CONNECTION_FAILED", "SERVER_ERROR", 503)
        assert error.recoverable
        assert len(them.server.of(step)) == 4


@pytest.mark.parametrize(
    "fault",
    [
        in_front(500),
        in_front(429),
        refuses(502),
        Fault(503, {"error": "no worker serves `m`", "code": "NO_CAPACITY"}, {"Retry-After": "0.1"}),
        in_front(503, headers={"Retry-After": "60"}),
    ],
    ids=["500", "429", "a server's sentence", "a server's code", "in a minute"],
)
@pytest.mark.parametrize("step", ["T", "S1"])
async def test_what_a_server_says_itself_is_told_at_once(step: Step, fault: Fault) -> None:
    async with met(options=KEY, faults={step: fault}) as them:
        assert (await them.refused()).status == fault.status
        assert len(them.server.of(step)) == 1


@pytest.mark.usefixtures("at_once")
async def test_a_proxy_that_says_when_is_not_asked_sooner() -> None:
    async with met(options=KEY, faults={"T": in_front(503, headers={"Retry-After": "0.3"}, times=1)}) as them:
        await them.reactor.connect(timeout=BOUND)
        first, second = them.server.of("T")
        assert second.at - first.at >= 0.3


async def test_to_ask_again_takes_none_of_the_time_that_connect_was_given_for_all() -> None:
    async with met(options=KEY, faults={"T": in_front()}) as them:
        started = time.monotonic()
        error = await them.refused(timeout=0.5)
        assert 0.5 <= time.monotonic() - started <= 2.0
        assert (error.code, error.reason) == ("CONNECTION_FAILED", "REQUEST_TIMEOUT")


@pytest.mark.usefixtures("at_once")
async def test_a_back_ends_exchange_of_its_key_is_asked_again_too() -> None:
    async with scripted(faults={"T": in_front(times=1)}) as server:
        assert await fetch_jwt("rk_1", server.url) == "token-2"
        assert len(server.of("T")) == 2
