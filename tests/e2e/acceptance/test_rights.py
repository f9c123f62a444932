"""Tokens and quotas: what they allow through `livereactor serve`, with official clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.tools.browser import BrowserClients
from tests.tools.drivers import Client, ClientError, PythonClients
from tests.tools.fixtures import SMALL
from tests.tools.processes import REPOSITORY
from tests.tools.serving import Coordinator, livereactor_serve, operate

pytestmark = pytest.mark.asyncio(loop_scope="module")
LEAD = 2.0  # seconds before the end at which clients are told


@pytest.fixture(scope="module")
def server(network: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    """Two models, of which one is used."""
    targets = [REPOSITORY / "examples/conformance.py", REPOSITORY / "examples/pond.py"]
    settings = {**SMALL, "LIVEREACTOR_RUNTIME__TIME_WARNING": f"{LEAD:g}"}
    log_path = tmp_path_factory.mktemp("coordinator") / "log"
    arguments = ("--min-ready", "0", "--max-workers", "2")
    with livereactor_serve(targets, log_path=log_path, environment=settings, arguments=arguments) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(network: bool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrowserClients]:
    async with BrowserClients.started(tmp_path_factory.mktemp("page")) as clients:
        yield clients


def scoped(model: str, **constraints: int) -> list[dict[str, Any]]:
    """`authorization_details` for one model."""
    return [{"type": "session", "resources": {"models": {"match": [model]}}, "constraints": constraints}]


def customer(server: Coordinator, account: str, *limits: str) -> str:
    """A key of an account of its own."""
    made = operate(server.data_dir, "keys", "create", "--account", account, *limits, environment=server.environment)
    return str(made["key"])


@asynccontextmanager
async def made(clients: PythonClients | BrowserClients, server: Coordinator, **options: Any) -> AsyncIterator[Client]:
    client = await clients.new(server.url, **options)
    try:
        yield client
    finally:
        await client.ask("drop")


async def refused(client: Client, **options: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        await client.connect(**options)
    return caught.value


def ended(server: Coordinator, key: str) -> None:
    """No session of this key's account is open any more."""
    _, listed = server.call("GET", "/sessions?state=open", token=key)
    for each in listed["sessions"]:
        assert server.call("DELETE", f"/sessions/{each['session_id']}", token=key)[0] == 204


async def test_a_token_says_when_it_ends_and_ends_then(server: Coordinator, python_clients: PythonClients) -> None:
    for asked, granted in ((60, 60), (99_999, 21_600)):
        status, answer = server.call("POST", "/tokens", {"expires_after": asked})
        assert status == 200
        assert answer["expires_at"] == pytest.approx(time.time() + granted, abs=5.0)
    _, short = server.call("POST", "/tokens", {"expires_after": 1})
    server.wait_until(lambda: server.call("GET", "/sessions", token=short["jwt"])[0] == 401, timeout=10.0)
    assert time.time() >= short["expires_at"]
    async with made(python_clients, server, jwt=short["jwt"]) as client:
        error = await refused(client)
    assert (error.code, error.fields["status"], error.fields["recoverable"]) == ("UNAUTHORIZED", 401, False)
    assert "expired" in error.message


async def test_a_token_reaches_its_model_and_makes_its_sessions_and_no_more(
    server: Coordinator, python_clients: PythonClients
) -> None:
    token = server.token(authorization_details=scoped("conformance", max_sessions=1))
    status, answer = server.call("POST", "/sessions", {"model": {"name": "pond"}}, token=token)
    assert status == 403
    assert "pond" in answer["error"]
    async with made(python_clients, server, jwt=token) as first, made(python_clients, server, jwt=token) as second:
        await first.connect()
        error = await refused(second)
    assert (error.code, error.fields["status"]) == ("UNAUTHORIZED", 403)  # its word for what is 401 or 403
    status, answer = server.call("POST", "/sessions", {"model": {"name": "conformance"}}, token=token)
    assert (status, answer["limit"], answer["current"]) == (403, 1, 1)


async def test_a_viewer_sees_and_does_nothing(server: Coordinator, python_clients: PythonClients) -> None:
    async with made(python_clients, server, api_key=server.key) as owner:
        session = (await owner.connect())["session"]
        status, share = server.call("POST", f"/sessions/{session}/share", {"expires_after": 60})
        assert status == 200, share
        async with made(python_clients, server, jwt=share["jwt"]) as viewer:
            await viewer.connect(session_id=session)
            assert (await viewer.frames(10))["count"] >= 10
            with pytest.raises(ClientError) as command:
                await viewer.command("set_prompt", prompt="mine")
            with pytest.raises(ClientError) as publishing:
                await viewer.ask("publish")
            assert (command.value.code, publishing.value.code) == ("FORBIDDEN", "FORBIDDEN")
            assert "may only watch" in command.value.message
        assert (await owner.command("get_state"))["data"]["prompt"] == ""
        assert (await owner.frames(5))["count"] >= 5


