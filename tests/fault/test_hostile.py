"""Hostile and broken clients and models: bounded, answered, and the next session is served."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from livereactor.base.errors import LivereactorError
from livereactor.base.limits import Limits
from livereactor.engine.memory.engine import MemoryPeer
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.web.access import Access
from tests.integration.models import LoadFails, Plain, WrongShape
from tests.integration.rig import Served, next_session_works, serving

SEED = 20261124
CLIENT_MESSAGES = (
    m.Command("echo", {"text": "hi"}),
    m.Ping(),
    m.RequestSchema("ctrl_1"),
    m.PublishTrack("webcam", "ctrl_2"),
    m.ResumeTrack("main_video"),
    m.FileUploaded(m.UploadReference("up-1", "a", "b", 1)),
)


@pytest.fixture
def loop_errors() -> list[dict[str, Any]]:
    """What reached the event loop's exception handler: must stay empty."""
    return []


async def _watched(found: list[dict[str, Any]]) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))


def garbage(dice: random.Random) -> bytes | str:
    """A frame that is nearly right, or not at all."""
    frame = dice.choice((v0, v1)).encode_client(dice.choice(CLIENT_MESSAGES))
    data = bytes(frame[1] if frame else b"{}")
    at = dice.randrange(len(data) + 1)
    match dice.randrange(5):
        case 0:
            data = dice.randbytes(dice.randrange(200))
        case 1:
            data = data[:at]
        case 2:
            data = data[:at] + bytes(byte ^ 1 << dice.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]
        case 3:
            data = data + data
        case _:
            data = data[:at] + dice.randbytes(dice.randrange(8)) + data[at:]
    return data if dice.random() < 0.6 else data.decode("utf-8", "replace")


async def _garbage(rounds: int, found: list[dict[str, Any]]) -> None:
    dice = random.Random(SEED)
    async with serving(Plain) as served:
        await _watched(found)
        sid = await served.start_session()
        caller = await served.client(sid)
        for number in range(rounds):
            caller.side.send(dice.choice(("data", "control")), garbage(dice))
            if number % 500 == 499:
                caller = await _read_off(served, caller, sid)
        await next_session_works(served)
    assert not found


async def _read_off(served: Served, caller: Any, sid: str) -> Any:
    """Take what was answered, on a fresh transport: the format was decided by garbage."""
    again = await served.client(sid, number=caller.number, method="PUT")
    await again.synced()
    return again


async def test_arbitrary_frames_on_both_channels(loop_errors: list[dict[str, Any]]) -> None:
    await _garbage(2_000, loop_errors)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_million_arbitrary_frames(loop_errors: list[dict[str, Any]]) -> None:
    await _garbage(1_000_000, loop_errors)


BODIES = (
    {"sdp_offer": "v=0\r\n", "track_mapping": [{"mid": "0", "name": "a", "kind": "video", "direction": "recvonly"}]},
    {"candidates": [{"candidate": "candidate:1 1 udp 1 192.0.2.1 1 typ host", "sdp_mid": "0"}]},
    {"name": "a", "size": 5, "mime_type": "text/plain"},
    {"generation": "stepped", "starting_input": {"state": {"level": 1}}, "steps": 3},
    {"moderate": True, "reason": "x"},
)
PATHS = (
    "/start_session",
    "/stop_session",
    "/sessions/{sid}/transport/webrtc/connections",
    "/sessions/{sid}/transport/webrtc/connections/2000/sdp_params",
    "/sessions/{sid}/transport/webrtc/connections/2000/ice_candidates",
    "/sessions/{sid}/transport/webrtc/sdp_params",
    "/sessions/{sid}/uploads",
    "/uploads/none",
)


