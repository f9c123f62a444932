"""Clips and recordings over the wire: asked for in both formats, cut in the background, there in the blobs."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from typing import Any, cast

import av
import numpy as np
import pytest

import livereactor as lr
from livereactor.blobs.clips import Asked, Made, asked_key, made_key
from livereactor.blobs.port import BlobKey, BlobMissingError
from livereactor.blobs.retention import RetentionLoop, Rules, always
from livereactor.media.frames import Frame
from livereactor.probes.watching import Barcode, draw_barcode, read_barcode
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.runtime.recording.lifecycle import DISABLED
from livereactor.runtime.recording.options import RecorderOptions
from tests.integration.rig import Caller, Served, serving

RECORDED = {"recorder": RecorderOptions()}
PATIENCE = 30.0  # seconds for what takes a moment on an idle machine


class Counted(lr.Model):
    """Numbers its pictures."""

    main_video = lr.VideoOut(width=320, height=192, fps=30)

    def stream(self) -> Iterator[Any]:
        count = 0
        while True:
            count += 1
            pixels = np.full((192, 320, 3), 90, np.uint8)
            draw_barcode(pixels, Barcode(count, 0))
            yield pixels


async def until_no_journal_is_written() -> None:
    async with asyncio.timeout(10):
        while any(each.name == "journal" for each in threading.enumerate()):  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.02)


async def watched_for(caller: Caller, seconds: float) -> None:
    """Wait until the client was shown so many seconds of pictures."""
    loop, enough, left = asyncio.get_running_loop(), asyncio.Event(), round(seconds * 30)

    def seen(_: Frame) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            loop.call_soon_threadsafe(enough.set)

    caller.side.tracks["0"].on_frame(seen)
    await asyncio.wait_for(enough.wait(), PATIENCE + seconds)


async def made(served: Served, clip: str) -> Made:
    """What became of a Clip."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return Made.model_validate_json(await served.runtime.blobs.get(made_key(clip)))
            except BlobMissingError:
                await asyncio.sleep(0.02)


async def film(served: Served, clip: str) -> bytes:
    parts = await made(served, clip)
    assert parts.failed is None
    assert parts.init is not None
    keys = [parts.init, *(key for key, _ in parts.parts)]
    return b"".join([await served.runtime.blobs.get(BlobKey.parse(key)) for key in keys])


