"""What goes wrong with a recording costs the recording: viewers see on, and who asks for a Clip is told."""

from __future__ import annotations

import asyncio
import errno
import re
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from livereactor.base.errors import LivereactorError
from livereactor.blobs.clips import Made, made_key
from livereactor.blobs.port import BlobExistsError, BlobKey, BlobsUnavailableError
from livereactor.protocol import messages as m
from livereactor.protocol import v0
from livereactor.runtime.recording import clips, muxer, uploader
from livereactor.runtime.recording.clips import Clips
from livereactor.runtime.recording.muxer import Muxer
from livereactor.runtime.recording.spool import Spool
from livereactor.runtime.recording.thread import RecordingThread
from tests.integration.rig import Caller, Served, serving
from tests.integration.test_recordings import (
    RECORDED,
    Counted,
    asked,
    counters,
    film,
    made,
    until_no_journal_is_written,
    watched_for,
)
from tests.tools.memory_blobs import MemoryBlobs

CRASHED = "recorder disabled or encoder crashed"


async def stored(served: Served) -> dict[str, bytes]:
    """Everything in the blobs, by the name that follows the id."""
    entries = [entry.key async for entry in served.runtime.blobs.list(BlobKey.parse("recordings"))]
    return {key.path.split("/")[2]: await served.runtime.blobs.get(key) for key in entries}


async def until_stored(served: Served, *names: str) -> dict[str, bytes]:
    async with asyncio.timeout(10):
        while True:
            if set(names) <= set(found := await stored(served)):
                return found
            await asyncio.sleep(0.02)


async def until_counted(served: Served, name: str) -> None:
    async with asyncio.timeout(10):
        while True:
            if served.runtime.recorder.counters()[name]:
                return
            await asyncio.sleep(0.02)


async def streaming(served: Served, codec: Any = None) -> Caller:
    caller = await served.client(await served.start_session(), *([codec] if codec else []), resume=["main_video"])
    await watched_for(caller, 0.5)
    return caller


async def test_an_encoder_that_fails_costs_the_recording_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(muxer, "open_stitchable", failing)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        assert (await asked(caller, m.RequestClip(1, "c1"))).reason == CRASHED
        assert (await asked(caller, m.RequestRecording("c2"))).reason == CRASHED
        await watched_for(caller, 0.5)
        assert b"livereactor_recorder_failures_total 1.0" in await served.runtime.render_metrics()
        await until_no_journal_is_written()


async def test_a_disk_that_fills_up_leaves_what_was_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    append = Spool.append

    def full(self: Spool, what: Any) -> int:
        if what.segment == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return append(self, what)

    monkeypatch.setattr(Spool, "append", full)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        await watched_for(caller, 1.2)
        assert (await asked(caller, m.RequestClip(1, "c1"))).reason == CRASHED
        await watched_for(caller, 0.5)
        found = await until_stored(served, "recording.json", "init.mp4")
        assert "end.json" not in found


async def test_a_slow_recorder_drops_and_viewers_see_on(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    show = Muxer.show

    def slow(self: Muxer, shown: Any) -> None:
        go_on.wait(20)
        show(self, shown)

    monkeypatch.setattr(Muxer, "show", slow)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        await watched_for(caller, 2.0)
        assert served.runtime.recorder.counters()["dropped"] > 10
        go_on.set()
        await watched_for(caller, 0.5)
        ready = await asked(caller, m.RequestClip(60, "c1"))
        assert counters(await film(served, ready.session_id))


class Fickle(MemoryBlobs):
    """A store that can be away."""

    away = False

    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        if self.away:
            raise BlobsUnavailableError("the store is away")
        return await super().put(key, chunks)


async def test_while_the_store_is_away_segments_wait_and_clips_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "RETRIES", (0.05,))
    blobs = Fickle()
    monkeypatch.setattr("tests.integration.rig.MemoryBlobs", lambda: blobs)
    blobs.away = True
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        await watched_for(caller, 1.0)
        assert (await asked(caller, m.RequestClip(1, "c1"))).reason == clips.NOT_STORED
        blobs.away = False
        found = await until_stored(served, "recording.json", "init.mp4", "chunk_00000.m4s")
        assert counters(found["init.mp4"] + found["chunk_00000.m4s"])[0] == 1
        assert isinstance(await asked(caller, m.RequestClip(1, "c2")), m.ClipReady)


async def test_what_the_store_does_not_take_in_time_is_lost_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "RETRIES", (0.05,))
    monkeypatch.setattr(uploader, "MOST_WAITING", 1)
    blobs = Fickle()
    blobs.away = True
    monkeypatch.setattr("tests.integration.rig.MemoryBlobs", lambda: blobs)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        await watched_for(caller, 2.0)
        assert served.runtime.recorder.counters()["segments_lost"] > 0
        blobs.away = False


