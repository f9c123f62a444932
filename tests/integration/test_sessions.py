"""Sessions over HTTP: starting, coming back, ending, and what is told meanwhile."""

from __future__ import annotations

import asyncio
import re

import pytest

from livereactor.base.limits import Limits
from livereactor.protocol import messages as m
from livereactor.protocol import v0
from tests.integration.models import Gate, OpenFails, Plain, StreamFails
from tests.integration.rig import Served, next_session_works, serving


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b' {"extra_args":{"a":1},"unknown":3}'])
async def test_a_session_starts_whatever_an_empty_body_looks_like(body: bytes) -> None:
    async with serving(Plain) as served:
        answer = await served.http.post(
            "/start_session", content=body, headers={"Content-Type": "application/octet-stream"}
        )
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        descriptor = answer.json()
        assert descriptor["state"] == "waiting"
        assert descriptor["model"]["name"] == "plain"
        assert descriptor["cluster"]
        assert descriptor["server_info"]["server_version"]
        assert descriptor["selected_transport"] == {"protocol": "webrtc", "version": "1.0"}
        capabilities = descriptor["capabilities"]
        assert capabilities["protocol_version"]
        assert [each["direction"] for each in capabilities["tracks"]] == ["recvonly", "recvonly", "sendonly"]
        assert all(isinstance(each["description"], str) for each in capabilities["commands"])


async def test_no_field_of_a_descriptor_is_null() -> None:
    def nulls(value: object) -> bool:
        match value:
            case dict():
                return any(nulls(each) for each in value.values())
            case list():
                return any(nulls(each) for each in value)
            case _:
                return value is None

    async with serving(Plain) as served:
        await served.start_session()
        assert not nulls((await served.http.get("/session")).json())


async def test_a_reloaded_page_comes_back_to_its_session() -> None:
    async with serving(Plain) as served:
        first = await served.start_session()
        assert await served.start_session() == first
        assert (await served.http.get("/session")).json()["session_id"] == first


async def test_ids_differ_between_sessions() -> None:
    async with serving(Plain) as served:
        first = await served.start_session()
        await served.http.post("/stop_session")
        assert await served.start_session() != first


async def test_stopping_twice_and_stopping_nothing_are_fine() -> None:
    async with serving(Plain) as served:
        for _ in range(2):
            assert (await served.http.post("/stop_session")).status_code == 200
        await served.start_session()
        for _ in range(2):
            assert (await served.http.post("/stop_session", content=b"null")).status_code == 200
        await served.state("ready")


async def test_start_session_is_held_while_the_model_loads() -> None:
    Gate.loading.clear()
    async with serving(Gate, loaded=False) as served:
        assert "capabilities" not in (await served.http.get("/session")).json()
        assert (await served.http.get("/session")).json()["model"]["name"] == ""
        assert (await served.http.get("/schema")).json() == {}
        assert (await served.http.get("/health")).json() == {"status": "healthy", "state": "loading"}
        asking = asyncio.create_task(served.http.post("/start_session"))
        done, _ = await asyncio.wait([asking], timeout=0.1)
        assert not done
        Gate.loading.set()
        assert (await asking).status_code == 200
    Gate.loading.clear()


async def test_a_model_that_loads_too_long_answers_503_with_retry_after() -> None:
    Gate.loading.clear()
    async with serving(Gate, loaded=False, limits=Limits(answer_hold=0.05, exit_timeout=3.0)) as served:
        answer = await served.http.post("/start_session")
        assert answer.status_code == 503
        assert answer.json()["code"] == "MODEL_LOADING"
        assert float(answer.headers["retry-after"]) > 0
        Gate.loading.set()
        await served.state("ready")


async def test_start_session_is_held_while_the_last_one_closes() -> None:
    async with serving(Plain) as served:
        first = await served.start_session()
        caller = await served.client(first)
        await served.http.post("/stop_session")
        assert served.runtime.state.value == "closing"
        assert await served.start_session() != first
        await caller.gone()


