"""What viewers send, and sound both ways."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from livereactor.engine.port import KeyFrameWanted, Section, Use
from livereactor.media.frames import Frame, Samples, Sound

from .conftest import EVERY_PAIR, Engines
from .harness import Inbox, link
from .pictures import Vp8, number_in

RATE = 48_000
TONE = 1000.0  # Hz


@EVERY_PAIR
async def test_a_camera_arrives_as_counted_rgb_frames_of_its_own_memory(engines: Engines) -> None:
    sections = (Section("video", Use.RECEIVE), Section("video", Use.SEND), Section("video", Use.SEND))
    async with link(engines.server, engines.client, sections) as joined:
        await joined.client.inbox.get(KeyFrameWanted, lambda wish: wish.mid == "2")
        frames, encoder = await joined.server.frames("2"), Vp8()
        camera = joined.client_accepted.video["2"]
        for number in range(1, 6):
            assert camera.send(encoder.encode(number, key=number == 1))
            await frames.get(Frame, lambda frame, number=number: number_in(frame.pixels) == number)
        arrived = frames.all(Frame)
        assert [frame.number for frame in arrived] == [1, 2, 3, 4, 5]
        assert all(frame.pixels.dtype == np.uint8 and frame.pixels.flags.owndata for frame in arrived)
        assert arrived[0].pixels.shape == (180, 320, 3)
        assert (await joined.server.track("1")).kind == "video"


async def test_an_input_nobody_listens_to_is_silent(engines: Engines) -> None:
    async with link(engines.server, engines.client, (Section("video", Use.SEND),)) as joined:
        await joined.client.inbox.get(KeyFrameWanted)
        track, frames, encoder = await joined.server.track("0"), await joined.server.frames("0"), Vp8()
        camera = joined.client_accepted.video["0"]
        assert camera.send(encoder.encode(1, key=True))
        await frames.get(Frame)
        track.on_frame(None)
        again = Inbox()
        assert camera.send(encoder.encode(2))
        assert camera.send(encoder.encode(3))
        track.on_frame(again.put_threadsafe)
        assert camera.send(encoder.encode(4))
        await again.get(Frame, lambda frame: number_in(frame.pixels) == 4)
        assert 2 not in {number_in(frame.pixels) for frame in frames.all(Frame)}


def tone(start: int, samples: int) -> Samples:
    times = (np.arange(start, start + samples)) / RATE
    return (np.sin(2 * np.pi * TONE * times) * 12_000).astype(np.int16)[:, None]


def main_frequency(sounds: list[Sound]) -> float:
    samples = np.concatenate([sound.samples[:, 0] for sound in sounds]).astype(float)
    lines = 1 << 20  # 0.05 Hz apart, by padding
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), lines))
    return float(np.argmax(spectrum)) * sounds[0].rate / lines


async def play(output: object, heard: Inbox, blocks: int = 105) -> list[Sound]:
    """Send the tone in real time until a second of it was heard."""

    def loud() -> list[Sound]:
        return heard.all(Sound, lambda sound: int(np.abs(sound.samples).max()) > 3000)

    loop = asyncio.get_running_loop()
    started, block = loop.time(), 0
    async with asyncio.timeout(15.0):
        while len(loud()) < blocks:
            output.send(Sound(tone(block * 480, 480), RATE))  # type: ignore[attr-defined]
            block += 1
            await asyncio.sleep(max(0.0, started + block * 0.010 - loop.time()))  # real time: it is sound
    return loud()[5:]


@EVERY_PAIR
@pytest.mark.alone
async def test_a_tone_arrives(engines: Engines) -> None:
    async with link(engines.server, engines.client, (Section("audio", Use.RECEIVE),)) as joined:
        await joined.connected()
        heard = Inbox()
        (await joined.client.track("0")).on_sound(heard.put_threadsafe)
        sounds = await play(joined.accepted.audio["0"], heard)
        assert abs(main_frequency(sounds) - TONE) < 1
        assert sounds[0].samples.dtype == np.int16
        assert sounds[0].samples.ndim == 2


@pytest.mark.alone
async def test_a_microphone_arrives(engines: Engines) -> None:
    sections = (Section("audio", Use.RECEIVE), Section("audio", Use.SEND))
    async with link(engines.server, engines.client, sections) as joined:
        await joined.connected()
        heard = Inbox()
        track = await joined.server.track("1")
        assert track.kind == "audio"
        track.on_sound(heard.put_threadsafe)
        sounds = await play(joined.client_accepted.audio["1"], heard)
        assert abs(main_frequency(sounds) - TONE) < 1


async def test_sound_out_of_a_closed_peer_is_dropped(engines: Engines) -> None:
    async with link(engines.server, engines.client, (Section("audio", Use.RECEIVE),)) as joined:
        await joined.connected()
        output = joined.accepted.audio["0"]
        await joined.server.peer.aclose()
        assert not output.send(Sound(tone(0, 480), RATE))
