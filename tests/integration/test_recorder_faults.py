"""What goes wrong with a recording costs the recording: viewers see on, and who asks for a Clip is told."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from livereactor.base.errors import LivereactorError
from livereactor.blobs.clips import Made, made_key
from livereactor.blobs.memory import MemoryBlobs
from livereactor.blobs.port import BlobKey, BlobsUnavailableError
from livereactor.protocol import messages as m
from livereactor.protocol import v0
from livereactor.runtime.recorder import clips as clipping
from livereactor.runtime.recorder import pictures, storing
from livereactor.runtime.recorder.filming import Filming
from livereactor.runtime.recorder.spool import Spool
from tests.integration.rig import Caller, Served, serving
from tests.integration.test_recordings import RECORDED, Counted, asked, counters, film, made, watched_for

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


async def streaming(served: Served, codec: Any = None) -> Caller:
    caller = await served.client(await served.start_session(), *([codec] if codec else []), resume=["main_video"])
    await watched_for(caller, 0.5)
    return caller


async def test_an_encoder_that_fails_costs_the_recording_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(pictures, "open_stitchable", failing)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        assert (await asked(caller, m.RequestClip(1, "c1"))).reason == CRASHED
        assert (await asked(caller, m.RequestRecording("c2"))).reason == CRASHED
        await watched_for(caller, 0.5)
        assert b"livereactor_recorder_failures_total 1.0" in await served.runtime.figures()


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
    show = Filming.show

    def slow(self: Filming, shown: Any) -> None:
        go_on.wait(20)
        show(self, shown)

    monkeypatch.setattr(Filming, "show", slow)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        await watched_for(caller, 2.0)
        assert served.runtime._shell.recorder.counters()["dropped"] > 10
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
    monkeypatch.setattr(storing, "RETRIES", (0.05,))
    blobs = Fickle()
    monkeypatch.setattr("tests.integration.rig.MemoryBlobs", lambda: blobs)
    blobs.away = True
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        await watched_for(caller, 1.0)
        assert (await asked(caller, m.RequestClip(1, "c1"))).reason == clipping.NOT_STORED
        blobs.away = False
        found = await until_stored(served, "recording.json", "init.mp4", "chunk_00000.m4s")
        assert counters(found["init.mp4"] + found["chunk_00000.m4s"])[0] == 1
        assert isinstance(await asked(caller, m.RequestClip(1, "c2")), m.ClipReady)


async def test_what_the_store_does_not_take_in_time_is_lost_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "RETRIES", (0.05,))
    monkeypatch.setattr(storing, "MOST_WAITING", 1)
    blobs = Fickle()
    blobs.away = True
    monkeypatch.setattr("tests.integration.rig.MemoryBlobs", lambda: blobs)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        await watched_for(caller, 2.0)
        assert served.runtime._shell.recorder.counters()["segments_lost"] > 0
        blobs.away = False


async def test_a_clip_that_cannot_be_cut_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> bytes:
        raise FileNotFoundError("chunk_00000.m4s")

    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        monkeypatch.setattr(Spool, "read", gone)
        ready = await asked(caller, m.RequestClip(0.3, "c1"))
        assert await made(served, ready.session_id) == Made(failed=clipping.NOT_CUT)
        monkeypatch.undo()
        ready = await asked(caller, m.RequestClip(0.3, "c2"))
        assert (await made(served, ready.session_id)).failed is None


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
    monkeypatch.setattr(clipping, "MOST", 2)
    async with serving(Counted, options=RECORDED) as served:
        caller = await streaming(served)
        for number in range(6):
            caller.say(m.RequestClip(0.3, f"c{number}"))
        answers = [await caller.hear_of(m.ClipReady, m.ClipFailed, label="control") for _ in range(6)]
        refused = [each.reason for each in answers if isinstance(each, m.ClipFailed)]
        assert 0 < len(refused) < 6
        assert set(refused) == {clipping.TOO_MANY}


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
        assert served.runtime._shell.recorder.counters()["bytes"] == sum(len(found[name]) for name in chunks)


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
