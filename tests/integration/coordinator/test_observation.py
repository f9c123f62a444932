"""Health, metrics, limits, quotas, models and the journal over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import fields
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from livereactor.base.limits import Limits
from livereactor.coordinator.http.routes.observation import FOLLOWERS
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import StoreUnavailableError
from livereactor.store.records import ModelRecord
from tests.integration.coordinator.asking import bearer, must_be_problem, until
from tests.integration.coordinator.rig import SPEC, FakeWorker, Served, coordinating, dialled, hello, working

HEALTHY = {"status": "healthy", "service": "coordinator"}
ELSEWHERE = {"X-Forwarded-For": "192.0.2.7"}


class FrailStore(MemoryStore):
    """Can be away."""

    away = False

    async def read(self, work: Any) -> Any:
        if self.away:
            raise StoreUnavailableError("gone")
        return await super().read(work)

    async def transact(self, work: Any) -> Any:
        if self.away:
            raise StoreUnavailableError("gone")
        return await super().transact(work)


async def test_health_says_whether_sessions_can_be_made_and_whether_any_are() -> None:
    store = FrailStore()
    async with coordinating(store=store) as served, working(served), httpx2.AsyncClient(base_url=served.url) as nobody:
        assert (await nobody.get("/health")).json() == HEALTHY | {"state": "available"}
        session = await served.session()
        await served.ready(session)
        assert (await nobody.get("/health")).json() == HEALTHY | {"state": "serving"}
        store.away = True
        away = await nobody.get("/health")
        assert (away.status_code, away.headers["retry-after"], away.json()["status"]) == (503, "1", "unhealthy")
        must_be_problem(await served.http.get("/quotas"), 503, "store_unavailable")
        assert (await nobody.get("/metrics")).status_code == 200
        store.away = False
        assert (await nobody.get("/health")).json()["status"] == "healthy"


async def test_metrics_are_prometheus_text_for_this_machine_and_for_operators() -> None:
    async with coordinating(operator=True) as served, httpx2.AsyncClient(base_url=served.url) as nobody:
        session = await served.session()
        text = (await nobody.get("/metrics")).text
        families = {each.name: each for each in text_string_to_metric_families(text)}
        assert {"livereactor_queue_length", "livereactor_workers", "livereactor_held_polls"} <= set(families)
        assert session not in text
        assert "acme" not in text
        must_be_problem(await nobody.get("/metrics", headers=ELSEWHERE), 401, "UNAUTHORIZED")
        for foreign in ({"Origin": "https://evil.example"}, {"Host": "rebound.example"}, {"X-Real-IP": "203.0.113.9"}):
            must_be_problem(await nobody.get("/metrics", headers=foreign), 401, "UNAUTHORIZED")
        plain = await bearer(served)
        must_be_problem(await nobody.get("/metrics", headers={**ELSEWHERE, **plain}), 403, "FORBIDDEN")
        assert (await served.http.get("/metrics", headers=ELSEWHERE)).status_code == 200


async def test_limits_are_all_there_for_everybody() -> None:
    async with coordinating(CoordinatorOptions()) as served, httpx2.AsyncClient(base_url=served.url) as nobody:
        told = (await nobody.get("/limits")).json()
        assert {each.name for each in fields(Limits)} <= set(told)
        # The bounds that a coordinator keeps.
        expected = {
            "concurrent_sessions": 5,
            "sessions_per_minute": 10,
            "session_burst": 3,
            "max_connections": 4,
            "max_session_duration": 1200,
            "reconnection_window": 30,
            "unclaimed_window": 60,
            "token_lifetime": 21_600,
            "upload_bytes": 100 * 1024 * 1024,
            "upload_session_bytes": 500 * 1024 * 1024,
            "upload_url_lifetime": 900,
            "message_bytes": 256 * 1024,
            "client_silence": 20,
            "steps": 10_000,
            "anonymous_per_minute": 600,
            "creations_per_minute": 240,
        }
        assert {name: told[name] for name in expected} == expected


async def test_models_say_how_soon_they_would_be_there() -> None:
    async with coordinating(models=("pond", "garden")) as served, httpx2.AsyncClient(base_url=served.url) as nobody:
        kept_ready = ModelRecord("warm", "1", SPEC, max_workers=1, min_ready=1)
        for record in (ModelRecord("alone", "1", SPEC, max_workers=0), kept_ready):
            await served.store.transact(lambda tx, record=record: tx.put_model(record))
        failing = "its last 3 workers failed"
        served.service.capacity = lambda model: failing if model == "garden" else None

        async def told() -> dict[str, dict[str, Any]]:
            return {each["name"]: each for each in (await nobody.get("/models")).json()["models"]}

        found = await told()
        assert list(found) == ["alone", "garden", "pond", "warm"]
        assert {name: each["state"] for name, each in found.items()} == {
            "alone": "failed",
            "garden": "failed",
            "pond": "cold",
            "warm": "starting",
        }
        assert (found["garden"]["text"], found["pond"]["description"]) == (failing, "Rain on a pond.")
        async with dialled(served) as socket:
            worker = FakeWorker(socket, "w1", "a" * 16, 1)
            await worker.say(hello(worker).model_copy(update={"state": "starting"}))
            await worker.say(link.Beat(number=1, state="starting", progress=0.5, text="weights", slots=[]))

            async def is_loading() -> bool:
                pond = (await told())["pond"]
                return (pond["state"], pond.get("progress"), pond.get("text")) == ("starting", 0.5, "weights")

            await until(is_loading)
        async with working(served, name="w2"):
            pond = (await told())["pond"]
            assert (pond["state"], pond["in_use"]) == ("ready", False)
            await served.session()
            pond = (await told())["pond"]
            assert (pond["state"], pond["in_use"], pond["queue_length"]) == ("ready", True, 0)
            await served.session()
            assert (await told())["pond"]["queue_length"] == 1


async def test_a_schema_is_told_with_and_without_owner_to_who_may_use_the_model() -> None:
    async with coordinating() as served, httpx2.AsyncClient(base_url=served.url) as nobody:
        for name in ("pond", "acme/pond"):
            assert (await served.http.get(f"/models/{name}/schema")).json() == SPEC["schema"]
        must_be_problem(await nobody.get("/models/pond/schema"), 401, "UNAUTHORIZED")
        detail = [{"type": "session", "resources": {"models": {"match": ["garden"]}}}]
        other = await bearer(served, authorization_details=detail)
        must_be_problem(await nobody.get("/models/pond/schema", headers=other), 404, "NOT_FOUND")
        await served.store.transact(lambda tx: tx.put_model(ModelRecord("new", "1", {}, max_workers=1)))
        assert "unknown until" in must_be_problem(await served.http.get("/models/new/schema"), 404, "NOT_FOUND")


# --- the journal -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def journal(served: Served, query: str = "", **headers: str) -> AsyncGenerator[AsyncIterator[tuple[int, Any]]]:
    """Events as (id, body)."""
    async with served.http.stream("GET", f"/events{query}", headers=headers) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        async with aclosing(_events(answer)) as events:
            yield events


async def _events(answer: httpx2.Response) -> AsyncGenerator[tuple[int, Any]]:
    number = 0
    async for line in answer.aiter_lines():
        kind, _, rest = line.partition(": ")
        if kind == "id":
            number = int(rest)
        elif kind == "data":
            yield number, json.loads(rest)


async def take(events: AsyncIterator[tuple[int, Any]], count: int) -> list[tuple[int, Any]]:
    async with asyncio.timeout(10):
        return [await anext(events) for _ in range(count)]


async def test_the_journal_tells_what_was_and_what_comes_and_goes_on_behind_an_id() -> None:
    async with coordinating(operator=True) as served:
        first = await served.session()
        async with journal(served) as events:
            (number, made), *_ = await take(events, 1)
            assert (made["session_id"], made["account"]) == (first, "acme")
            assert made["type"] == "session.created"
            assert isinstance(made["ts"], int)
            second = await served.session()  # while somebody listens
            (later, _), *_ = [(await take(events, 1))[0]]
            assert later > number
            await served.http.delete(f"/sessions/{first}")
            ended = await take(events, 1)
            assert (ended[0][1]["type"], ended[0][1]["session_id"]) == ("session.ended", first)
        async with journal(served, **{"Last-Event-ID": str(number)}) as again:
            assert (await take(again, 1))[0][1]["session_id"] == second
        async with journal(served, f"?since={later}") as again:
            assert (await take(again, 1))[0] == ended[0]


async def test_the_journal_is_for_operators_and_for_so_many() -> None:
    async with coordinating(operator=True) as served:
        plain = await bearer(served)
        must_be_problem(await served.http.get("/events", headers=plain), 403, "FORBIDDEN")
        async with httpx2.AsyncClient(base_url=served.url) as nobody:
            must_be_problem(await nobody.get("/events"), 401, "UNAUTHORIZED")
        must_be_problem(await served.http.get("/events?since=x"), 400, "BAD_REQUEST")
        async with AsyncExitStack() as reading:
            answers = [
                await reading.enter_async_context(served.http.stream("GET", "/events")) for _ in range(FOLLOWERS)
            ]
            followed = [each.aiter_lines() for each in answers]
            for lines in followed:
                await anext(lines)
            full = await served.http.get("/events")
            assert f"{FOLLOWERS} of {FOLLOWERS}" in must_be_problem(full, 429, "RATE_LIMITED")

        async def has_room() -> bool:
            async with served.http.stream("GET", "/events") as answer:
                return answer.status_code == 200

        await until(has_room)
