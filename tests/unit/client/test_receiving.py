"""What a Track gives to handlers and iterators, and that nobody waits for a slow one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from livereactor.client.errors import ReactorError
from livereactor.client.tracks.frame_streams import Frames
from livereactor.client.tracks.receiving import accepted
from livereactor.client.tracks.track import Track
from livereactor.media.frames import Frame
from tests.unit.client.media_rig import PATIENCE, Got, Rig, Wire, ended, eventually, flat, rigged


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rigged() as rig:
        yield rig


@pytest.fixture
async def wire(rig: Rig) -> Wire:
    return await rig.connect()


async def test_a_handler_gets_as_much_as_it_accepts(rig: Rig, wire: Wire) -> None:
    one, two, all_of_it, any_number = Got(), Got(), Got(), Got()
    track = rig.tracks.track("main_video")
    track.on_frame(lambda frame: one(frame))
    track.on_frame(lambda frame, number: two((frame, number)))
    track.on_frame(lambda frame, frame_id, timestamp_us, user_data: all_of_it((frame_id, timestamp_us, user_data)))
    track.on_frame(any_number)
    wire.show(7, tag=b"tag", at=1234)
    assert (await one.count(1))[0].tolist() == flat(7).tolist()
    assert (await two.count(1))[0][1] == 1
    assert await all_of_it.count(1) == [(1, 1234, b"tag")]
    assert len((await any_number.count(1))[0]) == 4


async def test_a_frame_without_a_time_says_zero(rig: Rig, wire: Wire) -> None:
    got = Got()
    rig.tracks.track("main_video").on_frame(lambda frame, number, at: got(at))
    wire.show(1)
    assert await got.count(1) == [0]


async def test_a_handler_of_sound_gets_samples_rate_and_channels(rig: Rig, wire: Wire) -> None:
    got = Got()
    rig.tracks.track("main_audio").on_frame(got)
    wire.say(5)
    ((samples, rate, channels),) = await got.count(1)
    assert (samples.shape, samples.dtype, rate, channels) == ((480, 1), np.int16, 48_000, 1)


async def test_raw_handlers_get_bytes(rig: Rig, wire: Wire) -> None:
    pictures, sounds = Got(), Got()
    rig.tracks.track("main_video").on_raw_frame(pictures)
    rig.tracks.track("main_audio").on_raw_frame(sounds)
    wire.show(9, width=4, height=2, tag=b"t", at=77)
    wire.say(258)
    assert await pictures.count(1) == [(bytes([9, 9, 9, 255]) * 8, 4, 2, 1, 77, b"t")]
    assert await sounds.count(1) == [(b"\x02\x01" * 480, 480, 48_000, 1)]


async def test_a_handler_may_come_before_the_connection(rig: Rig) -> None:
    got = Got()
    track = rig.tracks.track("main_audio")
    track.on_frame(lambda samples, rate: got(rate))
    (await rig.connect()).say(1)
    assert await got.count(1) == [48_000]
    assert rig.tracks.track("main_audio") is track


async def test_a_slow_handler_gets_the_newest_and_delays_nobody(rig: Rig, wire: Wire) -> None:
    track, free, entered = rig.tracks.track("main_video"), threading.Event(), Got()

    def slow(frame: Any) -> None:
        entered(int(frame[0, 0, 0]))
        assert free.wait(PATIENCE)

    quick = Got()
    track.on_frame(slow)
    track.on_frame(lambda frame: quick(int(frame[0, 0, 0])))
    for value in (1, 2, 3, 4):
        wire.show(value)
        await quick.until(lambda items, value=value: items[-1:] == [value])
        await entered.count(1)
    assert entered.items == [1]
    free.set()
    assert await entered.count(2) == [1, 4]
    stats = track.stats
    assert (stats.received, stats.dropped, stats.delivered) == (4, 2, 6)


async def test_an_async_handler_runs_on_the_loop_one_call_after_the_other(rig: Rig, wire: Wire) -> None:
    track, free, seen = rig.tracks.track("main_video"), asyncio.Event(), Got()
    running = 0

    async def handler(frame: Any) -> None:
        nonlocal running
        running += 1
        assert running == 1
        assert threading.current_thread() is threading.main_thread()
        seen(int(frame[0, 0, 0]))
        await free.wait()
        running -= 1

    track.on_frame(handler)
    wire.show(1)
    await seen.count(1)
    other = Got()
    track.on_frame(lambda frame: other(frame))
    for value in (2, 3):
        wire.show(value)
    await other.until(lambda items: bool(items) and items[-1][0, 0, 0] == 3)
    free.set()
    assert await seen.count(2) == [1, 3]


async def test_a_raising_handler_is_counted_and_stops_nobody(rig: Rig, wire: Wire) -> None:
    track, got = rig.tracks.track("main_video"), Got()

    def broken(frame: Any) -> None:
        got("called")
        raise RuntimeError("a user's bug")

    track.on_frame(broken)
    wire.show(1)
    await got.count(1)
    wire.show(2)
    await got.count(2)
    await eventually(lambda: track.stats.failed == 2)
    assert track.stats.delivered == 2


async def test_a_handler_twice_is_called_once_and_not_after_it_was_taken_off(rig: Rig, wire: Wire) -> None:
    track, got, other = rig.tracks.track("main_video"), Got(), Got()
    track.on_frame(got)
    track.on_frame(got)
    track.on_frame(other)
    wire.show(1)
    await other.count(1)
    await got.count(1)
    track.off_frame(got)
    track.off_frame(print)
    wire.show(2)
    await other.count(2)
    assert len(got.items) == 1


@pytest.mark.parametrize("handler", [None, lambda *, frame: None], ids=["nothing", "keywords only"])
async def test_what_cannot_be_a_handler_is_a_type_error(rig: Rig, handler: Any) -> None:
    with pytest.raises(TypeError):
        rig.tracks.track("main_video").on_frame(handler)


def test_a_builtin_takes_the_frame_alone() -> None:
    assert accepted([].append) == 1
    assert accepted(lambda: None) == 0
    assert accepted(lambda *args: None) is None


async def test_an_input_has_nothing_to_receive(rig: Rig, wire: Wire) -> None:
    with pytest.raises(ValueError, match="`webcam` is an input"):
        rig.tracks.track("webcam").on_frame(print)
    with pytest.raises(ValueError, match="pause"):
        await rig.tracks.track("webcam").pause()


async def test_a_loop_gets_the_frames_and_ends_with_the_connection(rig: Rig, wire: Wire) -> None:
    frames = rig.tracks.track("main_video").frames()
    seen = list[int]()
    wire.show(1)
    async for frame in frames:
        seen.append(int(frame[0, 0, 0]))
        if len(seen) == 3:
            rig.tracks.disconnected()
        else:
            wire.show(seen[-1] + 1)
    assert seen == [1, 2, 3]


async def test_latest_keeps_the_newest_and_block_the_oldest() -> None:
    latest, block, sound = Frames(), Frames(2, "block"), Frames(3, "fifo")
    for value in (1, 2, 3, 4):
        for frames in (latest, block, sound):
            frames.put(Frame(flat(value)))
    taken = [[int((await anext(frames))[0, 0, 0]) for _ in range(2)] for frames in (latest, block, sound)]
    assert taken == [[3, 4], [1, 2], [2, 3]]
    assert (latest.dropped, block.dropped, sound.dropped) == (2, 2, 1)


async def test_sound_is_kept_in_order_by_itself(rig: Rig, wire: Wire) -> None:
    frames = rig.tracks.track("main_audio").frames()
    for level in range(20):
        wire.say(level)
    assert [int((await anext(frames))[0, 0]) for _ in range(20)] == list(range(20))
    assert frames.dropped == 0


async def test_a_loop_that_was_left_is_forgotten(rig: Rig, wire: Wire) -> None:
    track, got = rig.tracks.track("main_video"), Got()
    track.on_frame(lambda frame: got(int(frame[0, 0, 0])))
    wire.show(1)
    async for _ in track.frames():
        break
    await got.count(1)
    for value in (2, 3, 4, 5):
        wire.show(value)
        await got.until(lambda items, value=value: items[-1:] == [value])
    assert track.stats.dropped == 0


@pytest.mark.parametrize("asked", [{"maxsize": 0}, {"policy": "newest"}])
async def test_a_buffer_that_cannot_be_is_refused(rig: Rig, asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(asked))):
        rig.tracks.track("main_video").frames(**asked)


async def test_read_waits_for_the_next_frame_and_takes_none_twice(rig: Rig, wire: Wire) -> None:
    track = rig.tracks.track("main_video")
    reading = asyncio.create_task(track.read())
    await asyncio.sleep(0)
    wire.show(1)
    assert (await reading)[0, 0, 0] == 1
    with pytest.raises(ReactorError) as caught:
        await track.read(timeout=0.01)
    assert (caught.value.code, caught.value.recoverable) == ("REQUEST_TIMEOUT", True)


async def test_read_ends_when_the_client_is_disconnected(rig: Rig, wire: Wire) -> None:
    reading = asyncio.create_task(rig.tracks.track("main_video").read())
    await asyncio.sleep(0)
    rig.tracks.disconnected()
    with pytest.raises(ReactorError) as caught:
        await reading
    assert caught.value.code == "DISCONNECTED"


async def read_and_disconnected(rig: Rig, wire: Wire) -> Track:
    """A track of which one picture was read before the client was disconnected."""
    track = rig.tracks.track("main_video")
    reading = asyncio.create_task(track.read())
    await asyncio.sleep(0)
    wire.show(1)
    await reading
    rig.tracks.disconnected()
    return track


async def test_read_tells_of_an_end_that_came_between_two_calls_and_waits_for_the_next_session(
    rig: Rig, wire: Wire
) -> None:
    track = await read_and_disconnected(rig, wire)
    with pytest.raises(ReactorError) as caught:
        await track.read(timeout=PATIENCE)
    assert caught.value.code == "DISCONNECTED"
    with pytest.raises(ReactorError) as caught:
        await track.read(timeout=0.01)
    assert caught.value.code == "REQUEST_TIMEOUT"


async def test_an_end_of_which_nobody_asked_is_none_of_the_next_sessions(rig: Rig, wire: Wire) -> None:
    track = await read_and_disconnected(rig, wire)
    wire = await rig.connect()
    again = asyncio.create_task(track.read())
    await asyncio.sleep(0)
    wire.show(2)
    assert (await again)[0, 0, 0] == 2


@pytest.mark.parametrize(("timeout", "error"), [(None, TypeError), (0, ValueError), (float("inf"), ValueError)])
async def test_read_is_bounded(rig: Rig, timeout: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await rig.tracks.track("main_video").read(timeout)


async def test_a_closed_client_has_frames_for_nobody(rig: Rig, wire: Wire) -> None:
    early = rig.tracks.track("main_video").frames()
    rig.tracks.close()
    rig.tracks.declared.clear()
    for frames in (early, rig.tracks.track("main_video").frames(), rig.tracks.track("never_seen").frames()):
        assert [frame async for frame in frames] == []
    with pytest.raises(ReactorError) as caught:
        await rig.tracks.track("main_video").read(timeout=PATIENCE)
    assert caught.value.code == "DISCONNECTED"


async def test_a_snapshot_is_the_newest_picture(rig: Rig, wire: Wire) -> None:
    track = rig.tracks.track("main_video")
    assert track.snapshot() is None
    wire.show(3)
    await track.read()
    newest = track.snapshot()
    assert newest is not None
    assert newest[0, 0, 0] == 3
    with pytest.raises(ValueError, match="audio"):
        rig.tracks.track("main_audio").snapshot()


async def test_a_frame_is_saved_in_its_colours(rig: Rig, wire: Wire, tmp_path: Path) -> None:
    track = rig.tracks.track("main_video")
    saving = asyncio.create_task(track.save_frame(tmp_path / "a.png"))
    await asyncio.sleep(0)
    wire.show(40)
    assert await saving == tmp_path / "a.png"
    saved = cv2.imread(str(tmp_path / "a.png"))
    assert saved is not None
    assert saved.tolist() == flat(40).tolist()


@pytest.mark.parametrize("name", ["frame", "frame.nosuch"])
async def test_a_format_without_an_encoder_is_refused(rig: Rig, wire: Wire, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no encoder"):
        await rig.tracks.track("main_video").save_frame(tmp_path / name)


async def test_a_new_size_is_a_new_shape(rig: Rig, wire: Wire) -> None:
    track = rig.tracks.track("main_video")
    got = Got()
    track.on_frame(lambda frame: got(frame.shape))
    wire.show(1)
    await got.count(1)
    wire.show(1, width=128, height=96)
    assert await got.count(2) == [(48, 64, 3), (96, 128, 3)]


async def test_pausing_stops_delivery_at_once_and_asks_the_server(rig: Rig, wire: Wire) -> None:
    track, got, heard = rig.tracks.track("main_video"), Got(), Got()
    track.on_frame(lambda frame: got(int(frame[0, 0, 0])))
    rig.tracks.track("main_audio").on_frame(lambda samples: heard(int(samples[0, 0])))
    await track.pause()
    wire.show(1)
    wire.say(1)
    await heard.count(1)
    assert (track.paused, rig.tracks.paused, got.items) == (True, ["main_video"], [])
    await track.resume()
    wire.show(2)
    assert await got.count(1) == [2]
    assert rig.port.asked == [("pause", "main_video"), ("resume", "main_video")]


async def test_what_was_paused_stays_so_on_the_next_connection(rig: Rig, wire: Wire) -> None:
    await rig.tracks.track("main_video").pause()
    rig.tracks.detach()
    assert rig.tracks.wanted == ["main_audio"]
    await rig.tracks.track("main_audio").pause()
    await rig.tracks.track("main_video").resume()
    assert rig.port.asked == [("pause", "main_video")]
    await rig.connect()
    assert (rig.tracks.wanted, rig.tracks.paused) == (["main_video"], ["main_audio"])


async def test_without_auto_resume_everything_is_paused_but_what_was_resumed(rig: Rig) -> None:
    await rig.tracks.track("main_audio").resume()
    await rig.connect(resumes=False)
    assert (rig.tracks.wanted, rig.tracks.paused) == (["main_audio"], ["main_video"])


async def test_no_frame_of_an_earlier_connection_comes_after_it(rig: Rig, wire: Wire) -> None:
    track, got = rig.tracks.track("main_video"), Got()
    track.on_frame(lambda frame: got(int(frame[0, 0, 0])))
    wire.show(1)
    await got.count(1)
    rig.tracks.detach(quiet=True)
    again = await rig.connect()
    wire.show(2)
    again.show(3)
    assert await got.count(2) == [1, 3]


async def test_handlers_leave_no_thread_behind_and_work_on_the_next_connection(rig: Rig, wire: Wire) -> None:
    before = set(threading.enumerate())
    track, got = rig.tracks.track("main_video"), Got()
    track.on_frame(lambda frame: got(threading.current_thread()))
    wire.show(1)
    (thread,) = await got.count(1)
    assert thread not in before
    rig.tracks.disconnected()
    assert await ended([thread])
    (await rig.connect()).show(2)
    await got.count(2)


async def test_a_handler_that_is_still_at_work_on_the_last_connection_is_not_called_twice_at_once(
    rig: Rig, wire: Wire
) -> None:
    most, inside, go, got = 0, 0, threading.Event(), Got()

    def handler(_: object) -> None:
        nonlocal most, inside
        inside += 1
        most = max(most, inside)
        got(inside)
        go.wait(PATIENCE)
        inside -= 1

    track = rig.tracks.track("main_video")
    track.on_frame(handler)
    wire.show(10)
    await got.count(1)
    rig.tracks.disconnected()
    (await rig.connect()).show(20)
    await eventually(lambda: track.stats.received == 2)
    go.set()
    await got.count(2)
    assert most == 1


async def test_the_time_of_the_newest_frame_is_known(rig: Rig, wire: Wire) -> None:
    track = rig.tracks.track("main_video")
    assert track.heard_at is None
    before = time.monotonic()
    wire.show(1)
    await track.read()
    assert track.heard_at is not None
    assert before <= track.heard_at <= time.monotonic()


async def test_the_next_session_shows_nothing_of_the_last(rig: Rig, wire: Wire) -> None:
    track = rig.tracks.track("main_video")
    wire.show(1)
    await track.read()
    await rig.tracks.release()
    assert track.snapshot() is None