def counters(data: bytes) -> list[int]:
    with av.open(io.BytesIO(data), "r") as container:
        codes = [read_barcode(cast(Any, frame).to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [code.counter for code in codes if code is not None]


def are_all(seen: list[int], served: Served) -> bool:
    """In order, each once, and none is missing but those that viewers were not shown either."""
    missed = served.runtime.outputs.counters()["main_video"]["dropped"]
    return seen == sorted(set(seen)) and seen[-1] - seen[0] + 1 - len(seen) <= missed


async def asked(caller: Caller, request: m.ClientMessage) -> Any:
    caller.say(request)
    label = "control" if caller.codec is v1 else "data"
    return await caller.hear_of(m.ClipReady, m.ClipFailed, label=label)


@pytest.mark.parametrize("codec", [v1, v0])
async def test_a_clip_shows_the_last_seconds(codec: Any) -> None:
    async with serving(Counted, options=RECORDED) as served:
        sid = await served.start_session()
        caller = await served.client(sid, codec, resume=["main_video"])
        await watched_for(caller, 2.5)
        ready = await asked(caller, m.RequestClip(1.5, "c1" if codec is v1 else None))
        assert isinstance(ready, m.ClipReady)
        assert ready.kind == "snap"
        assert ready.end_marker - ready.start_marker == pytest.approx(1.5)
        promise = Asked.model_validate_json(await served.runtime.blobs.get(asked_key(ready.session_id)))
        assert (promise.session, promise.kind) == (sid, "snap")
        seen = counters(await film(served, ready.session_id))
        assert seen[-1] - seen[0] == pytest.approx(45, abs=3)
        assert are_all(seen, served)


@pytest.mark.parametrize("codec", [v1, v0])
async def test_a_recording_shows_all_of_it(codec: Any) -> None:
    async with serving(Counted, options=RECORDED) as served:
        sid = await served.start_session()
        caller = await served.client(sid, codec, resume=["main_video"])
        await watched_for(caller, 2.5)
        ready = await asked(caller, m.RequestRecording("r1" if codec is v1 else None))
        assert isinstance(ready, m.ClipReady)
        assert (ready.kind, ready.start_marker) == ("recording", 0.0)
        seen = counters(await film(served, ready.session_id))
        assert seen[0] == 1
        assert seen[-1] == pytest.approx(ready.end_marker * 30, abs=3)
        assert are_all(seen, served)


class Tone(Counted):
    """Numbers its pictures, and beeps."""

    voice = lr.AudioOut(channels=2)

    def stream(self) -> Iterator[Any]:
        tone = (np.sin(np.arange(1600) * 2 * np.pi * 600 / 48_000) * 8000).astype(np.int16)
        for pixels in super().stream():
            yield {"main_video": pixels, "voice": tone}


async def test_a_clip_sounds_as_what_was_played() -> None:
    async with serving(Tone, options=RECORDED) as served:
        sid = await served.start_session()
        caller = await served.client(sid, resume=["main_video", "voice"])
        await watched_for(caller, 2.5)
        ready = await asked(caller, m.RequestClip(1.5, "c1"))
        with av.open(io.BytesIO(await film(served, ready.session_id)), "r") as container:
            sound = np.concatenate([frame.to_ndarray() for frame in cast(Any, container).decode(audio=0)], axis=1)
        assert sound.shape[1] / 48_000 == pytest.approx(1.5, abs=0.15)
        middle = sound[0, 9600:57_600]
        assert np.argmax(np.abs(np.fft.rfft(middle))) == pytest.approx(600, abs=5)


async def test_without_a_recorder_there_is_no_clip() -> None:
    async with serving(Counted) as served:
        sid = await served.start_session()
        for codec, request_id in ((v1, "c1"), (v0, None)):
            caller = await served.client(sid, codec)
            assert await asked(caller, m.RequestClip(5, request_id)) == m.ClipFailed("recorder disabled", request_id)
        assert (await served.http.get("/session")).json()["recording"] == {"enabled": False}


async def test_a_stepped_session_is_not_recorded() -> None:
    async with serving(Counted, options=RECORDED) as served:
        caller = await served.client(await served.start_session(generation="stepped"))
        failed = await asked(caller, m.RequestRecording("r1"))
        assert failed.reason == "a stepped session is not recorded, so it has no clips"


async def test_before_the_first_picture_there_is_nothing_to_cut() -> None:
    async with serving(Counted, options=RECORDED) as served:
        caller = await served.client(await served.start_session())
        assert (await asked(caller, m.RequestClip(5, "c1"))).reason == "no media generated yet"
        assert (await served.http.get("/session")).json()["recording"] == {"enabled": True, "chunk_seconds": 1.0}


async def test_without_room_a_session_streams_and_is_not_recorded() -> None:
    async with serving(Counted, options=RECORDED) as served:
        blobs, rules = served.runtime.blobs, Rules(max_bytes=0)
        await blobs.put(BlobKey("recordings/runs/init.mp4"), b"x")

        async def is_open(session: str) -> bool:
            return False

        await RetentionLoop(blobs, rules, is_open=is_open, leads=always).round()
        sid = await served.start_session()
        caller = await served.client(sid, v1, resume=["main_video"])
        await watched_for(caller, 1.0)
        refused = await asked(caller, m.RequestClip(1.0, "c1"))
        assert isinstance(refused, m.ClipFailed)
        assert refused.reason == DISABLED
        await until_no_journal_is_written()
