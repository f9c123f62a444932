"""Sound out of a Reactor, through a model that says it again, and back; of a rate that is not the model's, too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from livereactor import Reactor
from tests.tools.processes import Program, livereactor_run

PATIENCE = 20.0
PARROT = """
import livereactor as lr


class Parrot(lr.Model):
    main_audio = lr.AudioOut(sample_rate=48_000)
    mic = lr.AudioIn(sample_rate=48_000)

    def stream(self):
        while True:
            for sound in self.mic.frames(timeout=0.2):
                yield {"main_audio": sound}
            yield None
"""


@pytest.fixture(scope="module")
def parrot(network: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("parrot")
    (folder / "parrot.py").write_text(PARROT, encoding="utf-8")
    with livereactor_run(folder / "parrot.py", log_path=folder / "log") as program:
        yield program


@pytest.mark.parametrize("rate", [48_000, 16_000])
async def test_a_spoken_sentence_pushed_at_once_is_heard_whole_at_its_pitch(parrot: Program, rate: int) -> None:
    seconds, pitch = 2, 440
    sentence = (8_000 * np.sin(2 * np.pi * pitch * np.arange(rate * seconds) / rate)).astype(np.int16)
    async with Reactor("parrot", local=parrot.url) as reactor:
        mic = await reactor.publish_track("mic")
        heard = reactor.track("main_audio").frames()
        mic.push_frame(sentence, sample_rate=rate)
        loud = list[np.ndarray]()
        async with asyncio.timeout(PATIENCE):
            async for block in heard:
                if np.abs(block).max() > 2_000:
                    loud.append(block[:, 0])
                elif sum(map(len, loud)) > 48_000 * seconds * 0.9:
                    break
    sound = np.concatenate(loud)
    assert 0.9 * seconds <= len(sound) / 48_000 <= 1.1 * seconds
    spectrum = np.abs(np.fft.rfft(sound))
    assert spectrum.argmax() * 48_000 / len(sound) == pytest.approx(pitch, abs=3)


async def test_what_waits_is_not_heard_once_its_track_is_unpublished(parrot: Program) -> None:
    async with Reactor("parrot", local=parrot.url) as reactor:
        mic = await reactor.publish_track("mic")
        heard = reactor.track("main_audio").frames()
        mic.push_frame(np.tile(np.array([9_000, -9_000], np.int16).repeat(24), 48_000 // 48 * 10))
        loud = 0
        async with asyncio.timeout(PATIENCE):
            async for block in heard:
                is_loud = np.abs(block).max() > 2_000
                if is_loud and mic.published:
                    await mic.unpublish()
                if loud and not is_loud:
                    break
                loud += is_loud * len(block)
    assert loud < 48_000 * 5  # of ten seconds; the rest had left when it was heard first
