"""`/sessions` over HTTP: made, polled, listed, ended, and every refusal as clients read it."""

from __future__ import annotations

import asyncio
import time

import httpx2

from livereactor.base.limits import Limits
from livereactor.coordinator.options import CoordinatorOptions, Quotas
from livereactor.protocol import link
from tests.integration.coordinator.asking import CREATE, UNLIMITED, bearer, creating, key_of, must_be_problem, until
from tests.integration.coordinator.rig import coordinating, working


async def test_a_session_is_told_slim_at_first_and_whole_once_its_worker_accepted() -> None:
    async with coordinating() as served, working(served):
        made = await served.http.post("/sessions", json=CREATE)
        assert made.status_code == 201
        slim = made.json()
        assert (slim["state"], slim["cluster"], slim["model"]["name"]) == ("CREATED", "local", "pond")
        assert isinstance(slim["server_info"]["server_version"], str)
        assert not {"capabilities", "selected_transport", "queue"} & set(slim)
        whole = await served.ready(slim["session_id"])
        assert (whole["state"], whole["selected_transport"]) == ("WAITING", {"protocol": "webrtc", "version": "1.0"})
        assert [each["name"] for each in whole["capabilities"]["tracks"]] == ["main_video"]
        assert isinstance(whole["capabilities"]["commands"][0]["description"], str)
        assert None not in whole.values()


async def test_what_the_model_is_started_with_reaches_its_worker() -> None:
    given = {"extra_args": {"rain": 0.5}, "starting_input": {"state": {"rain": 1}}, "steps": 5, "max_duration": 60}
    async with coordinating() as served, working(served) as worker:
        await served.session(**given)
        assign = await worker.hear(link.Assign)
        assert assign.start["extra_args"] == {"rain": 0.5}
        assert assign.start["starting_input"]["state"] == {"rain": 1}
        assert (assign.start["steps"], assign.start["max_duration"]) == (5, 60)


async def test_a_plain_poll_is_held_until_the_session_is_ready() -> None:
    async with coordinating() as served:
        session = await served.session()
        poll = asyncio.create_task(served.http.get(f"/sessions/{session}"))
        queued = (await served.http.get(f"/sessions/{session}?wait=0")).json()
        assert (queued["state"], queued["queue"]["position"], queued["queue"]["length"]) == ("SUSPENDED", 1, 1)
        assert not poll.done()
        async with working(served):
            assert "capabilities" in (await poll).json()


async def test_a_poll_that_names_a_version_is_answered_at_each_change() -> None:
    async with coordinating() as served:
        first, second = await served.session(), await served.session()
        told = (await served.http.get(f"/sessions/{second}?wait=0")).json()
        assert told["queue"]["position"] == 2
        waiting = asyncio.create_task(served.http.get(f"/sessions/{second}?wait=20&version={told['version']}"))
        assert (await served.http.delete(f"/sessions/{first}")).status_code == 204
        moved = (await waiting).json()
        assert moved["queue"]["position"] == 1
        assert moved["version"] != told["version"]


async def test_a_hold_ends_when_it_was_asked_to() -> None:
    async with coordinating() as served:
        session = await served.session()
        version = (await served.http.get(f"/sessions/{session}?wait=0")).json()["version"]
        for query in ("wait=0.2", f"wait=0.2&version={version}"):
            began = time.monotonic()
            answer = await served.http.get(f"/sessions/{session}?{query}")
            assert (answer.status_code, answer.json()["state"]) == (200, "SUSPENDED")
            assert time.monotonic() - began >= 0.19


async def test_a_hold_is_never_longer_than_the_coordinators() -> None:
    async with coordinating(CoordinatorOptions(quotas=UNLIMITED, hold=0.1)) as served:
        session = await served.session()
        async with asyncio.timeout(10):
            assert (await served.http.get(f"/sessions/{session}?wait=1e9")).status_code == 200


