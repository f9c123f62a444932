"""Cameras, screens, microphones and loudspeakers, with the libraries that drive them played by the test."""

from __future__ import annotations

import asyncio
import importlib
import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from livereactor.client.errors import ReactorError
from livereactor.client.tracks.devices import Camera, MediaFile, Microphone, Screen, Speaker
from tests.unit.client.media_rig import Rig, Wire, eventually, rigged, shade


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rigged() as rig:
        yield rig


@pytest.fixture
async def wire(rig: Rig) -> Wire:
    return await rig.connect()


class Lens:
    """A camera as OpenCV opens it: blue, then gone after `lasts` pictures."""

    opened: bool = True
    lasts = 1_000_000

    def __init__(self, device: int | str) -> None:
        self.device, self.asked = device, dict[int, float]()
        self.released = False
        self.given = 0
        LENSES.append(self)

    def isOpened(self) -> bool:  # noqa: N802  (OpenCV's name)
        return self.opened

    def set(self, name: int, value: float) -> bool:
        self.asked[name] = value
        return True

    def read(self) -> tuple[bool, Any]:
        self.given += 1
        if not self.opened or self.given > self.lasts:
            return False, None
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:, :, 0] = 255  # BGR
        return True, picture

    def release(self) -> None:
        self.released = True


LENSES: list[Lens] = []


@pytest.fixture
def lens(monkeypatch: pytest.MonkeyPatch) -> type[Lens]:
    LENSES.clear()
    kind = type("Lens", (Lens,), {})
    monkeypatch.setattr(cv2, "VideoCapture", kind)
    return kind


async def test_a_camera_is_sent_in_its_colours_and_released(rig: Rig, wire: Wire, lens: type[Lens]) -> None:
    got = wire.pictures()
    track = await rig.tracks.track("webcam").publish(Camera(3, width=640, height=480, fps=15))
    frame = (await got.count(1))[0]
    red, green, blue = (int(value) for value in frame.pixels[20, 20])
    assert blue > 240
    assert max(red, green) < 15
    (camera,) = LENSES
    assert (camera.device, camera.asked[cv2.CAP_PROP_FRAME_WIDTH], camera.asked[cv2.CAP_PROP_FPS]) == (3, 640, 15)
    await track.unpublish()
    assert camera.released


async def test_a_camera_that_cannot_be_had_is_a_device_error_and_nothing_is_claimed(
    rig: Rig, wire: Wire, lens: type[Lens]
) -> None:
    lens.opened = False
    with pytest.raises(ReactorError, match="camera 0 cannot be used") as caught:
        await rig.tracks.track("webcam").publish(0)
    assert (caught.value.code, caught.value.recoverable, caught.value.component) == ("DEVICE_ERROR", True, "client")
    assert LENSES[0].released
    assert rig.port.asked == []


async def test_a_camera_that_is_pulled_out_is_reported(rig: Rig, wire: Wire, lens: type[Lens]) -> None:
    lens.lasts = 3
    await rig.tracks.track("webcam").publish(0)
    await eventually(lambda: bool(rig.port.reports))
    assert [error.code for error in rig.port.reports] == ["DEVICE_ERROR"]
    assert LENSES[0].released


class PortAudioError(Exception):
    """As in sounddevice."""


class Stream:
    """As sounddevice's streams."""

    def __init__(self, **asked: Any) -> None:
        if asked["device"] == "none":
            raise PortAudioError("no such device")
        self.asked, self.closed, self.started = asked, False, False
        STREAMS.append(self)

    def start(self) -> None:
        self.started = True

    def read(self, count: int) -> tuple[Any, bool]:
        return np.full((count, self.asked["channels"]), 7, np.int16), False

    def close(self) -> None:
        self.closed = True


STREAMS: list[Stream] = []


@pytest.fixture
def audio(monkeypatch: pytest.MonkeyPatch) -> None:
    STREAMS.clear()
    module = types.SimpleNamespace(InputStream=Stream, OutputStream=Stream, PortAudioError=PortAudioError)
    given(monkeypatch, "sounddevice", module)


def given(monkeypatch: pytest.MonkeyPatch, name: str, module: Any) -> None:
    """Have `import_module(name)` give this, or fail with it."""
    real = importlib.import_module

    def found(wanted: str, *more: Any) -> Any:
        if wanted != name:
            return real(wanted, *more)
        if isinstance(module, Exception):
            raise module
        return module

    monkeypatch.setattr(importlib, "import_module", found)


