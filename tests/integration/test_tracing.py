"""What a tracer is told of a Session, its connects, Commands and Frames; kept by the SDK's own exporter."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from livereactor.base import spans
from livereactor.engine.port import PeerConfig
from livereactor.protocol import messages as m
from tests.integration.coordinator.test_with_a_worker import connected
from tests.integration.coordinator.test_with_a_worker import serving as serving_many
from tests.integration.models import OpenFails, Plain
from tests.integration.rig import serving
from tests.tools.client_side import ClientSide

TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT = f"00-{TRACE}-b7ad6b7169203331-01"
PATIENCE = 20.0


class Told:
    """The spans that have ended."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def __iter__(self) -> Iterator[ReadableSpan]:
        return iter(self._exporter.get_finished_spans())

    async def of(self, name: str, count: int = 1) -> list[ReadableSpan]:
        """Those of a name, once there are so many."""
        async with asyncio.timeout(PATIENCE):
            while len(found := [each for each in self if each.name == name]) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # an exporter has no event to wait for
        return found

    async def one(self, name: str) -> ReadableSpan:
        (found,) = await self.of(name)
        return found

    def parts(self, whole: ReadableSpan) -> list[ReadableSpan]:
        """In the order in which they began."""
        parts = [each for each in self if each.parent is not None and each.parent.span_id == id_of(whole)]
        return sorted(parts, key=lambda each: each.start_time or 0)


@pytest.fixture
def told() -> Iterator[Told]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.trace_to(provider.get_tracer("livereactor"))
    yield Told(exporter)
    spans.trace_to(None)
    provider.shutdown()


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def linked(span: ReadableSpan) -> list[str]:
    return [f"{each.context.trace_id:032x}" for each in span.links]


async def test_a_session_and_its_connects_are_parts_of_the_trace_of_whoever_made_it(told: Told) -> None:
    async with serving(Plain) as served:
        sid = (await served.http.post("/start_session", json={}, headers={"traceparent": CLIENT})).json()["session_id"]
        caller = await served.client(sid, resume=["main_video"])
        made, opened, connect = [await told.one(each) for each in ("POST /start_session", "session.open", "connect")]
        assert [trace_of(each) for each in (made, opened, connect)] == [TRACE] * 3
        assert made.parent is not None
        assert f"{made.parent.span_id:016x}" == CLIENT.split("-")[2]
        assert opened.parent is not None
        assert opened.parent.span_id == id_of(made)
        assert (opened.attributes or {})["livereactor.session"] == sid
        assert (connect.attributes or {})["livereactor.connection"] == caller.number
        offer = await told.one("POST /sessions/{sid}/transport/webrtc/connections/{cid}/sdp_params")
        assert linked(connect) == [trace_of(offer)]
        assert all(each.status.is_ok or each.status.is_unset for each in told)


async def test_a_command_and_a_frame_are_traces_of_their_own_that_name_the_sessions(told: Told) -> None:
    async with serving(Plain) as served:
        sid = (await served.http.post("/start_session", json={}, headers={"traceparent": CLIENT})).json()["session_id"]
        caller = await served.client(sid, resume=["main_video"])
        assert isinstance(await caller.command("refuse"), m.Failure)
        command, frame = await told.one("command"), (await told.of("frame"))[0]
        for whole in (command, frame):
            assert whole.parent is None
            assert trace_of(whole) != TRACE
            assert linked(whole) == [TRACE]
            assert (whole.attributes or {})["livereactor.session"] == sid
            parts = told.parts(whole)
            assert parts[0].start_time == pytest.approx(whole.start_time, abs=2e3)  # nanoseconds
            for before, after in itertools.pairwise(parts):  # one behind the other
                assert after.start_time == pytest.approx(before.end_time, abs=2e3)
            assert parts[-1].end_time == pytest.approx(whole.end_time, abs=2e3)
        assert [each.name for each in told.parts(command)] == ["wait", "run", "reply"]
        assert [each.name for each in told.parts(frame)] == ["step", "queue", "convert", "encode", "send"]
        assert (command.attributes or {})["livereactor.command"] == "refuse"
        assert command.status.description == "busy"


async def test_of_a_tracks_frames_one_a_second_is_traced(told: Told) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        await served.client(sid, resume=["main_video"])
        first, second = (await told.of("frame", 2))[:2]
        assert (second.end_time or 0) - (first.end_time or 0) >= 0.99e9


async def test_a_model_that_cannot_open_and_a_client_that_never_comes_are_told_as_errors(told: Told) -> None:
    OpenFails.failures = 1
    async with serving(OpenFails) as served:
        await served.http.post("/start_session", json={})
        assert (await told.one("session.open")).status.description == "internal_error"
    async with serving(Plain) as served:
        sid = await served.start_session()
        number = (await served.http.post(served.path(sid, "connections"), json={})).json()["connection_id"]
        side = await ClientSide.make(served.engine, PeerConfig())
        body = await served.offer_text(side, ("data", "control"))
        await served.http.post(served.path(sid, f"connections/{number}/sdp_params"), json=body)
        await served.http.post("/stop_session")
        assert (await told.one("connect")).status.description == "gone"
        await side.aclose()


@pytest.mark.parametrize("text", ["", "00-0-0-01", CLIENT + "-more", CLIENT.replace(TRACE, "0" * 32), "x" * 9_000])
async def test_what_is_no_trace_context_begins_a_trace(told: Told, text: str) -> None:
    async with serving(Plain) as served:
        await served.http.post("/start_session", json={}, headers={"traceparent": text})
        made = await told.one("POST /start_session")
        assert made.parent is None


async def test_looking_on_is_not_traced(told: Told) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        for path in ("/health", "/metrics", "/session", "/limits", f"/sessions/{sid}/stages"):
            await served.http.get(path, headers={"traceparent": CLIENT})
        assert [each.name for each in told if each.kind.name == "SERVER"] == ["POST /start_session"]


async def test_a_coordinator_tells_how_long_one_waited_and_its_worker_goes_on_in_the_same_trace(told: Told) -> None:
    async with serving_many() as (served, engine):
        made = await served.http.post("/sessions", json={"model": {"name": "plain"}}, headers={"traceparent": CLIENT})
        session = made.json()["session_id"]
        side = await connected(served, engine, session)
        post = await told.one("POST /sessions")
        names = ("session.queued", "session.assigned", "session.open", "connect")
        queued, assigned, opened, connect = [await told.one(each) for each in names]
        for each in (post, queued, assigned, opened, connect):
            assert trace_of(each) == TRACE
            assert each is post or (each.attributes or {})["livereactor.session"] == session
        assert queued.end_time == pytest.approx(assigned.start_time, abs=2e3)
        assert (queued.start_time or 0) - (post.start_time or 0) < 5e9
        # A relayed request: the worker's span is a part of the coordinator's.
        worker, coordinator = sorted(
            await told.of("POST /sessions/{sid}/transport/webrtc/connections/{cid}/sdp_params", 2),
            key=lambda each: each.parent is None,
        )
        assert worker.parent is not None
        assert worker.parent.span_id == id_of(coordinator)
        await side.aclose()


async def test_without_a_tracer_nothing_of_a_context_is_kept_or_carried() -> None:
    async with serving_many() as (served, engine):
        made = await served.http.post("/sessions", json={"model": {"name": "plain"}}, headers={"traceparent": CLIENT})
        session = made.json()["session_id"]
        side = await connected(served, engine, session)
        record = await served.store.read(lambda tx: tx.session(session))
        assert record is not None
        assert spans.HEADER not in record.start
        await side.aclose()
