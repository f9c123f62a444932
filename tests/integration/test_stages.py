"""`GET /sessions/{sid}/stages`: where a Session's time goes, from what the runtime measures and clients report."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from livereactor.protocol import messages as m
from livereactor.protocol import v0
from tests.integration.models import Plain
from tests.integration.rig import Caller, Served, serving

PATIENCE = 30.0  # seconds for what takes a moment on an idle machine
SERVER = {"step", "queue", "convert", "encode", "send", "network", "command_wait", "commands", "command_reply"}
REPORT = m.ClientStats(
    (
        m.TrackStats(
            "main_video",
            stages=(m.FrameStage("jitter_buffer", 600.0, 60), m.FrameStage("decode", 120.0, 60)),
        ),
    )
)


async def stages(served: Served, sid: str) -> dict[str, Any]:
    answer = await served.http.get(f"/sessions/{sid}/stages")
    assert answer.status_code == 200, answer.text
    return answer.json()


def named(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["stage"]: each for each in body["stages"]}


async def until(served: Served, sid: str, wanted: Iterable[str]) -> dict[str, Any]:
    """The first answer that has all of these stages."""
    async with asyncio.timeout(PATIENCE):
        while not set(wanted) <= set(named(body := await stages(served, sid))):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # asked again, as a table does: it has no event to wait for
    return body


async def watching(served: Served, **more: Any) -> tuple[str, Caller]:
    sid = await served.start_session()
    return sid, await served.client(sid, resume=["main_video"], **more)


async def test_it_has_every_stage_of_a_frame_and_of_a_command_in_their_order() -> None:
    async with serving(Plain) as served:
        sid, caller = await watching(served)
        for text in ("a", "b"):
            await caller.command("echo", text=text)
        body = await until(served, sid, SERVER)
        assert body["session_id"] == sid
        assert body["clients"] == 1
        (pictures,) = body["pictures"]
        assert pictures["track"] == "main_video"
        assert pictures["given"] >= 1
        rows = named(body)
        assert [name for name in rows if name.startswith("command")] == ["command_wait", "commands", "command_reply"]
        on_track = [each["stage"] for each in body["stages"] if each.get("track") == "main_video"]
        assert on_track == ["queue", "convert", "encode", "send"]
        assert rows["commands"]["count"] == 2
        for row in body["stages"]:
            assert 0 <= row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] <= row["max_ms"], row
            assert row["max_ms"] <= row["total_ms"] + 0.001 <= row["count"] * row["max_ms"] + 0.002, row
            # No stage of one thread can have taken longer than there was time.
            if row["stage"] in ("step", "convert", "encode", "send"):
                assert row["total_ms"] <= body["seconds"] * 1e3


async def test_what_a_client_reports_of_its_own_stages_stands_beside_ours() -> None:
    async with serving(Plain) as served:
        sid, caller = await watching(served)
        caller.say(REPORT)
        rows = named(await until(served, sid, ("jitter_buffer", "decode")))
        assert (rows["jitter_buffer"]["count"], rows["jitter_buffer"]["total_ms"]) == (60, 600.0)
        assert (rows["decode"]["track"], rows["decode"]["max_ms"]) == ("main_video", 2.0)


@pytest.mark.parametrize(
    ("track", "stage"),
    [
        ("nobodys", m.FrameStage("decode", 10.0, 1)),
        ("main_video", m.FrameStage("step", 10.0, 1)),
        ("main_video", m.FrameStage("no stage of ours", 10.0, 1)),
        ("main_video", m.FrameStage("decode", 10.0, 0)),
        ("main_video", m.FrameStage("decode", float("nan"), 1)),
        ("main_video", m.FrameStage("decode", float("inf"), 1)),
        ("main_video", m.FrameStage("decode", -1.0, 1)),
        ("main_video", m.FrameStage("decode", 1.0, 2**63)),
    ],
)
async def test_what_nobody_can_have_measured_is_left_out(track: str, stage: m.FrameStage) -> None:
    async with serving(Plain) as served:
        sid, caller = await watching(served)
        caller.say(m.ClientStats((m.TrackStats(track, stages=(stage,)),)))
        caller.say(REPORT)  # the one behind it: what came before has been heard
        rows = named(await until(served, sid, ("step", "decode")))
        assert rows["decode"]["count"] == 60
        assert rows["step"].get("track") is None
        assert {each for each in rows if each not in SERVER} <= {"jitter_buffer", "decode"}


async def test_a_client_of_the_old_format_is_seen_as_far_as_the_server_sees() -> None:
    async with serving(Plain) as served:
        sid, caller = await watching(served, codec=v0)
        caller.say(m.Command("echo", {"text": "a"}))
        await until(served, sid, SERVER)


async def test_the_next_session_begins_at_nothing_and_no_other_is_told() -> None:
    async with serving(Plain) as served:
        first, caller = await watching(served)
        await caller.command("echo", text="a")
        await until(served, first, SERVER)
        await served.http.post("/stop_session")
        await served.state("ready")
        for sid in (first, "ses_never"):
            assert (await served.http.get(f"/sessions/{sid}/stages")).status_code == 404
        second = await served.start_session()
        body = await stages(served, second)
        assert body["stages"] == []
        assert body["pictures"] == [{"track": "main_video", "given": 0, "replaced": 0, "left_out": 0, "refused": 0}]
