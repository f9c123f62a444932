"""A coordinator and a Worker of ours over their real socket, and a client whose signalling goes through both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import structlog

from livereactor.base.limits import Limits
from livereactor.engine.memory.engine import MemoryEngine
from livereactor.engine.port import PeerConfig, Section, Use
from tests.integration.coordinator.asking import key_of, until
from tests.integration.coordinator.rig import Served, coordinating
from tests.integration.models import Plain
from tests.integration.worker.serving import working
from tests.tools.client_side import ClientSide

MAPPING = [{"mid": "0", "name": "main_video", "kind": "video", "direction": "recvonly"}]


@asynccontextmanager
async def serving(**limits: Any) -> AsyncGenerator[tuple[Served, MemoryEngine]]:
    shorter = replace(Limits(), exit_timeout=4.0, **limits)
    async with (
        coordinating(models=("plain",)) as served,
        working(Plain, served.url, secret=served.secrets.worker, limits=shorter) as work,
    ):

        async def is_ready() -> bool:
            return (await served.http.get("/models")).json()["models"][0]["state"] == "ready"

        await until(is_ready)
        yield served, work.engine


async def connected(served: Served, engine: MemoryEngine, session: str) -> ClientSide:
    """A client that speaks JSON on `data`, as JavaScript 2.9.0 does."""
    await served.ready(session)
    base = f"/sessions/{session}/transport/webrtc/connections"
    number = (await served.http.post(base)).json()["connection_id"]
    side = await ClientSide.make(engine, PeerConfig())
    offer = await side.offer([Section("video", Use.RECEIVE, "main_video")], ("data",))
    posted = await served.http.post(f"{base}/{number}/sdp_params", json={"sdp_offer": offer, "track_mapping": MAPPING})
    assert posted.status_code == 202, posted.text
    await side.take_answer((await served.http.get(f"{base}/{number}/sdp_params")).json()["sdp_answer"])
    await side.connected("data")
    side.send("data", json.dumps({"scope": "runtime", "data": {"type": "ping", "data": {}}}))
    return side


async def told(side: ClientSide, kind: str) -> dict[str, Any]:
    """The next message of the runtime of that kind."""
    async with asyncio.timeout(20):
        while True:
            frame = json.loads((await side.receive("data")).data)
            if frame["scope"] == "runtime" and frame["data"]["type"] == kind:
                return frame["data"]["data"]


async def test_the_end_of_a_session_is_known_from_its_start_warned_of_and_told() -> None:
    async with serving(time_warning=1.0) as (served, engine):
        session = await served.session("plain", max_duration=4)
        side = await connected(served, engine, session)
        view = await served.ready(session)
        assert 3.0 < view["expires_at"] - view["created_at"] < 30.0
        assert (await told(side, "timeWarning")) == {"seconds": 1.0}
        assert (await told(side, "sessionEnded")) == {"reason": "max_duration"}

        async def is_over() -> bool:
            return (await served.http.get(f"/sessions/{session}")).json().get("end_reason") == "max_duration"

        await until(is_over)
        await side.aclose()


async def test_one_session_id_leads_through_the_logs_of_coordinator_and_worker() -> None:
    async with serving() as (served, engine):
        with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as records:
            session = await served.session("plain")
            side = await connected(served, engine, session)
            await served.http.delete(f"/sessions/{session}")

            wanted = {"session created", "session moved", "session ended"}  # the coordinator's
            wanted |= {"session state", "session reported", "client joined", "session closed"}  # the Worker's

            async def are_told() -> bool:
                return {each["event"] for each in records if each.get("session") == session} >= wanted

            await until(are_told)
            await side.aclose()
        assert [each for each in records if each["event"] in wanted and each.get("session") != session] == []


async def test_where_a_sessions_time_goes_is_told_to_whoever_reaches_it() -> None:
    async with serving() as (served, engine):
        session = await served.session("plain")
        side = await connected(served, engine, session)
        body: dict[str, Any] = {}

        async def has_frames() -> bool:
            answer = await served.http.get(f"/sessions/{session}/stages")
            assert answer.status_code == 200, answer.text
            body.update(answer.json())
            return {"step", "network"} <= {each["stage"] for each in body["stages"]}

        await until(has_frames)
        assert (body["session_id"], body["clients"]) == (session, 1)
        stranger = await served.http.get(f"/sessions/{session}/stages", headers=await key_of(served, "other"))
        assert stranger.status_code == 404
        await side.aclose()
