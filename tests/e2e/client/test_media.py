"""Media, seen by our client. Loopback, one host.

The pace of a model is its server's: the official client shows it in tests/e2e/acceptance.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from typing import Any

import numpy as np
import pytest

from livereactor.client.errors import InvalidStateError
from livereactor.probes.watching import read_barcode
from tests.e2e.acceptance.test_media import (
    test_a_tone_is_heard_at_its_pitch,
    test_frames_come_at_no_more_than_the_models_rate_and_in_order,
    test_one_of_two_tracks_pauses_and_the_other_goes_on,
    test_tags_come_back_on_the_right_frames,
)
from tests.e2e.client.conftest import CONFORMANCE, CONFORMANCE_AV, TAGS, Make
from tests.tools.drivers import ClientError
from tests.tools.processes import Program

__all__ = [
    "test_a_tone_is_heard_at_its_pitch",
    "test_frames_come_at_no_more_than_the_models_rate_and_in_order",
    "test_one_of_two_tracks_pauses_and_the_other_goes_on",
    "test_tags_come_back_on_the_right_frames",
]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def targets() -> tuple[str, ...]:
    """What is needed here."""
    return CONFORMANCE, CONFORMANCE_AV, TAGS


@pytest.mark.alone
async def test_a_slow_frame_handler_delays_nothing_and_gets_the_newest_frame(make: Make, server: Program) -> None:
    reactor = make(server)
    fast: list[int] = []
    slow: list[tuple[int, int]] = []  # its frame, and the newest that had come by then

    def note(frame: np.ndarray) -> None:
        code = read_barcode(frame)
        if code is not None:
            fast.append(code.counter)

    def doze(frame: np.ndarray) -> None:
        code = read_barcode(frame)
        if code is not None:
            slow.append((code.counter, fast[-1] if fast else code.counter))
        time.sleep(0.2)  # what a slow handler does

    track = reactor.track("main_video")
    track.on_frame(doze)
    track.on_frame(note)
    await reactor.connect()
    await reactor.send_command("set_pacing", {"pacing": "backpressure"})
    times: list[float] = []
    ended = time.monotonic() + 3.0
    while time.monotonic() < ended:
        started = time.perf_counter()
        await reactor.send_command("echo", {"value": 1})
        times.append((time.perf_counter() - started) * 1e3)
        await asyncio.sleep(0.02)
    assert statistics.median(times) <= 50.0
    assert 8 <= len(slow) <= 17
    assert statistics.median(newest - seen for seen, newest in slow) <= 2
    assert track.stats.dropped > 0


async def test_a_second_publisher_is_refused_until_the_first_leaves(join: Any) -> None:
    first = await join(watch=None)
    second = await join(session_id=(await first.state())["session"], watch=None)
    await first.ask("publish")
    with pytest.raises(ClientError) as caught:
        await second.ask("publish")
    assert (caught.value.code, caught.value.fields["reason"]) == ("TRACK_PUBLISH_FAILED", "publish_refused")
    assert caught.value.fields["recoverable"] is True
    assert "webcam" in caught.value.message
    await first.ask("unpublish")
    await second.ask("publish")


async def test_a_push_before_publishing_is_refused_by_the_tracks_name(make: Make, server: Program) -> None:
    reactor = make(server)
    await reactor.connect()
    with pytest.raises(InvalidStateError, match="webcam") as caught:
        reactor.track("webcam").push_frame(np.zeros((64, 64, 3), np.uint8))
    assert (caught.value.code, caught.value.component) == ("INVALID_STATE", "client")
    with pytest.raises(ValueError, match="webcam"):  # names what can be sent on
        await reactor.publish_track("main_video")
    with pytest.raises(ValueError, match="webcam"):
        await reactor.publish_track("no_such_track")


async def test_frames_are_read_pulled_and_snapped_as_they_are(make: Make, server: Program, tmp_path: Any) -> None:
    reactor = make(server)
    track = reactor.track("main_video")
    assert track.snapshot() is None
    await reactor.connect()
    frame = await track.read(timeout=5.0)
    assert (frame.dtype, frame.shape) == (np.uint8, (360, 640, 3))
    counters: list[int] = []
    async for each in track.frames():
        code = read_barcode(each)
        if code is not None:
            counters.append(code.counter)
        if len(counters) == 10:
            break
    assert counters == sorted(set(counters))
    assert track.snapshot() is not None
    await track.save_frame(tmp_path / "seen.png")
    assert (tmp_path / "seen.png").stat().st_size > 1000


async def test_handlers_run_off_the_loop_of_the_client_or_on_it_as_they_are(make: Make, server: Program) -> None:
    reactor = make(server)
    threads: dict[str, int] = {}
    seen = asyncio.Event()

    async def on_loop(frame: np.ndarray) -> None:
        threads["async"] = threading.get_ident()
        seen.set()

    reactor.track("main_video").on_frame(on_loop)
    await reactor.connect()
    async with asyncio.timeout(5.0):
        await seen.wait()
    assert threads["async"] == threading.get_ident()