async def test_the_sixth_session_at_once_is_refused_until_one_ends(
    server: Coordinator, python_clients: PythonClients, page: BrowserClients
) -> None:
    key = customer(server, "five", "--sessions-per-minute", "0")
    sessions = [server.create(token=key)["session_id"] for _ in range(5)]
    status, answer = server.call("POST", "/sessions", {"model": {"name": "conformance"}}, token=key)
    assert status == 429
    named = {name: answer[name] for name in ("quota_type", "limit", "current")}
    assert named == {"quota_type": "concurrent_sessions", "limit": 5, "current": 5}
    assert answer["retry_after"] > 0
    async with made(python_clients, server, api_key=key) as client:
        error = await refused(client)
    assert (error.code, error.fields["recoverable"], error.fields["status"]) == ("RATE_LIMITED", True, 429)
    assert "5 of 5" in error.message
    _, token = server.call("POST", "/tokens", token=key)
    async with made(page, server, jwt=token["jwt"]) as client:
        assert "5 of 5" in (await refused(client)).message
    assert server.call("DELETE", f"/sessions/{sessions[0]}", token=key)[0] == 204
    server.create(token=key)
    ended(server, key)


async def test_new_sessions_a_minute_are_refused_with_the_time_after_which_one_is_taken(
    server: Coordinator, python_clients: PythonClients
) -> None:
    """Journey B3.7: three at once are taken, of ten a minute."""
    key = customer(server, "eager", "--max-sessions", "0")
    refusals: list[dict[str, Any]] = []
    for _ in range(12):
        status, answer = server.call("POST", "/sessions", {"model": {"name": "pond"}}, token=key)
        if status == 429:
            refusals.append(answer)
    assert len(refusals) >= 8  # while twelve are asked for, one more may have become free
    assert {each["quota_type"] for each in refusals} == {"sessions_per_minute"}
    assert {each["limit"] for each in refusals} == {10}
    assert all(0 < each["retry_after"] <= 6.0 for each in refusals)
    async with made(python_clients, server, api_key=key) as client:
        error = await refused(client)
    assert (error.code, error.fields["recoverable"]) == ("RATE_LIMITED", True)
    ended(server, key)


async def test_a_session_is_warned_of_its_end_and_ends_then(
    server: Coordinator, page: BrowserClients, python_clients: PythonClients
) -> None:
    lasts = 10  # seconds, of which a busy machine needs some to be there
    token = server.token(authorization_details=scoped("conformance", max_session_duration_seconds=lasts))
    async with made(page, server, jwt=token) as client:
        await client.connect()
        session = (await client.state())["session"]
        view = server.call("GET", f"/sessions/{session}", token=token)[1]
        await poll(server, session, lambda seen: seen["state"] == "CLOSED")
        told = (await client.state())["runtime_messages"]
    (record,) = [each for each in server.call("GET", "/sessions")[1]["sessions"] if each["session_id"] == session]
    assert record["end_reason"] == "max_duration"
    assert record["ended_at"] == pytest.approx(record["expires_at"], abs=0.5)
    assert view["expires_at"] == record["expires_at"]
    assert [each["data"] for each in told if each["type"] == "timeWarning"] == [{"seconds": LEAD}]


async def test_a_worker_with_a_wrong_secret_is_refused_and_the_log_calls_it_no_error(server: Coordinator) -> None:
    wrong = {"Authorization": "Bearer not-the-secret"}
    for _ in range(3):
        with pytest.raises(InvalidStatus) as refusal:
            await connect(server.url.replace("http", "ws") + "/workers/link", additional_headers=wrong)
        assert refusal.value.response.status_code == 401
    assert "ERROR" not in server.log()


async def poll(server: Coordinator, session: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Long poll after long poll, until the session is so."""
    version = ""
    async with asyncio.timeout(60):
        while True:
            path = f"/sessions/{session}?wait=20&version={version}"
            _, view = await asyncio.to_thread(server.call, "GET", path)
            if condition(view):
                return view
            version = view["version"]