@pytest.mark.parametrize("request_of", [lambda name: m.RequestClip(0.3, name), m.RequestRecording])
async def test_a_clip_that_cannot_be_read_says_so(
    monkeypatch: pytest.MonkeyPatch, request_of: Callable[[str], m.ClientMessage]
) -> None:
    def gone(*_: Any) -> bytes:
        raise FileNotFoundError("chunk_00000.m4s")

    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        monkeypatch.setattr(Spool, "read", gone)
        ready = await asked(caller, request_of("c1"))
        assert await made(served, ready.session_id) == Made(failed=clips.NOT_CUT)
        monkeypatch.undo()
        ready = await asked(caller, request_of("c2"))
        assert (await made(served, ready.session_id)).failed is None


async def test_a_clip_of_next_to_nothing_is_refused_and_the_recording_goes_on() -> None:
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        assert (await asked(caller, m.RequestClip(1e-17, "c1"))).reason == "duration_seconds must be positive"
        assert isinstance(await asked(caller, m.RequestClip(0.3, "c2")), m.ClipReady)


class Picky(MemoryBlobs):
    """A store that does not take some keys, and lets some wait."""

    refused = held = r"\A\Z"

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        if re.search(self.refused, key.path):
            raise BlobsUnavailableError("the store is away")
        if re.search(self.held, key.path):
            await self.gate.wait()
        return await super().put(key, chunks)


@pytest.fixture
async def picky(monkeypatch: pytest.MonkeyPatch) -> Picky:
    blobs = Picky()
    monkeypatch.setattr("tests.integration.rig.MemoryBlobs", lambda: blobs)
    monkeypatch.setattr(uploader, "RETRIES", (0.05,))
    return blobs


async def test_a_recording_that_is_not_stored_in_time_says_so(picky: Picky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "STORE_WAIT", 0.2)
    picky.refused = "recordings/.*/chunk_"
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        await watched_for(caller, 1.5)
        ready = await asked(caller, m.RequestRecording("c1"))
        assert await made(served, ready.session_id) == Made(failed=clips.NOT_YET)


async def test_a_recording_that_waits_for_its_store_keeps_no_clip_waiting(
    picky: Picky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "AT_ONCE", 1)
    picky.refused = "recordings/.*/chunk_"
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        await watched_for(caller, 1.5)
        whole = await asked(caller, m.RequestRecording("c1"))
        ready = await asked(caller, m.RequestClip(0.3, "c2"))
        assert (await made(served, ready.session_id)).failed is None
        picky.refused = r"\A\Z"
        assert counters(await film(served, whole.session_id))[0] == 1


async def test_a_recording_says_how_many_segments_it_lacks(picky: Picky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "MOST_WAITING", 1)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        await watched_for(caller, 1.5)
        await until_counted(served, "segments_lost")
        ready = await asked(caller, m.RequestRecording("c1"))
        found = await made(served, ready.session_id)
        assert found.lost > 0
        assert sum(seconds for _, seconds in found.parts) < ready.end_marker


async def test_a_store_that_hangs_keeps_each_request_waiting_once(
    picky: Picky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "PROMISE", 0.5)
    picky.held = "asked"
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        began = asyncio.get_running_loop().time()
        for number in range(8):
            caller.say(m.RequestClip(0.3, f"c{number}"))
        answers = [await caller.hear_of(m.ClipReady, m.ClipFailed, label="control") for _ in range(8)]
        assert [each.reason for each in answers] == [clips.NOT_STORED] * 8
        assert asyncio.get_running_loop().time() - began < 3  # one after another they would take 4