async def test_a_microphone_is_heard_and_released(rig: Rig, wire: Wire, audio: None) -> None:
    got = wire.sounds()
    track = await rig.tracks.track("mic").publish(Microphone("desk", rate=16_000, channels=2))
    block = (await got.count(1))[0]
    assert (block.samples.shape, block.rate, int(block.samples[0, 0])) == ((160, 2), 16_000, 7)
    await track.unpublish()
    (stream,) = STREAMS
    assert (stream.asked["device"], stream.started, stream.closed) == ("desk", True, True)


async def test_a_microphone_that_cannot_be_had_is_a_device_error(rig: Rig, wire: Wire, audio: None) -> None:
    with pytest.raises(ReactorError, match="microphone none cannot be used: no such device"):
        await rig.tracks.track("mic").publish(Microphone("none"))
    assert rig.port.asked == []


@pytest.mark.parametrize("missing", [ImportError("no sounddevice"), OSError("PortAudio library not found")])
async def test_a_missing_library_says_what_to_install(
    rig: Rig, wire: Wire, monkeypatch: pytest.MonkeyPatch, missing: Exception
) -> None:
    given(monkeypatch, "sounddevice", missing)
    with pytest.raises(ReactorError, match=r"pip install livereactor\[audio\]") as caught:
        await rig.tracks.track("mic").publish(Microphone())
    assert not caught.value.recoverable
    with pytest.raises(ReactorError):
        Speaker()


def filled(stream: Stream, count: int) -> list[int]:
    """What the device gets when it asks for `count` samples."""
    out = np.full((count, 1), -1, np.int16)
    stream.asked["callback"](out, count, None, None)
    return [int(value) for value in out[:, 0]]


def sound(first: int, count: int) -> Any:
    return np.arange(first, first + count, dtype=np.int16)[:, None]


def test_a_loudspeaker_collects_a_little_and_plays_in_order(audio: None) -> None:
    with Speaker("hall") as speaker:
        speaker(sound(1, 30), 1_000, 1)
        (stream,) = STREAMS
        assert (stream.asked["samplerate"], stream.asked["channels"], stream.asked["device"]) == (1_000, 1, "hall")
        assert filled(stream, 10) == [0] * 10
        speaker(sound(31, 30), 1_000, 1)
        assert filled(stream, 25) + filled(stream, 25) == list(range(1, 51))
        assert filled(stream, 20) == [*range(51, 61), *[0] * 10]
        speaker(sound(61, 30), 1_000, 1)
        assert filled(stream, 10) == [0] * 10
    assert stream.closed


def test_sound_that_waits_too_long_is_dropped_and_counted(audio: None) -> None:
    speaker = Speaker()
    for start in range(0, 400, 50):
        speaker(sound(start, 50), 1_000, 1)
    assert speaker.dropped == 100
    assert filled(STREAMS[0], 2) == [100, 101]
    speaker.close()
    speaker.close()


def test_a_loudspeaker_that_cannot_be_had_is_a_device_error(audio: None) -> None:
    with pytest.raises(ReactorError, match="loudspeaker none cannot be used"):
        Speaker("none")(sound(0, 10), 1_000, 1)


class Grabber:
    """As mss grabs: one monitor, grey."""

    monitors = (None, {"width": 64, "height": 48})

    def __enter__(self) -> Grabber:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def grab(self, monitor: Any) -> Any:
        raw = bytes([90, 90, 90, 255]) * (64 * 48)
        return types.SimpleNamespace(raw=raw, width=monitor["width"], height=monitor["height"])

    def close(self) -> None:
        CLOSED.append(self)


CLOSED: list[Grabber] = []


async def test_a_screen_is_sent(rig: Rig, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "mss", types.SimpleNamespace(mss=Grabber))
    CLOSED.clear()
    got = wire.pictures()
    track = await rig.tracks.track("webcam").publish(Screen(fps=50))
    assert shade((await got.count(1))[0]) == pytest.approx(90, abs=2)
    await track.unpublish()
    assert len(CLOSED) == 2
    with pytest.raises(ReactorError, match="monitor 4 cannot be used: there are 1"):
        await track.publish(Screen(4))


async def test_a_machine_without_a_screen_says_so(rig: Rig, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> Any:
        raise RuntimeError("$DISPLAY not set")

    given(monkeypatch, "mss", types.SimpleNamespace(mss=failing))
    with pytest.raises(ReactorError, match=r"the screen cannot be used: \$DISPLAY not set"):
        await rig.tracks.track("webcam").publish(Screen())


async def test_a_file_is_looked_for_when_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MediaFile(tmp_path / "none.mp4")
    assert MediaFile("rtsp://camera.example/1").path == "rtsp://camera.example/1"
    await asyncio.sleep(0)