async def test_the_arguments_of_a_session_reach_the_model() -> None:
    seen: list[dict[str, object]] = []

    class Asking(Plain):
        def open(self, session: object) -> None:
            super().open(session)  # type: ignore[arg-type]
            seen.append(self.session_args)

    async with serving(Asking) as served:
        await served.start_session(extra_args={"a": 1}, extra_configs={"a": 2, "b": 3})
        await next_session_works(served)
    assert seen[0] == {"a": 1, "b": 3}


async def test_starting_input_is_applied_before_anybody_joins() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session(
            starting_input={"state": {"level": 4}, "commands": [{"command": "note", "data": {"text": "first"}}]}
        )
        caller = await served.client(sid)
        assert await caller.told() == "first joined level=4"


@pytest.mark.parametrize(
    ("starting", "entry"),
    [
        ({"state": {"level": 9}}, "starting_input.state.level"),
        ({"state": {"nothing": 9}}, "starting_input.state.nothing"),
        ({"commands": [{"command": "note", "data": {"text": "a"}}, {"command": "nope"}]}, "starting_input.commands[1]"),
        ({"commands": [{"command": "refuse"}]}, "starting_input.commands[0]"),
        ({"speed": {}}, "starting_input"),
    ],
)
async def test_a_wrong_starting_input_is_400_and_names_the_entry(starting: dict[str, object], entry: str) -> None:
    async with serving(Plain) as served:
        answer = await served.http.post("/start_session", json={"starting_input": starting})
        assert answer.status_code == 400, answer.text
        assert entry in answer.json()["error"]
        await next_session_works(served)


@pytest.mark.parametrize(
    "body",
    [
        {"generation": "dreamed"},
        {"steps": 0},
        {"steps": 10_001},
        {"session_id": "../up"},
        {"session_id": ".."},
        {"session_id": "ü"},
        {"max_duration": -1},
        {"extra_args": []},
    ],
)
async def test_a_wrong_body_is_400(body: dict[str, object]) -> None:
    async with serving(Plain) as served:
        answer = await served.http.post("/start_session", json=body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"] == answer.json()["detail"]
        await next_session_works(served)


async def test_a_session_may_bring_its_id() -> None:
    async with serving(Plain) as served:
        assert await served.start_session(session_id="ses_mine-1.a") == "ses_mine-1.a"


async def test_another_generation_than_the_one_that_runs_is_a_conflict() -> None:
    async with serving(Plain) as served:
        await served.start_session()
        stepped = await served.http.post("/start_session", json={"extra_configs": {"generation": "stepped"}})
        assert stepped.status_code == 409
        assert stepped.json()["code"] == "CONFLICT"
        assert (await served.http.post("/start_session", json={"generation": "streamed"})).status_code == 200


async def test_a_session_nobody_reaches_closes_by_itself() -> None:
    async with serving(Plain, limits=Limits(unclaimed_window=0.05)) as served:
        sid = await served.start_session()
        await served.state("ready")
        assert (await served.http.get(served.path(sid, "ice_servers"))).status_code == 404


async def test_a_session_whose_last_client_left_waits_and_closes() -> None:
    async with serving(Plain, limits=Limits(reconnection_window=0.1)) as served:
        caller = await served.client(await served.start_session())
        await caller.synced()
        await caller.side.aclose()
        await served.state("orphaned")
        await served.state("ready")


async def test_the_longest_duration_ends_a_session_after_a_notice() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session(max_duration=0.3))
        await caller.synced()
        ended = await _ended(caller.hear_of(m.SessionEnded, label="control"))
        assert ended.reason == "max_duration"
        await caller.gone()


async def test_the_time_left_is_told_30_seconds_before() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session(max_duration=30.05), v0, flat=True)
        warned = await caller.hear_of(m.RuntimeMessage)
        assert warned == m.RuntimeMessage("timeWarning", {"seconds": 30.0})


async def test_idle_sessions_end_when_the_operator_says_so() -> None:
    async with serving(Plain, options={"idle_timeout": 0.2}) as served:
        caller = await served.client(await served.start_session())
        await caller.synced()
        assert (await caller.hear_of(m.SessionEnded, label="control")).reason == "idle"


