"""What goes out of a Track: pushed pictures and sound, encoded on a thread of their own."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from livereactor.client.errors import ReactorError, error_of
from livereactor.client.tracks.port import Bitrate
from livereactor.client.tracks.publishing import VideoSender, target_bps
from livereactor.client.tracks.pushed import PushedPicture, picture_of
from livereactor.media.encoder import start_bps
from livereactor.media.frames import EncodedFrame, VideoCodec
from livereactor.media.rate import FLOOR
from tests.unit.client.media_rig import Rig, Wire, ended, eventually, flat, rigged, shade
from tests.unit.runtime.outputs.fakes import VideoSink


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rigged() as rig:
        yield rig


@pytest.fixture
async def wire(rig: Rig) -> Wire:
    return await rig.connect()


async def test_a_pushed_picture_reaches_the_server_with_its_tag_and_time(rig: Rig, wire: Wire) -> None:
    track, got = await rig.tracks.track("webcam").publish(), wire.pictures()
    track.push_frame(flat(90), user_data=b"tag", capture_time_us=1_000_000)
    frame = (await got.count(1))[0]
    assert (shade(frame), frame.user_data, frame.captured_us) == (pytest.approx(90, abs=2), b"tag", 1_000_000)
    assert (track.published, rig.port.asked) == (True, [("publish", "webcam")])


async def test_pushing_before_publish_says_what_to_do(rig: Rig, wire: Wire) -> None:
    with pytest.raises(ReactorError, match=r"`webcam` is not published; call publish\(\)") as caught:
        rig.tracks.track("webcam").push_frame(flat(1))
    assert (caught.value.code, caught.value.component) == ("INVALID_STATE", "client")


async def test_publishing_before_connecting_is_not_ready(rig: Rig) -> None:
    with pytest.raises(ReactorError) as caught:
        await rig.tracks.track("webcam").publish()
    assert caught.value.code == "NOT_READY"


async def test_an_output_cannot_be_published_and_the_inputs_are_named(rig: Rig, wire: Wire) -> None:
    with pytest.raises(ValueError, match="`main_video` is an output"):
        await rig.tracks.track("main_video").publish()
    with pytest.raises(ValueError, match="no sendable track 'main_video'; declared: webcam, mic"):
        rig.tracks.sendable("main_video")
    with pytest.raises(ValueError, match="declared: main_video, main_audio, webcam, mic"):
        rig.tracks.track("cam")


async def test_a_refused_claim_leaves_nothing_and_can_be_tried_again(rig: Rig, wire: Wire) -> None:
    before = set(threading.enumerate())
    rig.port.refusal = error_of("TRACK_PUBLISH_FAILED", "taken", reason="publish_refused")
    track = rig.tracks.track("webcam")
    with pytest.raises(ReactorError) as caught:
        await track.publish()
    assert (caught.value.code, caught.value.recoverable, track.published) == ("TRACK_PUBLISH_FAILED", True, False)
    assert await ended(set(threading.enumerate()) - before)
    rig.port.refusal = None
    await track.publish()
    assert track.published


async def test_unpublishing_stops_and_may_be_repeated_and_never_raises(rig: Rig, wire: Wire) -> None:
    track = await rig.tracks.track("webcam").publish()
    rig.port.refusal = error_of("DISCONNECTED", "gone")
    await track.unpublish()
    await track.unpublish()
    assert rig.port.asked == [("publish", "webcam"), ("unpublish", "webcam")]
    with pytest.raises(ReactorError, match="not published"):
        track.push_frame(flat(1))


@pytest.mark.parametrize(
    "frame",
    [
        flat(120),
        np.dstack([flat(120), np.zeros((48, 64), np.uint8)]),
        flat(120)[:, ::-1],
        flat(120, width=65, height=49),
    ],
    ids=["RGB", "BGRA", "a view", "odd"],
)
async def test_pictures_of_every_form_are_sent(rig: Rig, wire: Wire, frame: Any) -> None:
    track, got = await rig.tracks.track("webcam").publish(), wire.pictures()
    track.push_frame(frame)
    seen = (await got.count(1))[0]
    assert (seen.pixels.shape, shade(seen)) == ((48, 64, 3), pytest.approx(120, abs=2))


def test_red_stays_red_in_every_order() -> None:
    rgb, bgra = flat(0), np.zeros((48, 64, 4), np.uint8)
    rgb[:, :, 0] = bgra[:, :, 2] = 255
    arrays = picture_of(rgb, where="t"), picture_of(bgra, where="t")
    data = (
        picture_of(rgb.tobytes(), where="t", width=64, height=48),
        picture_of(bgra.tobytes(), where="t", width=64, height=48),
    )
    planes = [picture.planes.buffer.tolist() for picture in (*arrays, *data)]
    assert planes[0] == planes[1] == planes[2] == planes[3]
    assert planes[0] != picture_of(flat(0), where="t").planes.buffer.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frame": flat(1), "width": 32}, "drop the sizes"),
        ({"frame": b"123456789012", "width": 2}, "pass width and height"),
        ({"frame": b"1234", "width": 2, "height": 2}, "not a picture of 2x2"),
        ({"frame": np.zeros((48, 64), np.uint8)}, "want uint8"),
        ({"frame": np.zeros((1, 64, 3), np.uint8)}, "at least 2"),
        ({"frame": flat(1), "user_data": b"x" * 1025}, "1024 bytes, got 1025"),
        ({"frame": flat(1), "capture_time_us": -1}, "counts from 0"),
    ],
)
async def test_a_frame_that_cannot_be_is_a_value_error(
    rig: Rig, wire: Wire, arguments: dict[str, Any], message: str
) -> None:
    track = await rig.tracks.track("webcam").publish()
    with pytest.raises(ValueError, match=message):
        track.push_frame(**arguments)


@pytest.mark.parametrize("frame", [np.zeros((4, 4, 3)), "a picture", None], ids=["float", "text", "nothing"])
async def test_what_is_no_frame_is_a_type_error(rig: Rig, wire: Wire, frame: object) -> None:
    track = await rig.tracks.track("webcam").publish()
    with pytest.raises(TypeError, match="want uint8"):
        track.push_frame(frame)
    with pytest.raises(TypeError, match="user_data is bytes"):
        track.push_frame(flat(1), user_data="text")  # pyright: ignore[reportArgumentType]


async def test_the_buffer_is_free_when_push_returns(rig: Rig, wire: Wire) -> None:
    track, got, buffer = await rig.tracks.track("webcam").publish(), wire.pictures(), flat(200)
    track.push_frame(buffer)
    buffer[:] = 10
    assert shade((await got.count(1))[0]) == pytest.approx(200, abs=2)


class Slow(VideoSink):
    """An engine that holds each picture until told."""

    def __init__(self, codec: VideoCodec | None = VideoCodec.VP8) -> None:
        super().__init__(codec)
        self.mid = "0"
        self.free = threading.Semaphore(0)

    def send(self, frame: EncodedFrame) -> bool:
        taken = super().send(frame)
        assert self.free.acquire(timeout=10.0)
        return taken


def pushed(value: int, *, tag: bytes = b"", at: int | None = None, width: int = 64, height: int = 48) -> PushedPicture:
    return picture_of(flat(value, width=width, height=height), where="webcam", user_data=tag, captured_us=at)


@pytest.fixture
def sender() -> Any:
    others = set(threading.enumerate())
    made = VideoSender("webcam")
    yield made
    made.close()
    for thread in set(threading.enumerate()) - others:
        thread.join(2.0)


def test_while_one_is_encoded_only_the_newest_waits_and_pushing_never_does(sender: VideoSender) -> None:
    sink = Slow()
    sender.attach(sink)
    sender.show(pushed(1, tag=b"1"))
    sink.wait_for(1)
    for tag in (b"2", b"3", b"4"):
        sender.show(pushed(1, tag=tag))
    sink.free.release(10)
    assert [frame.user_data for frame in sink.wait_for(2)] == [b"1", b"4"]
    assert sender.counters()["dropped"] == 2


def test_pushing_takes_under_five_milliseconds_at_720p_however_slow_the_encoder() -> None:
    sender, sink = VideoSender("webcam"), Slow()
    sender.attach(sink)
    frame = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)
    took = list[float]()
    for _ in range(30):
        began = time.perf_counter()
        sender.show(picture_of(frame, where="webcam"))
        took.append(time.perf_counter() - began)
    sink.free.release(100)
    sender.close()
    assert sorted(took)[len(took) // 10] < 0.005  # the rest is other programs' use of this machine


def test_the_first_picture_is_a_key_frame_and_the_next_are_not(sender: VideoSender) -> None:
    sink = VideoSink()
    sender.attach(sink)  # type: ignore[arg-type]  # it has no mid, which nobody asks for
    for count in (1, 2, 3):
        sender.show(pushed(count))
        sink.wait_for(count)
    assert [frame.key for frame in sink.got] == [True, False, False]
    assert [frame.number for frame in sink.got] == [1, 2, 3]


def test_a_key_wish_sends_the_newest_picture_again_at_a_later_time(sender: VideoSender) -> None:
    sink = VideoSink()
    sender.attach(sink)  # type: ignore[arg-type]
    sender.show(pushed(1, tag=b"a", at=5_000))
    sink.wait_for(1)
    sender.key_wanted()
    again = sink.wait_for(2)[1]
    assert (again.key, again.user_data) == (True, b"a")
    assert again.captured_us > 5_000


def test_a_picture_shown_before_there_is_a_transport_goes_out_when_it_comes(sender: VideoSender) -> None:
    sender.show(pushed(1, tag=b"a"))
    sink = VideoSink()
    sender.attach(sink)  # type: ignore[arg-type]
    assert sink.wait_for(1)[0].user_data == b"a"


def test_another_transport_begins_with_a_key_frame_of_the_newest_picture(sender: VideoSender) -> None:
    first, second = VideoSink(), VideoSink()
    sender.attach(first)  # type: ignore[arg-type]
    sender.show(pushed(1, tag=b"a"))
    first.wait_for(1)
    sender.detach()
    sender.show(pushed(1, tag=b"b"))
    sender.attach(second)  # type: ignore[arg-type]
    (frame,) = second.wait_for(1)
    assert (frame.key, frame.user_data, len(first.got)) == (True, b"b", 1)


def test_the_negotiated_codec_is_sent_and_a_change_begins_with_a_key_frame(sender: VideoSender) -> None:
    sink = VideoSink(VideoCodec.H264)
    sender.attach(sink)  # type: ignore[arg-type]
    sender.show(pushed(1))
    sink.wait_for(1)
    sink.codec = VideoCodec.VP8
    sender.show(pushed(1))
    frames = sink.wait_for(2)
    assert [(frame.codec, frame.key) for frame in frames] == [(VideoCodec.H264, True), (VideoCodec.VP8, True)]


def test_a_new_size_begins_with_a_key_frame(sender: VideoSender) -> None:
    sink = VideoSink()
    sender.attach(sink)  # type: ignore[arg-type]
    sender.show(pushed(1))
    sink.wait_for(1)
    sender.show(pushed(1, width=128, height=96))
    frame = sink.wait_for(2)[1]
    assert (frame.key, frame.width, frame.height) == (True, 128, 96)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds


def noise(seed: int, at: float) -> PushedPicture:
    array = np.random.default_rng(seed).integers(0, 255, (360, 640, 3), np.uint8)
    return picture_of(array, where="webcam", captured_us=round(at * 1e6))


def spent(sender: VideoSender, sink: VideoSink, clock: Clock, frames: int) -> float:
    """Bits a second that pictures of noise take."""
    before = len(sink.got)
    for number in range(frames):
        clock.time += 1 / 30
        sender.show(noise(number, clock.time))
        sink.wait_for(before + number + 1)
    return sum(len(frame.data) for frame in sink.got[before:]) * 8 * 30 / frames


def test_the_rate_follows_what_the_network_allows_and_the_bounds_asked_for() -> None:
    clock, sink = Clock(), VideoSink(VideoCodec.H264)
    sender = VideoSender("webcam", clock)
    sender.attach(sink)  # type: ignore[arg-type]
    free = spent(sender, sink, clock, 15)
    sender.rate_changed(300_000)
    spent(sender, sink, clock, 20)  # the fall is waited out for half a second
    narrow = spent(sender, sink, clock, 30)
    sender.close()
    assert narrow < free / 2


def test_rates_are_what_the_size_deserves_within_what_is_allowed_and_wanted() -> None:
    assert target_bps(Bitrate(), None, 1280, 720) == start_bps(1280, 720, 30)
    assert target_bps(Bitrate(), 20_000_000, 1280, 720) >= 6_000_000
    assert target_bps(Bitrate(), 1_000_000, 1280, 720) == 1_000_000
    assert target_bps(Bitrate(), 1_000, 1280, 720) == FLOOR
    assert target_bps(Bitrate(start_bps=900_000), None, 640, 360) == 900_000
    assert target_bps(Bitrate(max_bps=700_000), None, 640, 360) == 700_000
    assert target_bps(Bitrate(min_bps=9_000_000), 1_000_000, 640, 360) == 9_000_000
    assert target_bps(Bitrate(max_bps=50_000_000), 30_000_000, 3840, 2160) == 30_000_000


async def test_a_bitrate_may_be_set_before_connecting_and_lasts(rig: Rig) -> None:
    await rig.tracks.track("webcam").set_bitrate(max_bps=200_000)
    for _ in range(2):
        wire = await rig.connect()
        got, track = wire.encoded(), await rig.tracks.track("webcam").publish()
        for number in range(8):
            track.push_frame(np.random.default_rng(number).integers(0, 255, (240, 320, 3), np.uint8))
            await got.count(number + 1)
        assert sum(len(frame.data) for frame in got.items) < start_bps(320, 240, 30) / 8
        await rig.tracks.release()


@pytest.mark.parametrize("bounds", [{"max_bps": 0}, {"min_bps": 2, "max_bps": 1}])
async def test_bounds_that_cannot_be_are_refused(rig: Rig, bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="0 < min_bps"):
        await rig.tracks.track("webcam").set_bitrate(**bounds)


async def test_several_tracks_of_one_moment_carry_one_time(rig: Rig, wire: Wire) -> None:
    track, got = await rig.tracks.track("webcam").publish(), wire.pictures()
    for at in (7_000_000, 7_033_000):
        track.push_frame(flat(1), capture_time_us=at)
        await got.until(lambda frames, at=at: any(frame.captured_us == at for frame in frames))


async def test_sound_leaves_in_blocks_and_the_rest_waits(rig: Rig, wire: Wire) -> None:
    mic, got = await rig.tracks.track("mic").publish(), wire.sounds()
    mic.push_frame(np.arange(700, dtype=np.int16))
    mic.push_frame(np.arange(700, 960, dtype=np.int16).tobytes())
    blocks = await got.count(2)
    assert np.concatenate([block.samples[:, 0] for block in blocks]).tolist() == list(range(960))
    assert {(block.samples.shape, block.rate) for block in blocks} == {((480, 1), 48_000)}


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 32_000, 44_100, 48_000])
async def test_every_usual_rate_is_taken_in_one_or_two_channels(rig: Rig, wire: Wire, rate: int) -> None:
    mic, got = await rig.tracks.track("mic").publish(), wire.sounds()
    mic.push_frame(np.zeros(rate // 50, np.int16), sample_rate=rate, num_channels=2)
    (block,) = await got.count(1)
    assert (block.samples.shape, block.rate) == ((rate // 100, 2), rate)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"frame": np.zeros(480, np.int16), "sample_rate": 22_050}, ValueError),
        ({"frame": np.zeros((480, 3), np.int16)}, ValueError),
        ({"frame": np.zeros((480, 1), np.int16), "num_channels": 2}, ValueError),
        ({"frame": np.zeros(481, np.int16), "num_channels": 2}, ValueError),
        ({"frame": np.zeros(480, np.float32)}, TypeError),
        ({"frame": np.zeros(480, np.int16), "user_data": b"tag"}, TypeError),
        ({"frame": np.zeros(480, np.int16), "capture_time_us": 1}, TypeError),
    ],
)
async def test_sound_that_cannot_be_is_refused(
    rig: Rig, wire: Wire, arguments: dict[str, Any], kind: type[Exception]
) -> None:
    mic = await rig.tracks.track("mic").publish()
    with pytest.raises(kind, match="mic"):
        mic.push_frame(**arguments)


async def test_pushed_tracks_have_to_be_published_again_after_a_loss_and_say_so(rig: Rig, wire: Wire) -> None:
    track = await rig.tracks.track("webcam").publish()
    rig.tracks.detach()
    assert not track.published
    await rig.connect()
    await rig.tracks.restore()
    assert not track.published
    assert rig.port.asked == [("publish", "webcam")]


async def test_a_quiet_change_of_transport_keeps_pushes_going(rig: Rig, wire: Wire) -> None:
    track = await rig.tracks.track("webcam").publish()
    rig.tracks.detach(quiet=True)
    track.push_frame(flat(50))
    again = await rig.connect()
    got = again.pictures()
    await rig.tracks.restore()
    assert track.published
    assert shade((await got.count(1))[0]) == pytest.approx(50, abs=2)
    assert rig.port.asked == [("publish", "webcam")] * 2


async def test_a_claim_refused_on_the_next_transport_is_reported(rig: Rig, wire: Wire) -> None:
    await rig.tracks.track("webcam").publish()
    rig.tracks.detach(quiet=True)
    await rig.connect()
    rig.port.refusal = error_of("TRACK_PUBLISH_FAILED", "taken")
    await rig.tracks.restore()
    assert [error.code for error in rig.port.reports] == ["TRACK_PUBLISH_FAILED"]
    track = rig.tracks.track("webcam")
    assert not track.published
    with pytest.raises(ReactorError, match="not published"):
        track.push_frame(flat(1))


async def test_a_publish_that_fails_leaves_the_source_there_was_for_the_next_transport(rig: Rig, wire: Wire) -> None:
    async def pictures() -> AsyncIterator[object]:
        while True:
            yield flat(50)
            await asyncio.sleep(0.01)

    track = await rig.tracks.track("webcam").publish(pictures())
    rig.tracks.detach()
    rig.port.refusal = error_of("NOT_READY", "not now")
    with pytest.raises(ReactorError, match="not now"):
        await track.publish()
    rig.port.refusal = None
    got = (await rig.connect()).pictures()
    await rig.tracks.restore()
    assert track.published
    assert shade((await got.count(1))[0]) == pytest.approx(50, abs=2)


async def test_a_publish_that_fails_with_nothing_to_wait_for_says_that_pushes_are_lost(rig: Rig, wire: Wire) -> None:
    track = await rig.tracks.track("webcam").publish()
    rig.tracks.detach(quiet=True)
    rig.port.refusal = error_of("TRACK_PUBLISH_FAILED", "taken")
    with pytest.raises(ReactorError, match="taken"):
        await track.publish()
    with pytest.raises(ReactorError, match="not published"):
        track.push_frame(flat(1))


async def test_arguments_of_the_other_kind_are_refused(rig: Rig, wire: Wire) -> None:
    webcam, mic = await rig.tracks.track("webcam").publish(), await rig.tracks.track("mic").publish()
    with pytest.raises(TypeError, match="webcam: pictures have no sample_rate"):
        webcam.push_frame(flat(1), sample_rate=16_000)
    with pytest.raises(TypeError, match="mic: sound has no tag"):
        mic.push_frame(np.zeros(480, np.int16), width=64, height=48)


async def test_statistics_of_sending_count(rig: Rig, wire: Wire) -> None:
    track, got = await rig.tracks.track("webcam").publish(), wire.encoded()
    for number in range(3):
        track.push_frame(flat(number))
        await got.count(number + 1)
    await eventually(lambda: track.stats.sent == 3)
    stats = track.stats
    assert (stats.pushed, stats.encoded, stats.key_frames, stats.dropped) == (3, 3, 1, 0)
    assert stats.bytes == sum(len(frame.data) for frame in got.items)


async def test_publishing_twice_at_once_claims_once(rig: Rig, wire: Wire) -> None:
    track = rig.tracks.track("webcam")
    await asyncio.gather(track.publish(), track.publish())
    assert rig.port.asked == [("publish", "webcam")]


async def test_cancelling_a_publish_leaves_no_thread(rig: Rig, wire: Wire) -> None:
    before = set(threading.enumerate())
    rig.port.answers.clear()
    task = asyncio.create_task(rig.tracks.track("webcam").publish())
    await eventually(lambda: bool(rig.port.asked))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended(set(threading.enumerate()) - before)
    assert not rig.tracks.track("webcam").published


def test_stamps_never_go_backwards_over_repeats(sender: VideoSender) -> None:
    sink = VideoSink()
    sender.attach(sink)  # type: ignore[arg-type]
    for number in range(3):
        sender.show(pushed(number, at=1_000_000 * (number + 1)))
        sink.wait_for(number + 1)
    sender.key_wanted()
    stamps = [frame.captured_us for frame in sink.wait_for(4)]
    assert all(later > earlier for earlier, later in itertools.pairwise(stamps))
