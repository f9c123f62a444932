"""What holds for every route: CORS, request ids, sizes, methods, unknown paths, rates, and what is logged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
import structlog

from livereactor.base.limits import Limits
from livereactor.coordinator.options import CoordinatorOptions, Rates
from livereactor.store.memory.store import MemoryStore
from livereactor.web.rates import ALLOWED
from tests.integration.coordinator.asking import CREATE, UNLIMITED, bearer, must_be_problem
from tests.integration.coordinator.rig import Served, coordinating, working

ASKED = "authorization, content-type, reactor-api-version, reactor-api-accept-version, reactor-webrtc-version"
ELSEWHERE = {"X-Forwarded-For": "192.0.2.7"}


async def raw(served: Served, request: bytes) -> bytes:
    """What the server says to bytes that no client of ours would send."""
    name, _, port = served.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_page_of_any_origin_may_ask_and_read_errors_too() -> None:
    async with coordinating() as served, httpx2.AsyncClient(base_url=served.url) as page:
        origin = {"Origin": "https://studio.example"}
        asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": ASKED}
        preflight = await page.options("/sessions", headers={**origin, **asking})
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert preflight.headers["access-control-max-age"] == "600"
        allowed = {each.strip().lower() for each in preflight.headers["access-control-allow-headers"].split(",")}
        assert {*ASKED.split(", "), "reactor-api-key", "idempotency-key", "traceparent", "tracestate"} <= allowed
        methods = preflight.headers["access-control-allow-methods"]
        assert all(each in methods for each in ("GET", "POST", "PUT", "DELETE", "OPTIONS"))
        assert "access-control-allow-credentials" not in preflight.headers
        refused = await page.get("/sessions", headers=origin)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "*"
        assert {"Retry-After", "X-Request-Id"} <= set(refused.headers["access-control-expose-headers"].split(", "))


async def test_a_page_on_a_public_site_may_reach_a_private_address() -> None:
    async with coordinating() as served:
        asking = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Private-Network": "true"}
        answer = await served.http.options("/sessions", headers=asking)
        assert answer.headers["access-control-allow-private-network"] == "true"


async def test_a_request_id_is_echoed_or_made_and_stands_in_the_log_with_the_session() -> None:
    async with coordinating() as served:
        with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as records:
            named = await served.http.post("/sessions", json=CREATE, headers={"X-Request-Id": "mine-1"})
        assert named.headers["x-request-id"] == "mine-1"
        created = next(each for each in records if each["event"] == "session created")
        assert (created["request_id"], created["session"]) == ("mine-1", named.json()["session_id"])
        for unfit in ("", "a b", "x" * 65):
            made = (await served.http.get("/health", headers={"X-Request-Id": unfit})).headers["x-request-id"]
            assert made != unfit
            assert len(made) == 16


async def test_bodies_over_the_limit_are_413_however_they_come() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    async with coordinating() as served:
        contents: list[bytes | AsyncIterator[bytes]] = [b" " * (Limits().json_body_bytes + 1), chunks()]
        for content in contents:
            answer = await served.http.post("/sessions", content=content)
            assert str(Limits().json_body_bytes) in must_be_problem(answer, 413, "MESSAGE_TOO_LARGE")
        assert (await served.http.post("/sessions", content=b" " * 60_000)).status_code == 400


async def test_no_header_and_no_path_brings_it_down() -> None:
    async with coordinating() as served:
        for request in (
            b"GET /sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
            b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"NONSENSE\r\n\r\n",
            b"POST /sessions HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\nConnection: close\r\n\r\n",
            b"POST /sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\nConnection: close\r\n\r\n",
            b"GET /sessions/%00%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ):
            answer = await raw(served, request)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:100]
        assert (await served.http.get("/health")).status_code == 200


async def test_unknown_paths_name_the_nearest_and_wrong_methods_the_right_ones() -> None:
    async with coordinating() as served:
        assert "did you mean /sessions?" in must_be_problem(await served.http.get("/sesions"), 404, "NOT_FOUND")
        nothing = await served.http.get("/zzz")
        assert "GET /openapi.json lists them" in must_be_problem(nothing, 404, "NOT_FOUND")
        wrong = await served.http.patch("/sessions")
        assert "use GET, POST" in must_be_problem(wrong, 405, "BAD_REQUEST")
        assert wrong.headers["allow"] == "GET, POST"
        assert (
            await served.http.get(f"{served.url}//sessions")
        ).status_code == 200  # JavaScript 2.9.0 with a slash too many


async def test_an_error_that_nobody_foresaw_is_500_with_the_id_that_the_log_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret place")

    async with coordinating() as served:
        monkeypatch.setattr(served.service.queries, "sessions", broken)
        with structlog.testing.capture_logs() as records:
            answers = [await served.http.get("/sessions") for _ in range(5)]
        said = must_be_problem(answers[0], 500, "INTERNAL_ERROR")
        assert answers[0].headers["x-request-id"] in said
        assert "secret place" not in said
        logged = [each for each in records if each["event"] == "request failed"]
        assert [each["request_id"] for each in logged] == [answers[0].headers["x-request-id"]]


async def test_requests_without_a_token_are_counted_by_address_and_this_machine_is_not() -> None:
    options = CoordinatorOptions(quotas=UNLIMITED, rates=Rates(anonymous=5, creating=0))
    async with coordinating(options) as served, httpx2.AsyncClient(base_url=served.url) as nobody:
        for _ in range(5):
            assert (await nobody.get("/health", headers=ELSEWHERE)).status_code == 200
        answer = await nobody.get("/health", headers=ELSEWHERE)
        said = must_be_problem(answer, 429, "RATE_LIMITED")
        assert said.startswith("5 of 5 requests without a token a minute came from this address")
        body = answer.json()
        assert (body["quota_type"], body["limit"], body["current"]) == ("requests_per_minute", 5, 5)
        assert float(answer.headers["retry-after"]) == body["retry_after"]
        assert (await nobody.get("/health", headers={"X-Forwarded-For": "192.0.2.8"})).status_code == 200
        assert (await nobody.get("/health")).status_code == 200
        assert (await served.http.get("/sessions", headers=ELSEWHERE)).status_code == 200


@pytest.mark.parametrize(
    "shown",
    [
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic dTpw"},
        {"Reactor-API-Key": "rk_" + "x" * 33},
        {"X-API-Key": "x"},
    ],
    ids=str,
)
async def test_credentials_that_are_none_count_as_none(shown: dict[str, str]) -> None:
    options = CoordinatorOptions(quotas=UNLIMITED, rates=Rates(anonymous=5, creating=0))
    async with coordinating(options) as served, httpx2.AsyncClient(base_url=served.url) as nobody:
        answers = [await nobody.get("/health", headers={**ELSEWHERE, **shown}) for _ in range(6)]
        assert [each.status_code for each in answers] == [200] * 5 + [429]
        for right in (
            {"Authorization": f"Bearer {served.key}"},
            {"Authorization": f"Bearer {await served.token()}"},
        ):
            answer = await nobody.get("/health", headers={**ELSEWHERE, **right})
            assert answer.status_code == 200, answer.text
        worker = {**ELSEWHERE, "Authorization": f"Bearer {served.secrets.worker}"}
        assert (await nobody.get("/internal/blobs/recordings/a", headers=worker)).status_code == 404


async def test_a_wrong_key_is_looked_up_and_counted_once_a_request() -> None:
    async with coordinating() as served, httpx2.AsyncClient(base_url=served.url) as nobody:
        wrong = {**ELSEWHERE, "X-API-Key": "rk_" + "x" * 33}
        answers = [await nobody.get("/quotas", headers=wrong) for _ in range(ALLOWED + 1)]
        assert [each.status_code for each in answers] == [401] * ALLOWED + [429]


async def test_what_creates_is_counted_by_address_and_signalling_is_not() -> None:
    options = CoordinatorOptions(quotas=UNLIMITED, rates=Rates(anonymous=0, creating=4))
    async with coordinating(options) as served, working(served):
        session = await served.session()
        await served.ready(session)
        answers = [await served.http.post("/sessions", json=CREATE, headers=ELSEWHERE) for _ in range(5)]
        assert [each.status_code for each in answers] == [201] * 4 + [429]
        must_be_problem(answers[-1], 429, "RATE_LIMITED")
        tokens = await served.http.post("/tokens", headers={**ELSEWHERE, "Reactor-API-Key": served.key})
        assert tokens.status_code == 429
        base = f"/sessions/{session}/transport/webrtc/connections/5001"
        for _ in range(10):
            sent = await served.http.post(f"{base}/ice_candidates", json={"candidates": []}, headers=ELSEWHERE)
            assert sent.status_code == 200
        assert (await served.http.delete(f"/sessions/{session}", headers=ELSEWHERE)).status_code == 204


async def test_a_client_that_flaps_is_told_of_once_in_a_while() -> None:
    async with coordinating() as served:
        served.service.capacity = lambda model: "all workers failed"
        with structlog.testing.capture_logs() as records:
            for _ in range(30):
                assert (await served.http.post("/sessions", json=CREATE)).status_code == 503
        kinds = [each["event"] for each in records if each["log_level"] != "debug"]
        assert len(kinds) == len(set(kinds))


async def test_no_credential_reaches_a_log_or_an_error() -> None:
    async with coordinating() as served, working(served):
        with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as records:
            shown = await bearer(served)
            session = await served.session()
            await served.ready(session)
            koi = {"name": "koi", "size": 5, "mime_type": "image/jpeg"}
            slot = (await served.http.post(f"/sessions/{session}/uploads", json=koi)).json()
            answers = [
                await served.http.get("/admin/overview", headers=shown),
                await served.http.put(slot["path"].replace("sig=", "sig=x"), content=b"12345"),
                await served.http.get("/sessions/x", headers={"Authorization": shown["Authorization"] + "x"}),
                await served.http.get("/workers/link", headers={"Authorization": f"Bearer {served.secrets.worker}"}),
            ]
        said = json.dumps(records, default=str) + "".join(each.text for each in answers)
        signature = slot["path"].rpartition("sig=")[2]
        token = shown["Authorization"].removeprefix("Bearer ")
        assert [each for each in (served.key, token, signature, served.secrets.worker) if each in said] == []


async def test_a_hundred_clients_at_once_are_all_answered() -> None:
    async with coordinating(store=MemoryStore()) as served:
        made = await asyncio.gather(*(served.session() for _ in range(100)))
        places = await asyncio.gather(*(served.http.get(f"/sessions/{each}?wait=0") for each in made))
        assert sorted(each.json()["queue"]["position"] for each in places) == list(range(1, 101))
