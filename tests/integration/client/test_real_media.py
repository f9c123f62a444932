"""A Reactor's Tracks on the real engine, against `livereactor run` with the conformance model."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import pytest_asyncio

from livereactor import Reactor
from livereactor.base.clock import monotonic_us
from livereactor.probes.watching import CLOCK_MASK, Barcode, draw_barcode, read_barcode
from tests.tools.fixtures import server, start
from tests.tools.processes import Program

__all__ = ["server", "start"]

on_one_loop = pytest.mark.asyncio(loop_scope="module")
PATIENCE = 15.0

PROGRAM = """
import asyncio, sys
import livereactor as lr

async def main():
    global reactor
    reactor = lr.Reactor("conformance", local=sys.argv[1])
    track = reactor.track("main_video")
    track.on_frame(lambda frame: None)
    await reactor.connect()
    await track.read()

asyncio.run(main())
"""


@pytest_asyncio.fixture(loop_scope="module")
async def reactor(server: Program) -> AsyncIterator[Reactor]:
    async with Reactor("conformance", local=server.url) as reactor:
        await reactor.send_command("set_source", {"source": "webcam"})
        yield reactor


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of our pictures, made before anybody is connected: this thread is busy meanwhile."""
    path = tmp_path_factory.mktemp("film") / "film.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=30, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 640, 360, "yuv420p", 3_000_000
        for number in range(1, 61):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode())
    return path


def picture(number: int) -> Any:
    """One of ours: grey, with a barcode that says which."""
    pixels = np.full((360, 640, 3), 90, np.uint8)
    draw_barcode(pixels, Barcode(number, monotonic_us() & CLOCK_MASK, client=True))
    return pixels


async def echoed(reactor: Reactor, count: int) -> list[int]:
    """The numbers of our pictures as they come back."""
    numbers = list[int]()
    async with asyncio.timeout(PATIENCE):
        async for frame in reactor.track("main_video").frames():
            code = read_barcode(frame)
            if code is not None and code.client:
                numbers.append(code.counter)
            if len(numbers) == count:
                return numbers
    raise AssertionError("the stream ended")


@on_one_loop
async def test_an_iterable_is_seen_by_the_model_and_comes_back_in_order(reactor: Reactor) -> None:
    track = await reactor.publish_track("webcam", (picture(number) for number in itertools.count(1)))
    numbers = await echoed(reactor, 15)
    assert numbers == sorted(numbers)
    assert track.stats.refused <= 2
    await reactor.unpublish_track("webcam")
    assert not track.published


@on_one_loop
async def test_a_film_is_seen_by_the_model(film: Path, reactor: Reactor) -> None:
    await reactor.publish_track("webcam", film)
    numbers = await echoed(reactor, 10)
    assert numbers == sorted(numbers)


@on_one_loop
async def test_a_source_is_published_again_after_a_reconnect_and_a_paused_track_stays_so(reactor: Reactor) -> None:
    track = await reactor.publish_track("webcam", (picture(number) for number in itertools.count(1)))
    await echoed(reactor, 3)
    session = reactor.session_id
    await reactor.disconnect(recoverable=True)
    assert not track.published
    await reactor.reconnect()
    last = (await echoed(reactor, 3))[-1]
    assert (reactor.session_id, track.published) == (session, True)
    await reactor.track("main_video").pause()
    await reactor.disconnect(recoverable=True)
    await reactor.reconnect()
    assert reactor.paused_tracks == ["main_video"]
    await reactor.track("main_video").resume()
    numbers = await echoed(reactor, 3)  # the first is the picture that was on when it was paused
    assert last <= numbers[0] < numbers[-1]


@on_one_loop
async def test_resuming_brings_a_picture_soon(reactor: Reactor) -> None:
    await reactor.publish_track("webcam", (picture(number) for number in itertools.count(1)))
    track = reactor.track("main_video")
    await echoed(reactor, 3)
    await track.pause()
    received = track.stats.received
    await asyncio.sleep(0.3)  # what is under way arrives, and is left out
    assert track.stats.received == received
    await track.resume()
    await track.read(timeout=3.0)


def test_a_program_that_ends_with_its_client_open_ends_cleanly(server: Program) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, server.url], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "panicked" in done.stderr) == (0, False), done.stderr
