"""A Worker and a coordinator: registration, lease, Sessions, relay, end."""

from __future__ import annotations

from livereactor.protocol import link
from tests.integration.models import Gate, Plain
from tests.integration.worker.serving import working
from tests.integration.worker.standin import standing_in


async def test_a_worker_says_what_it_is_and_beats_until_its_model_is_there() -> None:
    Gate.loading.clear()
    async with standing_in() as coordinator, working(Gate, coordinator):
        hello = await coordinator.hear(link.Hello)
        assert (hello.worker, hello.model, hello.state) == ("w-1", "gate", "starting")
        assert hello.spec["max_sessions"] == 1
        assert {each["name"] for each in hello.spec["capabilities"]["tracks"]} >= {"main_video"}
        assert (await coordinator.hear(link.Beat)).state == "starting"
        Gate.loading.set()
        beat = await coordinator.ready()
        assert [(each.n, each.phase) for each in beat.slots] == [(0, "free")]


async def test_a_session_is_accepted_by_a_beat_served_and_reported_to_its_end() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator) as work:
        await coordinator.ready()
        fence = await coordinator.assign("ses_1")
        await coordinator.hear(link.Beat, lambda beat: beat.slots[0].phase == "accepting")
        assert (await coordinator.phase("waiting")).fence == fence
        side = await work.connect(coordinator, "ses_1", fence)
        assert (await coordinator.phase("streaming")).first_frame
        await side.aclose()
        assert (await coordinator.phase("orphaned")).first_frame
        await coordinator.say(link.End(slot=0, fence=fence, session="ses_1", reason="evicted"))
        closed = await coordinator.phase("closed")
        assert (closed.reason, closed.first_frame) == ("evicted", True)
        assert (await coordinator.hear(link.Beat)).slots[0].phase == "free"
