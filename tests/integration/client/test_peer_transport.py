"""A PeerTransport to servers of every kind: what is asked, said and received over it, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
import pytest_asyncio

from livereactor.base.errors import PeerError
from livereactor.client.errors import CommandRejected, ReactorError
from livereactor.client.http.api import FLAT
from livereactor.client.transport import peer_transport
from livereactor.client.transport.events import MessageArrived, PeerTransportLost, TrackArrived
from livereactor.engine.memory.engine import MemoryPeer
from livereactor.engine.port import Negotiated
from livereactor.media.frames import Frame
from livereactor.protocol import messages as m
from livereactor.protocol.messages import WireFormat
from tests.integration.client.linking import linking
from tests.tools.script import NIL, Fault, refuses, says
from tests.tools.scripted_peer import Said, ordinary

V0, V1 = WireFormat.V0, WireFormat.V1
KINDS = {
    "v1": {"wire": V1},
    "v0": {"wire": V0},
    "flat": {"wire": V0, "flat": True},
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_a_picture_comes_through_on_every_kind_of_server(kind: str) -> None:
    async with linking(**KINDS[kind]) as (server, linked):
        link = await linked.link(resume=["main_video"])
        await linked.until(lambda: bool(linked.told(TrackArrived)))
        seen, loop = asyncio.Event(), asyncio.get_running_loop()
        before = link.heard_at

        def came(_: Frame) -> None:
            loop.call_soon_threadsafe(seen.set)

        link.inputs["main_video"].on_frame(came)
        await asyncio.wait_for(seen.wait(), 10)
        assert link.heard_at > before
        assert list(link.outputs) == ["webcam"]
        assert link.wire is KINDS[kind]["wire"]
        assert linked.told(TrackArrived)[0].name == "main_video"
        assert not server.peer.garbled


async def test_control_is_opened_first_and_the_first_words_are_resume_and_ping() -> None:
    async with linking() as (server, linked):
        await linked.link(resume=["main_video"])
        await server.until(lambda: len(server.peer.heard) >= 2)
        assert server.peer.labels == ["control", "data"]
        assert server.peer.heard[:2] == [m.ResumeTrack("main_video"), m.Ping()]


async def test_replies_in_the_binary_format_are_told_apart_whatever_their_order() -> None:
    asked: list[m.Command] = []

    def last_first(message: m.ClientMessage) -> Sequence[Said]:
        if not isinstance(message, m.Command):
            return []
        asked.append(message)
        if len(asked) < 3:
            return []
        return [m.ModelMessage("reply", each.arguments, each.request_id) for each in reversed(asked)]

    async with linking(reply=last_first) as (_, linked):
        link = await linked.link()
        replies = await asyncio.gather(*(link.request(m.Command("c", {"n": n}), 5.0) for n in range(3)))
        assert [each.data["n"] for each in replies if isinstance(each, m.ModelMessage)] == [0, 1, 2]


async def test_a_thousand_commands_at_once_arrive_in_order_and_are_all_answered() -> None:
    async with linking() as (server, linked):
        link = await linked.link()
        replies = await asyncio.gather(*(link.request(m.Command("echo", {"n": n}), 10.0) for n in range(1000)))
        assert [each.data["n"] for each in replies if isinstance(each, m.ModelMessage)] == list(range(1000))
        assert [each.arguments["n"] for each in server.peer.of(m.Command)] == list(range(1000))


async def test_a_command_has_one_outcome_in_either_format() -> None:
    async with linking() as (_, linked):
        link = await linked.link()
        assert isinstance(await link.request(m.Command("ack"), 5.0), m.Ack)
        with pytest.raises(CommandRejected, match="come back later") as refused:
            await link.request(m.Command("refuse"), 5.0)
        assert refused.value.code == "busy"
        assert refused.value.component == "gpu"
        reply = await link.request(m.Command("echo", {"a": 1}), 5.0)
        assert isinstance(reply, m.ModelMessage)
        assert [each.type for each in linked.messages(m.ModelMessage)] == ["echo_reply"]
    async with linking(wire=V0) as (_, linked):
        link = await linked.link()
        assert await link.request(m.Command("echo", {"a": 1}), 5.0) is None
        await linked.until(lambda: bool(linked.messages(m.ModelMessage)))


async def test_a_reply_that_comes_late_is_nobodys_and_no_event() -> None:
    async with linking(reply=lambda _: []) as (server, linked):
        link = await linked.link()
        with pytest.raises(ReactorError, match=r"no reply to `slow` in 0\.05 s") as late:
            await link.request(m.Command("slow"), 0.05)
        assert (late.value.code, late.value.recoverable) == ("REQUEST_TIMEOUT", True)
        await server.until(lambda: bool(server.peer.of(m.Command)))
        asked = server.peer.of(m.Command)[0]
        server.peer.say(m.Failure(asked.request_id, "busy", "too late"), m.ModelMessage("next"))
        await linked.until(lambda: bool(linked.messages()))
        assert [type(each) for each in linked.messages()] == [m.ModelMessage]


async def test_in_json_clips_are_answered_in_the_order_they_were_asked_for_though_one_is_given_up() -> None:
    async with linking(wire=V0, reply=lambda _: []) as (server, linked):
        link = await linked.link()
        given_up = asyncio.create_task(link.request(m.RequestClip(1.0), 5.0))
        kept = asyncio.create_task(link.request(m.RequestRecording(), 5.0))
        schema = asyncio.create_task(link.request(m.RequestSchema(), 5.0))
        await server.until(lambda: bool(server.peer.of(m.RequestSchema)))
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        server.peer.say(m.SchemaDocument({"openapi": "3.1.0"}), m.ClipFailed("first"), m.ClipFailed("second"))
        assert await kept == m.ClipFailed("second")
        assert await schema == m.SchemaDocument({"openapi": "3.1.0"})


async def test_a_claim_is_granted_refused_or_needless() -> None:
    def refusing(message: m.ClientMessage) -> Sequence[Said]:
        if isinstance(message, m.PublishTrack):
            return [m.PublishRefused(message.name, message.request_id, "somebody has it")]
        return ordinary(message)

    for wire in (V0, V1):
        async with linking(wire=wire) as (_, linked):
            assert isinstance(await (await linked.link()).request(m.PublishTrack("webcam"), 5.0), m.PublishGranted)
        async with linking(wire=wire, reply=refusing) as (_, linked):
            refused = await (await linked.link()).request(m.PublishTrack("webcam"), 5.0)
            assert isinstance(refused, m.PublishRefused)
            assert refused.message == "somebody has it"
    async with linking(wire=V0, flat=True) as (server, linked):
        link = await linked.link()
        assert isinstance(await link.request(m.PublishTrack("webcam"), 5.0), m.PublishGranted)
        link.say(m.PauseTrack("main_video"))
        link.say(m.Command("after"))
        await server.until(lambda: bool(server.peer.of(m.Command)))
        assert {type(each) for each in server.peer.heard} == {m.Ping, m.Command}


async def test_a_message_above_the_channels_limit_is_not_sent() -> None:
    async with linking(chunking=False) as (server, linked):
        link = await linked.link()
        with pytest.raises(ReactorError, match="300 KiB exceeds 256 KiB; upload") as large:
            await link.request(m.Command("echo", {"text": "x" * 300 * 1024}), 5.0)
        assert (large.value.code, large.value.component) == ("MESSAGE_TOO_LARGE", "client")
        await link.request(m.Command("echo", {"text": "x" * 200 * 1024}), 5.0)
        assert len(server.peer.of(m.Command)) == 1


async def test_what_is_no_json_is_a_mistake_of_the_caller() -> None:
    for wire in (V0, V1):
        async with linking(wire=wire) as (_, linked):
            link = await linked.link()
            with pytest.raises(ValueError, match=r"\w"):
                await link.request(m.Command("echo", {"a": float("nan")}), 5.0)


@pytest.mark.parametrize("wire", [V0, V1])
async def test_frames_that_cannot_be_read_are_counted_and_hurt_nobody(wire: WireFormat) -> None:
    bad: list[Said] = [
        ("data", b"\xff\xfe", False),
        ("data", b"{", True),
        ("data", b'{"scope": 1, "data": 2}', True),
        ("control", b"[]", True),
        ("control", b"\x08\x96", False),
        ("data", b"", False),
    ]
    async with linking(wire=wire, first_words=[*bad, m.ModelMessage("end")]) as (_, linked):
        link = await linked.link()
        if wire is V1:
            assert isinstance(await link.request(m.Command("ack"), 5.0), m.Ack)
        await linked.until(lambda: bool(linked.messages()))
        assert sum(link.faults.values()) == len(bad)
        assert not linked.told(PeerTransportLost)


async def test_a_server_that_speaks_json_only_is_spoken_to_in_json_though_its_version_does_not_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peer_transport, "FALL_BACK", 0.05)
    async with linking(wire=V0, first_words=[m.ModelMessage("hello")]) as (server, linked):
        link = await linked.link(wire=V1, resume=["main_video"])
        await server.until(lambda: bool(server.peer.garbled))
        server.peer.format = None  # it is 2.x: a binary frame decides nothing
        await server.until(lambda: len(server.peer.heard) >= 2)
        assert server.peer.heard[:2] == [m.ResumeTrack("main_video"), m.Ping()]
        assert link.wire is V0
        assert linked.messages() == [m.ModelMessage("hello")]


async def test_words_in_json_before_the_server_has_heard_us_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_transport, "FALL_BACK", 0.05)
    hello = ("data", b'{"scope":"application","data":{"type":"hello","data":{}}}', True)
    async with linking(first_words=[hello]) as (_, linked):
        link = await linked.link()
        await link.request(m.Command("ack"), 5.0)
        await linked.until(lambda: bool(linked.messages()))
        await asyncio.sleep(0.1)  # twice the time after which it would have changed
        assert link.wire is V1


async def test_a_server_that_goes_is_told_once_and_ends_what_waits() -> None:
    async with linking(reply=lambda _: []) as (server, linked):
        link = await linked.link()
        waiting = asyncio.create_task(link.request(m.Command("never"), 5.0))
        await server.until(lambda: bool(server.peer.of(m.Command)))
        await server.peer.aclose()
        with pytest.raises(ReactorError, match="connection lost before the reply to `never`") as lost:
            await waiting
        assert lost.value.code == "DISCONNECTED"
        await linked.until(lambda: bool(linked.told(PeerTransportLost)))
        with pytest.raises(ReactorError) as closed:
            await link.request(m.Command("more"), 5.0)
        assert closed.value.code == "DISCONNECTED"
        with pytest.raises(ReactorError) as unsent:
            link.say(m.Ping())
        assert unsent.value.code == "MESSAGE_SEND_FAILED"
        await link.aclose()
        assert len(linked.told(PeerTransportLost)) == 1


async def test_closing_ends_what_is_under_way_and_is_no_loss() -> None:
    async with linking(webrtc=False) as (server, linked):
        link = linked.begin()
        await server.until(lambda: bool(server.of("W4")))
        waiting = asyncio.create_task(link.ready())
        await asyncio.sleep(0)
        await link.aclose()
        with pytest.raises(ReactorError) as aborted:
            await waiting
        assert aborted.value.code == "ABORTED"
        await link.aclose()
        assert not linked.events
    async with linking(reply=lambda _: []) as (server, linked):
        link = await linked.link()
        waiting = asyncio.create_task(link.request(m.Command("never"), 5.0))
        await asyncio.sleep(0)
        await link.aclose()
        with pytest.raises(ReactorError) as ended:
            await waiting
        assert ended.value.code == "DISCONNECTED"
        assert not linked.told(PeerTransportLost)


async def test_who_waits_for_it_can_be_cancelled() -> None:
    async with linking(webrtc=False) as (_, linked):
        waiting = asyncio.create_task(linked.begin().ready())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_an_answer_that_is_handed_out_once_is_enough() -> None:
    async with linking(answer_once=True, pending=1, session_id=NIL) as (server, linked):
        link = await linked.link()
        assert isinstance(await link.request(m.Command("ack"), 5.0), m.Ack)
        assert len(server.of("W4")) == 2


async def test_an_answer_is_polled_for_as_often_as_was_asked() -> None:
    async with linking(webrtc=False) as (server, linked):
        with pytest.raises(ReactorError, match="after 3 polls") as late:
            await linked.link(max_attempts=3)
        assert (late.value.code, late.value.component) == ("REQUEST_TIMEOUT", "gpu")
        polls = [each.at for each in server.of("W4")]
        assert len(polls) == 3
        gaps = [later - earlier for earlier, later in pairwise(polls)]
        assert gaps[0] >= 0.2
        assert gaps[1] >= 0.4


@pytest.mark.parametrize(
    "body", [{"sdp_answer": "garbage"}, {"sdp_answer": ""}, {"sdp_answer": 5}, {}, [], b"\xff", "v=0", None, b""]
)
async def test_an_answer_that_is_none_is_an_error_and_nothing_else(body: object) -> None:
    async with linking(faults={"W4": says(body)}) as (_, linked):
        with pytest.raises(ReactorError) as unreadable:
            await linked.link()
        assert unreadable.value.code == "DECODE_FAILED"


@pytest.mark.parametrize(("step", "status", "code"), [
    ("W1", 404, "NOT_FOUND"),
    ("W2", 503, "SERVER_ERROR"),
    ("W3", 409, "CONFLICT"),
    ("W4", 500, "SERVER_ERROR"),
])  # fmt: skip
async def test_a_step_that_is_refused_says_which_refusal(step: str, status: int, code: str) -> None:
    async with linking(faults={step: refuses(status)}) as (_, linked):
        with pytest.raises(ReactorError, match=f"refused with {status}") as refused:
            await linked.link()
        assert (refused.value.code, refused.value.status) == (code, status)


async def test_candidates_known_in_time_are_in_the_offer_and_need_no_request() -> None:
    async with linking() as (server, linked):
        await linked.link()
        assert not server.of("W5")


async def test_an_engine_that_cannot_read_the_answer_says_so_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object, answer: str) -> Negotiated:
        raise ValueError(f"{answer[:3]!r} is not a valid codec")

    async with linking() as (_, linked):
        monkeypatch.setattr(MemoryPeer, "take_answer", fail)
        with pytest.raises(ReactorError, match="unexpected answer to the offer") as unreadable:
            await linked.link()
        assert unreadable.value.code == "DECODE_FAILED"


@pytest.mark.parametrize("status", [404, 409])
async def test_a_number_that_is_not_taken_back_is_replaced_by_a_new_one(status: int) -> None:
    async with linking(faults={"W3": Fault(status, {"detail": "no"}, times=1)}) as (server, linked):
        link = await linked.link(connection=4321, again=True)
        assert [(each.step, each.method) for each in server.of("W2", "W3")] == [
            ("W3", "PUT"),
            ("W2", "POST"),
            ("W3", "POST"),
        ]
        assert link.connection == 5001


async def test_the_one_connection_of_an_old_server_is_offered_again_as_any_other() -> None:
    async with linking(wire=V0, flat=True) as (server, linked):
        first = await linked.link()
        assert first.connection == FLAT
        await linked.link(connection=first.connection, again=True)
        assert [(each.step, each.method) for each in server.of("W2", "F3")] == [("F3", "POST"), ("F3", "PUT")]


async def test_a_model_without_tracks_is_talked_to() -> None:
    async with linking(tracks=[]) as (_, linked):
        link = await linked.link()
        assert isinstance(await link.request(m.Command("ack"), 5.0), m.Ack)
        assert not link.outputs


async def test_a_number_that_was_given_is_used_and_no_other() -> None:
    async with linking() as (server, linked):
        link = await linked.link(connection=4321)
        assert link.connection == 4321
        assert not server.of("W2")
        again = await linked.link(connection=4321, again=True)
        assert again.connection == 4321
    async with linking(faults={"W3": refuses(404)}) as (server, linked):
        with pytest.raises(ReactorError) as unknown:
            await linked.link(connection=4321)
        assert unknown.value.code == "NOT_FOUND"
        assert not server.of("W2")


async def test_events_of_the_model_come_in_the_order_they_were_said() -> None:
    said = [m.ModelMessage("n", {"n": float(n)}) for n in range(50)]
    async with linking(first_words=said) as (_, linked):
        await linked.link()
        await linked.until(lambda: len(linked.told(MessageArrived)) == 50)
        assert linked.messages() == said


@pytest_asyncio.fixture
async def applied(monkeypatch: pytest.MonkeyPatch) -> asyncio.Future[None]:
    """The media sections of an answer are set up when it is done, long after the channels are open."""
    applied, takes = asyncio.get_running_loop().create_future(), MemoryPeer.take_answer

    async def take_answer(peer: MemoryPeer, answer: str) -> Negotiated:
        accepted = await takes(peer, answer)
        await asyncio.shield(applied)
        return accepted

    monkeypatch.setattr(MemoryPeer, "take_answer", take_answer)
    return applied


async def test_who_comes_back_is_ready_when_the_channels_are_open(applied: asyncio.Future[None]) -> None:
    async with linking() as (_, linked):
        link = await linked.link(connection=1, again=True)
        assert isinstance(await link.request(m.Command("echo", {}), 5.0), m.ModelMessage)
        assert not link.outputs
        answered = asyncio.ensure_future(link.answered())
        applied.set_result(None)
        await answered
        assert list(link.outputs) == ["webcam"]


async def test_an_answer_that_turns_out_to_be_useless_ends_the_link(applied: asyncio.Future[None]) -> None:
    async with linking() as (_, linked):
        await linked.link(connection=1, again=True)
        applied.set_exception(PeerError("it has no place for main_video"))
        await linked.until(lambda: bool(linked.told(PeerTransportLost)))
        assert "no place for main_video" in linked.told(PeerTransportLost)[0].reason
