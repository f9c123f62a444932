"""Where a published Track's Frames come from: files, iterables, `recv()`; and that all of it is let go of."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livereactor.client.errors import ReactorError, error_of
from livereactor.client.tracks.publishing import INTERVAL, source_of
from livereactor.media.frames import Frame
from tests.unit.client.media_rig import Rig, Wire, ended, eventually, flat, rigged, shade


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rigged() as rig:
        yield rig


@pytest.fixture
async def wire(rig: Rig) -> Wire:
    return await rig.connect()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures at 20 Hz from dark to bright, and half a second of a tone in stereo at 44.1 kHz."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libvpx", rate=20)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("libopus", rate=48_000, layout="stereo")
        for number in range(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(flat(20 * number + 20), format="rgb24")))
        wave = (8_000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 48_000)).astype(np.int16)
        for start in range(0, 24_000, 960):
            block = av.AudioFrame.from_ndarray(
                np.repeat(wave[start : start + 960], 2).reshape(1, -1), format="s16", layout="stereo"
            )
            block.sample_rate, block.pts, block.time_base = 48_000, start, Fraction(1, 48_000)
            container.mux(audio.encode(block))
        container.mux(video.encode())
        container.mux(audio.encode())
    return path


async def test_a_film_plays_in_its_own_time(rig: Rig, wire: Wire, film: Path) -> None:
    got = wire.pictures()
    await rig.tracks.track("webcam").publish(film)
    frames = await got.until(lambda frames: bool(frames) and shade(frames[-1]) > 190)
    shades = [shade(frame) for frame in frames]
    assert shades == sorted(shades)
    assert len(set(shades)) >= 8
    by_shade = {shade(frame) // 10: frame.captured_us for frame in reversed(frames)}
    times = sorted(by_shade.values())
    assert (times[-1] - times[0]) / 1e6 >= 0.3


async def test_a_films_sound_goes_out_too(rig: Rig, wire: Wire, film: Path) -> None:
    got = wire.sounds()
    await rig.tracks.track("mic").publish(str(film))
    blocks = await got.count(40)
    assert {(block.samples.shape, block.rate) for block in blocks} == {((480, 2), 48_000)}
    assert max(int(np.abs(block.samples).max()) for block in blocks) > 4_000


async def test_the_end_of_a_film_is_no_failure_and_lets_go_of_it(rig: Rig, wire: Wire, film: Path) -> None:
    before = set(threading.enumerate())
    track = await rig.tracks.track("webcam").publish(film)
    (thread,) = [each for each in set(threading.enumerate()) - before if each.name == "source of webcam"]
    assert await ended([thread])
    assert (track.published, rig.port.reports) == (True, [])


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        (object(), TypeError, "object is not a source"),
        (b"bytes", TypeError, "bytes is not a source"),
        (True, TypeError, "bool is not a source"),
        (flat(1), TypeError, "ndarray is not a source"),
        ("no/such/film.mp4", FileNotFoundError, "no/such/film.mp4"),
    ],
)
async def test_what_is_no_source_is_refused_before_anything_is_asked(
    rig: Rig, wire: Wire, source: object, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        await rig.tracks.track("webcam").publish(source)
    assert rig.port.asked == []


async def test_a_source_of_the_other_kind_is_refused(rig: Rig, wire: Wire, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mic carries audio, and this source gives video"):
        await rig.tracks.track("mic").publish(0)

    class Sounding:
        kind = "audio"

        async def recv(self) -> None: ...

    with pytest.raises(ValueError, match="webcam carries video"):
        await rig.tracks.track("webcam").publish(Sounding())
    silent = tmp_path / "silent.webm"
    with av.open(str(silent), "w") as container:
        video = container.add_stream("libvpx", rate=20)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        container.mux(video.encode(av.VideoFrame.from_ndarray(flat(1), format="rgb24")))
        container.mux(video.encode())
    with pytest.raises(ValueError, match="has no audio"):
        await rig.tracks.track("mic").publish(silent)
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(ValueError, match="cannot be played"):
        await rig.tracks.track("webcam").publish(tmp_path / "text.mp4")
    assert rig.port.asked == []


class Drawing:
    """An endless generator that knows whether it was closed."""

    def __init__(self, *, gate: threading.Semaphore | None = None) -> None:
        self.closed = threading.Event()
        self.given = 0
        self._gate = gate

    def __iter__(self) -> Iterator[Any]:
        try:
            for number in itertools.count():
                self.given = number
                yield flat(50 + number % 100)
        finally:
            self.closed.set()


async def test_an_iterable_is_asked_thirty_times_a_second_and_closed_at_the_end(rig: Rig, wire: Wire) -> None:
    drawing, got = Drawing(), wire.pictures()
    track = await rig.tracks.track("webcam").publish(drawing)
    frames = await got.count(10)
    fresh = {shade(frame): frame.captured_us for frame in frames}
    stamps = sorted(fresh.values())
    assert (stamps[-1] - stamps[0]) / (len(stamps) - 1) / 1e6 >= INTERVAL * 0.9
    await track.unpublish()
    assert drawing.closed.is_set()
    assert rig.port.asked == [("publish", "webcam"), ("unpublish", "webcam")]


async def test_a_tagged_frame_keeps_its_tag(rig: Rig, wire: Wire) -> None:
    got = wire.pictures()
    await rig.tracks.track("webcam").publish([Frame(flat(80), b"tag", 5_000_000)])
    frame = (await got.count(1))[0]
    assert (frame.user_data, frame.captured_us) == (b"tag", 5_000_000)


async def test_an_async_iterable_takes_its_own_time_on_the_loop(rig: Rig, wire: Wire) -> None:
    closed = asyncio.Event()

    async def pictures() -> AsyncIterator[Any]:
        try:
            for number in itertools.count():
                yield flat(60 + number % 10)
                await got.count(number + 1)
        finally:
            closed.set()

    got = wire.pictures()
    track = await rig.tracks.track("webcam").publish(pictures())
    await got.count(5)
    await track.unpublish()
    assert closed.is_set()


class MediaStreamError(Exception):
    """As a track of aiortc ends."""


class Camera:
    """As a track of aiortc: `recv()` gives PyAV's pictures."""

    kind = "video"

    def __init__(self, count: int) -> None:
        self._left = count

    async def recv(self) -> av.VideoFrame:
        if not self._left:
            raise MediaStreamError
        self._left -= 1
        await asyncio.sleep(0.001)
        return av.VideoFrame.from_ndarray(flat(100, width=66, height=50), format="rgb24")