async def test_a_promise_that_is_there_already_was_stored_by_a_try_before(
    picky: Picky, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def twice(key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        await MemoryBlobs.put(picky, key, chunks)
        raise BlobExistsError(key)

    monkeypatch.setattr(picky, "put", twice)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        ready = await asked(caller, m.RequestClip(0.3, "c1"))
        assert isinstance(ready, m.ClipReady)
        assert (await made(served, ready.session_id)).failed is None


async def test_a_clip_whose_end_cannot_be_stored_counts_as_failed(
    picky: Picky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "RETRIES", (0.01,))
    picky.refused = "clip.json"
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        assert isinstance(await asked(caller, m.RequestClip(0.3, "c1")), m.ClipReady)
        await until_counted(served, "clips_failed")
        assert served.runtime.recorder.counters()["clips"] == 0


async def test_old_clients_hear_of_a_clip_too_many_in_their_turn(picky: Picky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "MOST", 2)
    picky.held = "asked"
    answer, heard = Clips.answer, list[None]()

    def hear(self: Clips, *args: Any) -> None:
        answer(self, *args)
        heard.append(None)
        if len(heard) == 4:
            picky.gate.set()

    monkeypatch.setattr(Clips, "answer", hear)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served, v0)
        for request in (m.RequestClip(0.1), m.RequestRecording(), m.RequestClip(0.2), m.RequestClip(0)):
            caller.say(request)
        answers = [await caller.hear_of(m.ClipReady, m.ClipFailed) for _ in range(4)]
        kinds = [each.kind if isinstance(each, m.ClipReady) else each.reason for each in answers]
        assert kinds == ["snap", "recording", clips.TOO_MANY, "duration_seconds must be positive"]


@pytest.mark.parametrize(("bound", "few"), [("MOST_BYTES", 1_000), ("MOST_EVER", 1)])
async def test_the_clips_of_one_session_are_bounded(bound: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, bound, few)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        ready = await asked(caller, m.RequestClip(0.3, "c1"))
        assert (await made(served, ready.session_id)).failed is None
        assert (await asked(caller, m.RequestClip(0.3, "c2"))).reason == clips.ENOUGH
        assert (await asked(caller, m.RequestRecording("c3"))).reason == clips.ENOUGH


async def test_of_a_flood_of_requests_few_wait_for_their_turn(picky: Picky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "MOST_REFUSED", 2)
    picky.held = "asked"
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        for request in (m.RequestClip(0.1, "c0"), *(m.RequestClip(0, f"c{number}") for number in range(1, 5))):
            caller.say(request)
        answers = [await caller.hear_of(m.ClipReady, m.ClipFailed, label="control") for _ in range(2)]
        picky.gate.set()
        answers += [await caller.hear_of(m.ClipReady, m.ClipFailed, label="control") for _ in range(3)]
        assert [each.request_id for each in answers] == ["c3", "c4", "c0", "c1", "c2"]


async def test_what_is_still_being_written_is_not_closed_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    writing, reached, go_on, order = threading.Event(), threading.Event(), threading.Event(), list[str]()
    append, close, join = Spool.append, Spool.close, RecordingThread.join

    def slow(self: Spool, what: Any) -> int:
        writing.set()
        go_on.wait(20)
        order.append("written")
        return append(self, what)

    def closed(self: Spool) -> None:
        order.append("closed")
        reached.set()
        close(self)

    def joined(self: RecordingThread) -> bool:
        reached.set()
        return join(self)

    async with serving(Counted, options=RECORDED) as served:
        await streaming(served)
        monkeypatch.setattr(Spool, "append", slow)
        monkeypatch.setattr(Spool, "close", closed)
        monkeypatch.setattr(RecordingThread, "join", joined)
        assert await asyncio.to_thread(writing.wait, 20)
        closing = asyncio.create_task(served.runtime.recorder.aclose(0.1))
        assert await asyncio.to_thread(reached.wait, 20)
        go_on.set()
        await closing
        assert order[-1] == "closed"
        assert order.count("closed") == 1
        assert "written" in order


async def test_old_clients_are_answered_in_the_order_of_their_requests() -> None:
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served, v0)
        for request in (
            m.RequestClip(0.1),
            m.RequestClip(0),
            m.RequestRecording(),
            m.RequestClip(0.2),
            m.RequestClip(-1),
        ):
            caller.say(request)
        answers = [await caller.hear_of(m.ClipReady, m.ClipFailed) for _ in range(5)]
        kinds = [each.kind if isinstance(each, m.ClipReady) else each.reason for each in answers]
        refused = "duration_seconds must be positive"
        assert kinds == ["snap", refused, "recording", "snap", refused]


async def test_more_clips_at_once_than_are_made_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "MOST", 2)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        for number in range(6):
            caller.say(m.RequestClip(0.3, f"c{number}"))
        answers = [await caller.hear_of(m.ClipReady, m.ClipFailed, label="control") for _ in range(6)]
        refused = [each.reason for each in answers if isinstance(each, m.ClipFailed)]
        assert 0 < len(refused) < 6
        assert set(refused) == {clips.TOO_MANY}


async def test_a_session_that_ends_leaves_all_of_it_in_the_blobs() -> None:
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        await watched_for(caller, 1.5)
        ready = await asked(caller, m.RequestClip(1, "c1"))
        await served.http.post("/stop_session")
        found = await until_stored(served, "end.json")
        chunks = sorted(name for name in found if name.startswith("chunk_"))
        seen = counters(found["init.mp4"] + b"".join(found[name] for name in chunks))
        assert seen[0] == 1
        assert len(seen) > 45
        assert (await served.runtime.blobs.get(made_key(ready.session_id))).startswith(b"{")
        await served.state("ready")
        assert served.runtime.recorder.counters()["bytes"] == sum(len(found[name]) for name in chunks)


async def test_the_next_session_has_a_recording_of_its_own() -> None:
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        first = await asked(caller, m.RequestRecording("r1"))
        await served.http.post("/stop_session")
        await served.state("ready")
        caller = await served.client(await served.start_session())
        assert (await asked(caller, m.RequestRecording("r1"))).reason == "no media generated yet"
        with pytest.raises(LivereactorError):
            await served.runtime.blobs.get(BlobKey.parse(f"clips/{first.session_id}/nothing"))