async def test_a_client_that_leaves_its_held_poll_costs_nothing_more() -> None:
    async with coordinating() as served:
        session = await served.session()
        holding = [asyncio.create_task(served.http.get(f"/sessions/{session}")) for _ in range(5)]

        async def are_held(count: int) -> bool:
            return f"livereactor_held_polls {count}.0" in (await served.http.get("/metrics")).text

        await until(lambda: are_held(5))
        for each in holding:
            each.cancel()
        await until(lambda: are_held(0))


async def test_the_same_idempotency_key_makes_one_session_and_another_body_is_422() -> None:
    async with coordinating() as served:
        key = {"Idempotency-Key": "3f6c"}
        answers = [await served.http.post("/sessions", json=CREATE, headers=key) for _ in range(3)]
        assert [each.status_code for each in answers] == [201] * 3
        assert len({each.json()["session_id"] for each in answers}) == 1
        assert len((await served.http.get("/sessions")).json()["sessions"]) == 1
        other = await served.http.post("/sessions", json={**CREATE, "max_duration": 5}, headers=key)
        assert "3f6c" in must_be_problem(other, 422, "IDEMPOTENCY_KEY_REUSED")


async def test_a_list_is_the_callers_own_by_state_and_model_and_page() -> None:
    async with coordinating(models=("pond", "garden")) as served:
        made = [await served.session(), await served.session("garden"), await served.session()]
        theirs = await key_of(served, "other")
        assert (await served.http.post("/sessions", json=CREATE, headers=theirs)).status_code == 201
        await served.http.delete(f"/sessions/{made[0]}")

        async def listed(query: str = "") -> list[str]:
            return [each["session_id"] for each in (await served.http.get(f"/sessions{query}")).json()["sessions"]]

        assert await listed() == made[::-1]
        assert await listed("?state=open") == [made[2], made[1]]
        assert await listed("?state=closed") == [made[0]]
        assert await listed("?model=garden") == [made[1]]
        page = (await served.http.get("/sessions?limit=2")).json()
        rest = (await served.http.get(f"/sessions?limit=2&before={page['next']}")).json()
        assert [each["session_id"] for each in rest["sessions"]] == [made[0]]
        assert "next" not in rest
        ended = rest["sessions"][0]
        assert (ended["state"], ended["end_reason"], "account" in ended) == ("CLOSED", "stopped", False)


async def test_operators_see_everybodys_sessions_with_account_and_worker() -> None:
    async with coordinating(operator=True) as served, working(served):
        theirs = await key_of(served, "other")
        session = (await served.http.post("/sessions", json=CREATE, headers=theirs)).json()["session_id"]
        row = (await served.http.get("/sessions")).json()["sessions"][0]
        assert (row["session_id"], row["account"], row["worker"]) == (session, "other", "w1")


async def test_ending_is_idempotent_frees_the_worker_and_is_told() -> None:
    async with coordinating() as served, working(served) as worker:
        session = await served.session()
        await served.ready(session)
        empty = {"Content-Type": "application/octet-stream", "Content-Length": "0"}  # Python 0.8.0
        assert (await served.http.delete(f"/sessions/{session}", headers=empty)).status_code == 204
        assert (await worker.hear(link.End)).reason == "stopped"
        assert (await served.http.delete(f"/sessions/{session}")).status_code == 204
        told = (await served.http.get(f"/sessions/{session}")).json()
        assert (told["state"], told["end_reason"], "capabilities" in told) == ("CLOSED", "stopped", False)
        assert await served.ready(await served.session())


async def test_a_clients_own_words_are_no_end_reason_and_moderation_is_the_operators() -> None:
    async with coordinating() as served:
        session = await served.session()
        refused = await served.http.request("DELETE", f"/sessions/{session}", json={"moderate": True})
        assert "`admin`" in must_be_problem(refused, 403, "FORBIDDEN")
        ended = await served.http.request("DELETE", f"/sessions/{session}", json={"reason": "lunch"})
        assert ended.status_code == 204
        assert (await served.http.get(f"/sessions/{session}")).json()["end_reason"] == "stopped"