async def test_anything_with_an_async_recv_is_a_source_and_may_end(rig: Rig, wire: Wire) -> None:
    got = wire.pictures()
    track = await rig.tracks.track("webcam").publish(Camera(3))
    frame = (await got.count(1))[0]
    assert (frame.pixels.shape, shade(frame)) == ((50, 66, 3), pytest.approx(100, abs=3))
    await track.unpublish()
    assert rig.port.reports == []


async def test_a_source_that_raises_is_reported_with_its_cause(rig: Rig, wire: Wire) -> None:
    def broken() -> Iterator[Any]:
        yield flat(1)
        raise RuntimeError("a user's bug")

    await rig.tracks.track("webcam").publish(broken())
    await eventually(lambda: bool(rig.port.reports))
    (error,) = rig.port.reports
    assert (error.code, type(error.__cause__)) == ("TRACK_PUBLISH_FAILED", RuntimeError)
    assert "webcam" in error.message


async def test_a_source_is_released_where_the_claim_is_refused(rig: Rig, wire: Wire) -> None:
    rig.port.refusal = error_of("TRACK_PUBLISH_FAILED", "taken")
    closed = list[str]()

    class Opened(Iterator[Any]):
        def __next__(self) -> Any:
            return flat(1)

        def close(self) -> None:
            closed.append("closed")

    with pytest.raises(ReactorError):
        await rig.tracks.track("webcam").publish(Opened())
    assert closed == ["closed"]


async def test_another_source_takes_the_place_of_the_first_without_a_claim(rig: Rig, wire: Wire) -> None:
    first, got = Drawing(), wire.pictures()
    track = await rig.tracks.track("webcam").publish(first)
    await track.publish(itertools.repeat(flat(240)))
    await got.until(lambda frames: bool(frames) and shade(frames[-1]) > 230)
    assert first.closed.is_set()
    assert rig.port.asked == [("publish", "webcam")]


async def test_publishing_again_without_a_source_leaves_the_one_there_is(rig: Rig, wire: Wire) -> None:
    drawing, got = Drawing(), wire.pictures()
    track = await rig.tracks.track("webcam").publish(drawing)
    await track.publish()
    await got.count(2)
    assert not drawing.closed.is_set()


async def test_a_source_runs_on_over_a_loss_and_is_published_again(rig: Rig, wire: Wire) -> None:
    drawing = Drawing()
    track = await rig.tracks.track("webcam").publish(drawing)
    rig.tracks.detach()
    assert not track.published
    again = await rig.connect()
    got = again.pictures()
    await rig.tracks.restore()
    await got.count(2)
    assert track.published
    assert not drawing.closed.is_set()
    await rig.tracks.release()
    assert drawing.closed.is_set()


async def test_the_end_of_the_session_releases_sources_and_threads(rig: Rig, wire: Wire) -> None:
    before = set(threading.enumerate())
    drawing = Drawing()
    await rig.tracks.track("webcam").publish(drawing)
    await rig.tracks.track("mic").publish()
    await rig.tracks.release()
    assert drawing.closed.is_set()
    assert await ended(set(threading.enumerate()) - before)


def test_a_camera_is_known_by_number_and_by_path() -> None:
    assert repr(source_of(2, "video", track="webcam")).startswith("Camera(device=2")
    assert repr(source_of("/dev/null", "video", track="webcam")).startswith("Camera(device='/dev/null'")