def broken_body(dice: random.Random) -> bytes:
    """A body of the API, damaged."""
    data = bytearray(json.dumps(dice.choice(BODIES)).encode())
    match dice.randrange(6):
        case 0:
            return dice.randbytes(dice.randrange(300))
        case 1:
            return bytes(data[: dice.randrange(len(data))])
        case 2:
            return b"[" * dice.randrange(1, 5_000)
        case 3:
            return json.dumps(dice.choice([1, "a", [], [{}], True, 1e308, {"": None}])).encode()
        case 4:
            at = dice.randrange(len(data))
            data[at : at + 1] = dice.randbytes(2)
            return bytes(data)
        case _:
            swapped = dict(dice.choice(BODIES))
            swapped[dice.choice(list(swapped))] = dice.choice([None, -1, "", {}, [[]], 10**400, "\ud800", "x" * 5000])  # type: ignore[assignment]
            return json.dumps(swapped).encode()


async def _bodies(rounds: int, found: list[dict[str, Any]]) -> None:
    dice = random.Random(SEED)
    async with serving(Plain) as served:
        await _watched(found)
        for _ in range(rounds):
            session = (await served.http.get("/session")).json()["session_id"]
            path = dice.choice(PATHS).format(sid=session)
            method = dice.choice(("POST", "POST", "PUT", "GET", "DELETE", "PATCH"))
            answer = await served.http.request(method, path, content=broken_body(dice))
            assert answer.status_code < 500, (method, path, answer.text)
            if answer.status_code >= 400:
                assert answer.json()["error"]
        await next_session_works(served)
    assert not found


async def test_arbitrary_bodies_on_every_route(loop_errors: list[dict[str, Any]]) -> None:
    await _bodies(600, loop_errors)


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_a_million_arbitrary_bodies(loop_errors: list[dict[str, Any]]) -> None:
    await _bodies(1_000_000, loop_errors)


# --- who may ask ---


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:5173"}, 200),
        ({"Origin": "http://127.0.0.1:1"}, 200),
        ({"Origin": "http://[::1]:1"}, 200),
        ({"Origin": "https://studio.example"}, 200),
        ({"Host": "studio.example"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://localhost.evil.example"}, 403),
        ({"Origin": "http://studio.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example:8080"}, 403),
        ({"Host": "[bad"}, 403),
        ({"Origin": "http://[bad"}, 403),
        ({"Host": ""}, 403),
    ],
)
async def test_only_known_origins_and_hosts_are_answered(headers: dict[str, str], status: int) -> None:
    async with serving(Plain, access=Access(origins=("https://studio.example",))) as served:
        answer = await served.http.get("/session", headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["access-control-allow-origin"] == "*"
        preflight = await served.http.options("/start_session", headers=headers)
        assert preflight.status_code == (204 if status == 200 else 403)


# --- floods ---


async def test_a_flood_of_commands_is_answered_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain, limits=Limits(command_queue=50)) as served:
        caller = await served.client(await served.start_session())
        await caller.synced()
        requests = [caller.begin("note", text="x") for _ in range(2_000)]
        outcomes = [await caller.hear_of(m.Ack, m.Failure) for _ in requests]
        assert {each.request_id for each in outcomes} == set(requests)
        assert {each.code for each in outcomes if isinstance(each, m.Failure)} <= {"RATE_LIMITED"}
        await next_session_works(served)


async def test_a_flood_of_pings_schemas_and_claims_is_borne() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session())
        for number in range(1_000):
            caller.say(m.Ping())
            caller.say(m.PublishTrack("webcam", f"ctrl_{number}"))
            caller.say(m.FileUploaded(m.UploadReference("nobody")))
        heard = [await caller.hear("control") for _ in range(1_000)]
        assert sum(isinstance(each, m.PublishGranted) for each in heard) == 1
        await next_session_works(served)


async def test_a_flood_of_steps_is_bounded() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session(generation="stepped"))
        for number in range(300):
            caller.say(m.RequestStep(f"data_{number}", {}, (), ()))
        results = [await caller.hear_of(m.StepResult) for _ in range(300)]
        failures = {each.failure for each in results}
        assert failures <= {None, m.StepFailure.NOT_READY}
        assert None in failures
        await next_session_works(served)


