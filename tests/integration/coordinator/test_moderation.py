"""A coordinator with a moderator asks it for its workers: they know neither its URL nor its secret."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, credential
from livereactor.coordinator.options import CoordinatorOptions, Quotas
from livereactor.engine.memory.engine import MemoryEngine
from livereactor.moderation.function.call import FunctionModerator
from livereactor.moderation.judge import Judge, JudgeBounds
from livereactor.protocol.http import ModerationTerms
from livereactor.protocol.moderated import ROUTE
from livereactor.wiring.moderation import relaying
from tests.integration.coordinator.asking import until
from tests.integration.coordinator.rig import Served, coordinating
from tests.integration.coordinator.test_with_a_worker import connected
from tests.integration.test_moderation import Hook, Painter
from tests.integration.worker.serving import working
from tests.tools.client_side import ClientSide
from tests.tools.memory_blobs import MemoryBlobs


@asynccontextmanager
async def moderated(*, concurrent: int = 0, **terms: Any) -> AsyncGenerator[tuple[Served, MemoryEngine, Hook]]:
    hook, blobs = Hook(), MemoryBlobs()
    options = CoordinatorOptions(quotas=Quotas(concurrent, 0), moderation=ModerationTerms.model_validate(terms))
    judge = Judge(FunctionModerator(hook), JudgeBounds(timeout=5.0, file_bytes=1000))
    async with (
        coordinating(options, models=("painter",), blobs=blobs, judge=judge) as served,
        relaying(served.url, served.secrets.worker) as asking,
        working(Painter, served.url, secret=served.secrets.worker, blobs=blobs, moderation=asking) as work,
    ):

        async def is_ready() -> bool:
            return (await served.http.get("/models")).json()["models"][0]["state"] == "ready"

        await until(is_ready)
        yield served, work.engine, hook


def say(side: ClientSide, command: str, uploads: dict[str, Any] | None = None, **data: Any) -> None:
    body = {"type": command, "data": data} | ({"uploads": uploads} if uploads else {})
    side.send("data", json.dumps({"scope": "application", "data": body}))


async def notice(side: ClientSide) -> dict[str, Any]:
    while True:
        frame = json.loads((await side.receive("data")).data)
        if frame["scope"] == "runtime" and frame["data"]["type"] == "moderation":
            return frame["data"]["data"]


async def answer(side: ClientSide) -> str:
    """The next text that the model answers with."""
    while True:
        frame = json.loads((await side.receive("data")).data)
        if frame["scope"] == "application" and frame["data"]["type"] == "said":
            text = frame["data"]["data"]["text"]
            if not text.startswith(("welcome", "all ")):
                return text


async def end_reason(served: Served, session: str) -> str:
    async def is_over() -> bool:
        return "end_reason" in (await served.http.get(f"/sessions/{session}")).json()

    await until(is_over)
    return (await served.http.get(f"/sessions/{session}")).json()["end_reason"]


async def test_a_prompt_is_judged_through_the_coordinator() -> None:
    async with moderated() as (served, engine, hook):
        session = await served.session("painter")
        side = await connected(served, engine, session)
        say(side, "paint", prompt="a koi")
        say(side, "paint", prompt="refuse")
        told = await notice(side)
        assert (told["action"], told["command"], told["categories"]) == ("warn", "paint", ["rude"])
        say(side, "told")
        seen = await answer(side)
        assert "paint:a koi" in seen
        assert "refuse" not in seen
        asked = hook.asked[0]
        about = {name: asked[name] for name in ("session_id", "account", "model", "command")}
        assert about == {"session_id": session, "account": "acme", "model": "painter", "command": "paint"}
        await side.aclose()


async def test_a_session_that_is_ended_has_the_reason_moderated() -> None:
    async with moderated() as (served, engine, _):
        session = await served.session("painter")
        side = await connected(served, engine, session)
        say(side, "paint", prompt="terminate")
        assert (await notice(side))["action"] == "terminate"
        assert await end_reason(served, session) == "moderated"
        await side.aclose()


async def test_a_file_is_judged_by_the_bytes_that_the_coordinator_has() -> None:
    async with moderated(on_failure="closed") as (served, engine, hook):
        session = await served.session("painter")
        side = await connected(served, engine, session)
        for name, size in (("koi.png", 4), ("refuse.png", 4), ("large.png", 1001)):
            asked = {"name": name, "size": size, "mime_type": "image/png", "upload_id": name}
            slot = (await served.http.post(f"/sessions/{session}/uploads", json=asked)).json()
            assert (await served.http.put(slot["path"], content=b"x" * size)).status_code == 204
            reference = {"upload_id": name, "name": name, "mime_type": "image/png", "size": size}
            say(side, "show", {"picture": reference})
        assert await answer(side) == "koi.png"
        assert (await notice(side))["input_kind"] == "image"
        assert [(each["file"]["name"], each["file"]["data"]) for each in hook.asked] == [
            ("koi.png", b"xxxx"),
            ("refuse.png", b"xxxx"),
        ]
        await side.aclose()


async def test_a_session_is_not_created_with_what_is_refused() -> None:
    async with moderated() as (served, _, hook):
        starting = {"state": {}, "commands": [{"command": "paint", "data": {"prompt": "refuse"}}]}
        for body in ({"starting_input": starting}, {"extra_args": {"prompt": "terminate"}}):
            refused = await served.http.post("/sessions", json={"model": {"name": "painter"}, **body})
            assert (refused.status_code, refused.json()["code"]) == (403, "MODERATED")
        assert (await served.http.get("/sessions")).json()["sessions"] == []
        # Nor can a client choose the terms.
        await served.session("painter", moderation=None, extra_args={"prompt": "a pond"})
        assert hook.texts == ["refuse", "terminate", "a pond"]


async def test_a_worker_asks_for_its_own_sessions_only() -> None:
    async with moderated() as (served, engine, hook):
        session = await served.session("painter")
        side = await connected(served, engine, session)
        body = {"command": "paint", "texts": [{"field": "prompt", "text": "guess"}]}
        other = credential(served.secrets.worker, WorkerIdentity("w-other", "painter"))
        for shown, status in ((other, 404), (served.key, 401), ("wk_wrong", 401), (served.secrets.worker, 200)):
            headers = {"Authorization": f"Bearer {shown}"}
            asked = await served.http.post(ROUTE.format(sid=session), json=body, headers=headers)
            assert asked.status_code == status, asked.text
        assert hook.texts == ["guess"]
        await side.aclose()


async def test_the_largest_command_is_asked_about() -> None:
    async with moderated(on_failure="closed") as (served, engine, hook):
        session = await served.session("painter")
        side = await connected(served, engine, session)
        say(side, "paint", prompt="x" * 250_000)
        say(side, "told")
        assert "x" * 1000 in await answer(side)
        assert len(hook.texts[0]) == 250_000
        await side.aclose()


async def test_whoever_may_not_start_a_session_asks_no_question() -> None:
    async with moderated(concurrent=1) as (served, _, hook):
        body = {"model": {"name": "painter"}, "extra_args": {"prompt": "a pond"}}
        answers = [await served.http.post("/sessions", json=body, headers={"Idempotency-Key": "one"}) for _ in range(3)]
        assert [each.status_code for each in answers] == [201] * 3
        assert len({each.json()["session_id"] for each in answers}) == 1
        over = await served.http.post("/sessions", json=body)
        assert (over.status_code, over.json()["quota_type"]) == (429, "concurrent_sessions")
        missing = await served.http.post("/sessions", json=body | {"model": {"name": "none"}})
        assert missing.status_code == 404
        assert hook.texts == ["a pond"]


async def test_one_account_or_session_asks_a_few_questions_at_a_time() -> None:
    async with moderated() as (served, engine, hook):
        session = await served.session("painter")
        side = await connected(served, engine, session)
        start = {"model": {"name": "painter"}, "extra_args": {"prompt": "a pond"}}
        said = {"command": "paint", "texts": [{"field": "prompt", "text": "a koi"}]}
        secret = {"Authorization": f"Bearer {served.secrets.worker}"}
        for path, body, headers in (
            ("/sessions", start, {}),
            (ROUTE.format(sid=session), said, secret),
        ):
            hook.asked.clear()
            hook.gate.clear()
            asking = {
                asyncio.create_task(served.http.post(path, json=body, headers=headers), name=path) for _ in range(20)
            }
            refused = []
            while len(refused) < 4:
                done, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
                refused += [each.result() for each in done]
            assert {each.status_code for each in refused} == {429}
            assert "4 are asked at a time (moderation_questions); try again in 5 s" in refused[0].json()["error"]
            assert len(hook.asked) <= 4
            hook.gate.set()
            assert {each.status_code for each in await asyncio.gather(*asking)} <= {200, 201}
        await side.aclose()