async def test_a_session_that_is_over_restarts_as_little_as_one_that_runs() -> None:
    async with coordinating() as served, working(served):
        session = await served.session()
        await served.ready(session)
        assert (await served.http.put(f"/sessions/{session}")).json()["state"] == "WAITING"
        await served.http.delete(f"/sessions/{session}")
        must_be_problem(await served.http.put(f"/sessions/{session}"), 409, "CONFLICT")


async def test_info_says_inactive_where_a_poll_says_waiting() -> None:
    async with coordinating() as served, working(served) as worker:
        session = await served.session()
        await served.ready(session)
        await worker.phase("orphaned")
        inactive = {"session_id": session, "state": "INACTIVE", "cluster": "local"}

        async def is_inactive() -> bool:
            return (await served.http.get(f"/sessions/{session}/info")).json() == inactive

        await until(is_inactive)
        assert (await served.ready(session))["state"] == "WAITING"


# --- refusals --------------------------------------------------------------------------------------------------------


UNREADABLE = [
    (b"{", "not JSON"),
    (b"\xff", "UTF-8"),
    (b"[]", "not an object"),
    (b"null", "model: field required"),
    (b"", "model: field required"),
    (b'{"model": "pond"}', "model"),
    (b'{"model": {"name": 5}}', "model.name"),
    (b'{"model": {"name": "pond"}, "steps": 0}', "steps"),
    (b'{"model": {"name": "pond"}, "max_duration": -1}', "max_duration"),
    (b'{"model": {"name": "pond"}, "starting_input": {"nope": 1}}', "starting_input.nope"),
    (b'{"model":{"name":"pond"},"extra_args":' + b'{"a":' * 40 + b"1" + b"}" * 41, "nests deeper"),
]


async def test_a_body_that_cannot_be_read_is_400_and_says_where() -> None:
    async with coordinating() as served:
        for raw, said in UNREADABLE:
            answer = await served.http.post("/sessions", content=raw)
            assert said in must_be_problem(answer, 400, "BAD_REQUEST")
        assert (await served.http.get("/sessions")).json() == {"sessions": []}


async def test_who_asks_decides_between_401_403_and_404() -> None:
    async with coordinating() as served, httpx2.AsyncClient(base_url=served.url) as nobody:
        session = await served.session()
        must_be_problem(await nobody.get(f"/sessions/{session}"), 401, "UNAUTHORIZED")
        expired = {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}
        must_be_problem(await nobody.get(f"/sessions/{session}", headers=expired), 401, "UNAUTHORIZED")
        must_be_problem(await nobody.post("/sessions", json=CREATE), 401, "UNAUTHORIZED")
        watching = await bearer(served, scope=["view"])
        assert "`control`" in must_be_problem(
            await nobody.post("/sessions", json=CREATE, headers=watching), 403, "FORBIDDEN"
        )
        assert (await nobody.get(f"/sessions/{session}?wait=0", headers=watching)).status_code == 200
        assert "`control`" in must_be_problem(
            await nobody.delete(f"/sessions/{session}", headers=watching), 403, "FORBIDDEN"
        )
        gardening = await bearer(served, authorization_details=creating("garden"))
        refused = await nobody.post("/sessions", json=CREATE, headers=gardening)
        assert "'pond'; it is for garden" in must_be_problem(refused, 403, "FORBIDDEN")
        for theirs in (await key_of(served, "other"), gardening):
            for path in (f"/sessions/{session}?wait=0", f"/sessions/{session}/info"):
                must_be_problem(await nobody.get(path, headers=theirs), 404, "NOT_FOUND")
            assert (await nobody.delete(f"/sessions/{session}", headers=theirs)).status_code == 204
        assert (await served.http.get(f"/sessions/{session}?wait=0")).json()["state"] == "SUSPENDED"


