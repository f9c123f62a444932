"""One transport taking another's place, with the parts around it played by the test."""

import asyncio
from types import SimpleNamespace
from typing import Any

from livereactor.client.background import BackgroundTasks
from livereactor.client.events import Emitter
from livereactor.client.lifecycle.messages import TransportLost
from livereactor.client.transport.events import LinkLost, MessageArrived, TrackArrived
from livereactor.client.transport.transports import Transport, Transports
from livereactor.protocol import messages as m

HELLO = MessageArrived(m.ModelMessage("hello"))


class Stage:
    """Transports with one in use and one coming up, and what they told."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.posted: list[Any] = []
        self.tracks: list[str] = []
        tracks: Any = SimpleNamespace(
            detach=lambda **_: self.tracks.append("detach"),
            attach=lambda _: self.tracks.append("attach"),
            arrived=lambda name, _: self.tracks.append(name),
            restore=nothing,
            wanted=["main_video"],
        )
        session: Any = SimpleNamespace(schema={})
        dispatcher: Any = SimpleNamespace(dispatch=self.said.append)
        api: Any = SimpleNamespace(url="http://localhost:1")
        self.background = BackgroundTasks()
        self.transports = Transports(
            api,
            Emitter(),
            session,
            tracks,
            dispatcher,
            self.background,
            timings=lambda: None,
            post=self.posted.append,
            report_stats=True,
        )
        self.old, self.new = transport({"main_video": object()}), transport({"main_video": object()})

    async def replacing(self) -> "Stage":
        self.transports.current, self.transports._coming = self.old, self.new
        await self.transports._replacing.acquire()
        return self


def transport(inputs: dict[str, object]) -> Transport:
    link: Any = SimpleNamespace(connection=5001, answer="", inputs=inputs, aclose=nothing, receive=list)
    sampler: Any = SimpleNamespace(run=nothing)
    return Transport(link, sampler)


async def nothing() -> None:
    return None


async def test_what_the_next_one_hears_before_it_is_used_is_told_when_it_is() -> None:
    stage = await Stage().replacing()
    stage.transports._heard(stage.new, HELLO)
    assert stage.said == []
    stage.transports.use()
    assert stage.said == [HELLO.message]
    assert stage.tracks == ["detach", "main_video", "attach"]


async def test_the_tracks_of_the_next_one_are_handed_over_once() -> None:
    stage = await Stage().replacing()
    track: Any = object()
    stage.transports._heard(stage.new, TrackArrived("main_video", track))
    stage.transports.use()
    assert stage.tracks.count("main_video") == 1


async def test_one_that_is_given_up_is_not_listened_to() -> None:
    stage = await Stage().replacing()
    stage.transports.use()
    stage.transports._heard(stage.old, LinkLost("closed"))
    stage.transports._heard(stage.old, HELLO)
    assert (stage.said, stage.posted) == ([], [])
    stage.transports._heard(stage.new, LinkLost("closed"))
    assert stage.posted == [TransportLost("closed")]


async def test_who_waits_for_the_change_goes_on_after_it_in_order() -> None:
    stage, order = await Stage().replacing(), list[int]()

    async def said(number: int) -> None:
        await stage.transports.replaced()
        order.append(number)

    waiting = [asyncio.ensure_future(said(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert order == []
    stage.transports.use()
    await asyncio.gather(*waiting, said(3))
    assert order == [0, 1, 2, 3]
    await stage.background.finish(1.0)
