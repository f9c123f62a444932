"""A PeerTransport over libwebrtc, to a scripted server and to our own servers in processes of their own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from livereactor.client.http.api import Api
from livereactor.client.http.credentials import Credentials
from livereactor.client.transport.events import PeerTransportLost, PingAnswered
from livereactor.client.transport.peer_transport import PeerTransport
from livereactor.engine.default import make_engine
from livereactor.engine.port import Engine, ReceivedTrack
from livereactor.media.frames import Frame
from livereactor.protocol import messages as m
from tests.integration.client.linking import Linked, linking
from tests.tools.processes import REPOSITORY, Program, livereactor_run
from tests.tools.serving import Coordinator, livereactor_serve

CONFORMANCE = REPOSITORY / "examples/conformance.py"
SMALL = {
    "CONFORMANCE_WIDTH": "320",
    "CONFORMANCE_HEIGHT": "180",
    "LIVEREACTOR_RUNTIME__MAX_CONNECTIONS": "8",  # one that has gone counts until that is noticed
}


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[Engine]:
    made = make_engine("libwebrtc")
    await made.start()
    yield made
    await made.aclose()


@pytest.fixture(scope="module", params=["run", "serve"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    log_path: Path = tmp_path_factory.mktemp("server") / "log"
    if request.param == "run":
        with livereactor_run(CONFORMANCE, log_path=log_path, environment=SMALL) as program:
            yield program
    else:
        with livereactor_serve([CONFORMANCE], log_path=log_path, environment=SMALL) as program:
            yield program


@pytest_asyncio.fixture
async def linked(server: Program, engine: Engine) -> AsyncIterator[Linked]:
    """A Session that is ready to be connected to."""
    key = server.key if isinstance(server, Coordinator) else None
    api = Api(server.url, local=key is None, credentials=Credentials(key))
    api.credentials.ask_for(model="conformance")
    descriptor = (await api.create_session("conformance")).descriptor
    while descriptor.capabilities is None:
        descriptor = await api.session(descriptor.session_id)
    made = Linked(api, engine, descriptor)
    yield made
    await api.end_session(descriptor.session_id)
    await made.aclose()


async def picture(track: ReceivedTrack) -> Frame:
    """The next Frame."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[Frame] = loop.create_future()

    def take(frame: Frame) -> None:
        loop.call_soon_threadsafe(lambda: came.done() or came.set_result(frame))

    track.on_frame(take)
    try:
        return await asyncio.wait_for(came, 10)
    finally:
        track.on_frame(None)


async def test_our_servers_give_the_answer_with_their_202_and_are_not_asked_for_it(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(*_: object) -> str | None:
        raise AssertionError("the answer was asked for")

    monkeypatch.setattr(Api, "answer", asked)
    await linked.link()


async def test_candidates_are_in_the_offer_or_follow_it_and_none_is_told_twice(engine: Engine) -> None:
    async with linking(engine=engine) as (server, linked):
        link = await linked.link(resume=["main_video"])
        assert (await picture(link.inputs["main_video"])).pixels.shape == (180, 320, 3)
        offer = server.of("W3")[0].json["sdp_offer"]
        early = set(re.findall(r"(?m)^a=(candidate:.*?)\r?$", offer))
        # On a busy machine some are found only when the offer is on its way.
        late = {each["candidate"] for request in server.of("W5") for each in request.json["candidates"]}
        assert early | late
        assert not early & late


async def test_a_session_of_ours_is_seen_steered_and_heard_of(linked: Linked) -> None:
    link = await linked.link(resume=["main_video"])
    reply = await link.request(m.Command("echo", {"value": "hello"}), 5.0)
    assert isinstance(reply, m.ModelMessage)
    assert (await picture(link.inputs["main_video"])).pixels.shape == (180, 320, 3)
    await linked.until(lambda: bool(linked.told(PingAnswered)))
    assert isinstance(await link.request(m.PublishTrack("webcam"), 5.0), m.PublishGranted)
    assert (await link.stats()).bytes_received > 0


async def test_another_link_takes_the_place_of_the_first(linked: Linked) -> None:
    first = await linked.link(resume=["main_video"])
    second: PeerTransport = await linked.link(connection=first.connection, again=True, resume=["main_video"])
    assert second.connection == first.connection
    await second.answered()
    await picture(second.inputs["main_video"])
    await linked.until(lambda: bool(linked.told(PeerTransportLost)))
    assert isinstance(await second.request(m.Command("echo", {"value": "again"}), 5.0), m.ModelMessage)


async def test_links_that_come_and_go_leave_nothing(linked: Linked) -> None:
    for _ in range(5):
        await (await linked.link()).aclose()
    link_tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("transport-")]
    assert not link_tasks