async def test_an_operators_reason_is_told_to_v0_and_v1() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        binary, text = await served.client(sid), await served.client(sid, v0)
        await binary.synced()
        text.say(m.Ping())
        await text.hear_of(m.ModelMessage)
        await served.http.post("/stop_session", json={"reason": "maintenance"})
        assert (await binary.hear_of(m.SessionEnded, label="control")).reason == "maintenance"
        assert (await text.hear_of(m.SessionEnded)).reason == "maintenance"
        await binary.gone()
        await text.gone()


async def test_moderation_is_told_as_such() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session())
        await caller.synced()
        await served.http.post("/stop_session", json={"moderate": True})
        assert (await caller.hear_of(m.Moderation, label="control")).action == "terminate"


async def test_nothing_of_a_session_reaches_the_next() -> None:
    async with serving(Plain) as served:
        first = await served.client(await served.start_session())
        await first.command("set_level", level=5)
        await first.command("note", text="mine")
        await served.http.post("/stop_session")
        await first.gone()
        second = await served.client(await served.start_session())
        assert await second.told() == "joined level=1"


async def test_a_stream_that_raises_ends_its_session_and_the_next_works() -> None:
    async with serving(StreamFails) as served:
        caller = await served.client(await served.start_session(), resume=["main_video"])
        await caller.command("fail")
        assert (await caller.hear_of(m.SessionEnded, label="control")).reason == "error"
        await caller.gone()
        await served.state("ready")
        health = (await served.http.get("/health")).json()
        assert health["status"] == "healthy"
        assert re.fullmatch(r"the model stopped with an error at models.py:\d+; its log .*", health["detail"])
        await next_session_works(served)
        assert "detail" not in (await served.http.get("/health")).json()


async def test_open_may_fail_once_and_not_twice() -> None:
    OpenFails.failures = 1
    async with serving(OpenFails) as served:
        await served.start_session()
        await served.state("ready")
        await next_session_works(served)
    OpenFails.failures = 2
    async with serving(OpenFails) as served:
        for _ in range(2):
            await served.start_session()
            await served.until(lambda: served.runtime.state.value in ("ready", "terminated"))
        await served.state("terminated")
        assert (await served.http.get("/health")).status_code == 503
        assert (await served.http.post("/start_session")).status_code == 503
        error = await asyncio.wait_for(served.runtime.ended, 5)
        assert error is not None
        assert "stopped with an error at models.py" in str(error)


async def test_a_bounded_session_ends_after_its_steps() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session(steps=3)
        caller = await served.client(sid, resume=["main_video"])
        assert (await caller.hear_of(m.SessionEnded, label="control")).reason == "stopped"


async def test_the_journal_metrics_and_limits_are_served() -> None:
    async with serving(Plain) as served:
        await next_session_works(served)
        await served.state("ready")
        metrics = (await served.http.get("/metrics")).text
        assert 'livereactor_sessions_total{reason="stopped"} 1.0' in metrics
        assert 'livereactor_commands_total{outcome="ok"} 1.0' in metrics
        assert "livereactor_answer_seconds_count 1.0" in metrics
        assert "ses_" not in metrics
        assert (await served.http.get("/limits")).json()["max_connections"] == 4


async def test_the_schema_is_the_one_of_the_model() -> None:
    async with serving(Plain) as served:
        document = (await served.http.get("/schema")).json()
        assert "/events/set_level" in document["paths"]
        assert document["x-reactor"]["tracks"][0] == {"name": "main_video", "kind": "video", "direction": "out"}


async def _ended(waiting: object) -> m.SessionEnded:
    return await asyncio.wait_for(waiting, 5)  # type: ignore[arg-type]


async def test_many_sessions_in_a_row() -> None:
    async with serving(Plain) as served:
        await _repeat(served, 20)
        assert served.runtime.state.value in ("ready", "closing")


async def _repeat(served: Served, many: int) -> None:
    for _ in range(many):
        caller = await served.client(await served.start_session())
        await caller.synced()
        await served.http.post("/stop_session")
        await caller.gone()