async def test_a_flood_of_offers_leaves_one_peer_a_connection() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        last = await served.client(sid, number=2000)
        for _ in range(29):
            last = await served.client(sid, number=2000, method="PUT")
        assert await last.told() == "joined " + "left joined " * 29 + "level=1"
        await next_session_works(served)


async def test_a_flood_of_slots_and_bytes_is_refused() -> None:
    async def large() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 65_536

    async with serving(Plain) as served:
        sid = await served.start_session()
        body = {"name": "a", "size": 100, "mime_type": "a/b"}
        slots = [await served.http.post(f"/sessions/{sid}/uploads", json=body) for _ in range(300)]
        assert [each.status_code for each in slots].count(201) == 256
        assert slots[-1].status_code == 429
        assert (await served.http.put(slots[0].json()["presigned_url"], content=large())).status_code == 400
        await next_session_works(served)


async def test_large_and_large_bodies_are_413() -> None:
    async def large() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 65_536

    async with serving(Plain) as served:
        for path in ("/start_session", "/stop_session"):
            announced = await served.http.post(path, content=b"x" * (1024 * 1024 + 1))
            chunked = await served.http.post(path, content=large())
            assert (announced.status_code, chunked.status_code) == (413, 413)
            assert "65536" in chunked.json()["error"]
        await next_session_works(served)


# --- clients that go, or do not read ---


async def test_a_client_that_vanishes_in_the_middle_leaves_nothing() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        for at in range(6):
            caller = await served.client(sid, resume=["main_video"] if at % 2 else [])
            for _ in range(at * 10):
                caller.begin("echo", text="x")
            await caller.side.aclose()
        await served.state("orphaned")
        await served.until(lambda: not served.runtime.members.connections)
        caller = await served.client(sid)
        told = (await caller.told()).split()
        assert told.count("joined") == told.count("left") + 1
        await next_session_works(served)


async def test_a_client_that_does_not_read_is_dropped_and_disturbs_nobody() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        slow, quick = await served.client(sid, chunking=False), await served.client(sid, chunking=False)
        await slow.synced()
        peer = slow.side.peer
        assert isinstance(peer, MemoryPeer)
        peer.freeze()
        text = "to all" + 200_000 * "x"
        for _ in range(45):  # 9 MB that it does not read
            assert (await quick.command("echo", text=text)).data == {"text": text}
        await served.until(lambda: slow.number not in served.runtime.members.connections)
        peer.freeze(False)
        await slow.gone()
        assert (await quick.told()).endswith("left level=1")
        await next_session_works(served)


# --- models ---


async def test_a_model_that_yields_what_is_no_frame_ends_its_session_alone() -> None:
    async with serving(WrongShape) as served:
        caller = await served.client(await served.start_session(), resume=["main_video"])
        assert (await caller.hear_of(m.SessionEnded, label="control")).reason == "error"
        await caller.gone()
        await served.state("ready")
        assert "stopped with an error" in (await served.http.get("/health")).json()["detail"]


async def test_a_model_that_does_not_load_is_unhealthy_and_ends_the_process() -> None:
    async with serving(LoadFails, loaded=False) as served:
        error = await asyncio.wait_for(served.runtime.ended, 10)
        assert isinstance(error, LivereactorError)
        assert "weights are missing" in error.message
        health = await served.http.get("/health")
        assert health.status_code == 503
        assert health.json()["state"] == "terminated"
        assert (await served.http.post("/start_session")).status_code == 503
        assert (await served.http.get("/session")).status_code == 200


async def test_a_wrong_path_names_the_nearest() -> None:
    async with serving(Plain) as served:
        answer = await served.http.get("/sesion")
        assert answer.status_code == 404
        assert "did you mean /session?" in answer.json()["error"]
        assert (await served.http.get("/" + "x" * 5_000)).status_code == 404
        assert (await served.http.delete("/session")).status_code == 405