async def test_no_such_model_and_no_such_session_name_what_there_is() -> None:
    async with coordinating() as served:
        unknown = await served.http.post("/sessions", json={"model": {"name": "pont"}})
        assert "did you mean 'pond'?" in must_be_problem(unknown, 404, "NOT_FOUND")
        missing = await served.http.get("/sessions/ses_nope")
        assert "GET /sessions lists yours" in must_be_problem(missing, 404, "NOT_FOUND")


async def test_a_quota_is_429_with_type_limit_use_and_when_to_come_back() -> None:
    async with coordinating(CoordinatorOptions(quotas=Quotas(2, 0))) as served:
        for _ in range(2):
            await served.session()
        answer = await served.http.post("/sessions", json=CREATE)
        assert must_be_problem(answer, 429, "RATE_LIMITED").startswith("2 of 2 concurrent sessions in use")
        body = answer.json()
        assert (body["quota_type"], body["limit"], body["current"]) == ("concurrent_sessions", 2, 2)
        assert float(answer.headers["retry-after"]) == body["retry_after"] > 0
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert body["recoverable"] is True


async def test_sessions_a_minute_are_429_and_polls_do_not_count() -> None:
    async with coordinating(CoordinatorOptions(quotas=Quotas(0, 10, 3))) as served:
        made = [await served.session() for _ in range(3)]
        for _ in range(10):
            await served.http.get(f"/sessions/{made[0]}?wait=0")
        body = (await served.http.post("/sessions", json=CREATE)).json()
        assert (body["code"], body["quota_type"], body["limit"]) == ("RATE_LIMITED", "sessions_per_minute", 10)
        assert (body["current"], 0 < body["retry_after"] <= 6.0) == (3, True)
        rows = {row["quota_type"]: row for row in (await served.http.get("/quotas")).json()["quotas"]}
        assert (rows["sessions_per_minute"]["current"], rows["sessions_per_minute"]["burst"]) == (3, 3)
        assert rows["concurrent_sessions"] == {"quota_type": "concurrent_sessions", "limit": 0, "current": 3}
        assert rows["connections"]["limit"] == Limits().max_connections


async def test_a_token_that_had_its_sessions_is_403_with_limit_and_use() -> None:
    async with coordinating() as served:
        once = await bearer(served, authorization_details=creating("pond", max_sessions=1))
        made = await served.http.post("/sessions", json=CREATE, headers=once)
        assert made.status_code == 201
        await served.http.delete(f"/sessions/{made.json()['session_id']}", headers=once)
        spent = await served.http.post("/sessions", json=CREATE, headers=once)
        assert spent.status_code == 403
        assert (spent.json()["limit"], spent.json()["current"]) == (1, 1)


async def test_a_model_that_nobody_can_serve_is_503_with_the_reason() -> None:
    async with coordinating() as served:
        served.service.capacity = lambda model: "its last 3 workers failed: no such file"
        answer = await served.http.post("/sessions", json=CREATE)
        assert "its last 3 workers failed" in must_be_problem(answer, 503, "NO_CAPACITY")
        assert answer.headers["retry-after"] == "5"


IMPOSSIBLE = [
    ("/sessions?limit=0", "limit"),
    ("/sessions?limit=501", "limit"),
    ("/sessions?state=nice", "state"),
    ("/sessions?before=-1", "before"),
    ("/sessions/x?wait=soon", "wait"),
    ("/sessions/x?wait=nan", "wait"),
    ("/sessions/x?wait=-1", "wait"),
]


async def test_a_query_that_cannot_be_is_400_and_says_which() -> None:
    async with coordinating() as served:
        for path, said in IMPOSSIBLE:
            assert must_be_problem(await served.http.get(path), 400, "BAD_REQUEST").startswith(f"{said}: ")
