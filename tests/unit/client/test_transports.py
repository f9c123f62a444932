"""One transport taking another's place, with the parts around it played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from livereactor.client.background import BackgroundTasks
from livereactor.client.events import Emitter
from livereactor.client.lifecycle.messages import TransportLost
from livereactor.client.transport import transports
from livereactor.client.transport.events import (
    MessageArrived,
    PeerTransportEvent,
    PeerTransportLost,
    PeerTransportOptions,
    TrackArrived,
)
from livereactor.client.transport.transports import Transports
from livereactor.protocol import messages as m

HELLO = MessageArrived(m.ModelMessage("hello"))


class FakeTransport:
    """A peer_transport that is up at once; the test plays its events."""

    def __init__(
        self,
        api: object,
        engine: object,
        session: str,
        options: PeerTransportOptions,
        events: Callable[[PeerTransportEvent], None],
    ) -> None:
        self.connection, self.answer, self.inputs, self.event = 5001, "v=0", {"main_video": object()}, events

    async def ready(self) -> None:
        return None

    async def answered(self) -> None:
        return None

    async def aclose(self) -> None:
        return None

    def receive(self, wanted: object) -> None:
        return None


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
        session: Any = SimpleNamespace(
            session_id="ses_1",
            info=SimpleNamespace(server_version="1.0.0"),
            capabilities=SimpleNamespace(tracks=()),
            schema={},
        )
        dispatcher: Any = SimpleNamespace(dispatch=self.said.append)
        api: Any = SimpleNamespace(url="http://localhost:1")
        self.links: list[FakeTransport] = []
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

    def peer_transport(self, *arguments: Any) -> FakeTransport:
        self.links.append(FakeTransport(*arguments))
        return self.links[-1]

    async def replacing(self) -> tuple[FakeTransport, FakeTransport]:
        """Use one transport and bring up another; return their links."""
        await self.transports.open(again=False, max_attempts=1)
        self.transports.use()
        await self.transports.open(again=True, max_attempts=1)
        self.tracks.clear()
        old, new = self.links
        return old, new


async def nothing() -> None:
    return None


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    monkeypatch.setattr(transports, "PeerTransport", made.peer_transport)
    monkeypatch.setattr(transports, "StatsSampler", lambda *_, **__: SimpleNamespace(run=nothing))
    monkeypatch.setattr(transports, "process_engine", nothing)
    return made


async def test_what_the_next_one_hears_before_it_is_used_is_told_when_it_is(stage: Stage) -> None:
    _, new = await stage.replacing()
    new.event(HELLO)
    assert stage.said == []
    stage.transports.use()
    assert stage.said == [HELLO.message]
    assert stage.tracks == ["detach", "main_video", "attach"]


async def test_the_tracks_of_the_next_one_are_handed_over_once(stage: Stage) -> None:
    _, new = await stage.replacing()
    track: Any = object()
    new.event(TrackArrived("main_video", track))
    stage.transports.use()
    assert stage.tracks.count("main_video") == 1


async def test_one_that_is_given_up_is_not_listened_to(stage: Stage) -> None:
    old, new = await stage.replacing()
    stage.transports.use()
    old.event(PeerTransportLost("closed"))
    old.event(HELLO)
    assert (stage.said, stage.posted) == ([], [])
    new.event(PeerTransportLost("closed"))
    assert stage.posted == [TransportLost("closed")]


async def test_who_waits_for_the_change_goes_on_after_it_in_order(stage: Stage) -> None:
    await stage.replacing()
    order = list[int]()

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
