"""The sound of a recording: in its place to the sample, whatever rate it has and wherever none comes."""

from __future__ import annotations

from typing import Any, cast

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from livereactor.media.aac import RATE, SoundLine
from livereactor.media.boxes import AAC_SAMPLES, AudioTrack

BEEP = 0.1  # seconds
SHORT = 16  # bytes; a silent frame has 4 or 6


def beeps(times: list[float], seconds: float, rate: int, channels: int) -> NDArray[np.int16]:
    at = np.arange(round(seconds * rate)) / rate
    loud = sum((at >= begin) & (at < begin + BEEP) for begin in times)
    tone = (loud * np.sin(2 * np.pi * 1000 * at) * 0.5 * 32767).astype(np.int16)
    return np.stack([tone] * channels, axis=1)


def decoded(frames: list[bytes], track: AudioTrack) -> NDArray[np.float32]:
    decoder = cast(Any, av.CodecContext.create("aac", "r"))
    decoder.extradata, decoder.sample_rate = track.config, track.rate
    return np.concatenate([made.to_ndarray()[0] for frame in frames for made in decoder.decode(av.Packet(frame))])


def heard(frames: list[bytes], track: AudioTrack) -> list[float]:
    """When beeps begin, in seconds."""
    loud = np.flatnonzero(np.abs(decoded(frames, track)) > 0.2) / track.rate
    return [float(at) for at, before in zip(loud, [-1.0, *loud[:-1]], strict=True) if at - before > BEEP / 2]


def played(line: SoundLine, samples: NDArray[Any], rate: int, *, hole: tuple[float, float] = (9, 9)) -> list[bytes]:
    """As a track plays it: 10 ms at a time, none in the hole."""
    frames, block = list[bytes](), rate // 100
    for at in range(0, len(samples), block):
        if not hole[0] <= at / rate < hole[1]:
            frames += line.play(at / rate, samples[at : at + block])
    return [*frames, *line.finish(len(samples) / rate)]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_beep_is_in_its_place_within_a_millisecond(rate: int, channels: int) -> None:
    line = SoundLine(rate, channels)
    frames = played(line, beeps([0.5, 1.0, 2.5], 3.0, rate, channels), rate, hole=(1.3, 2.2))
    assert heard(frames, line.track) == pytest.approx([0.5, 1.0, 2.5], abs=0.001)
    assert len(frames) * AAC_SAMPLES >= 3 * RATE


def test_what_was_played_comes_out_as_it_was() -> None:
    tone = np.sin(np.arange(2 * RATE) * 2 * np.pi * 440 / RATE)[:, None] * 0.4
    line = SoundLine(RATE, 1)
    got = decoded(played(line, tone, RATE), line.track)[AAC_SAMPLES : 2 * RATE - AAC_SAMPLES]
    want = tone[AAC_SAMPLES : 2 * RATE - AAC_SAMPLES, 0]
    assert 10 * np.log10(np.mean(want**2) / np.mean((got - want) ** 2)) > 25


def test_a_higher_bitrate_takes_more_bytes() -> None:
    noise = np.random.default_rng(6).integers(-9000, 9000, (2 * RATE, 2)).astype(np.int16)
    low, high = (sum(map(len, played(SoundLine(RATE, 2, bps=bps), noise, RATE))) for bps in (32_000, 128_000))
    assert (low, high) == pytest.approx((2 * 2 * 32_000 / 8, 2 * 2 * 128_000 / 8), rel=0.15)


def test_sound_that_begins_after_silence_is_whole_from_its_first_sample() -> None:
    tone = np.sin(np.arange(RATE // 2) * 2 * np.pi * 440 / RATE)[:, None] * 0.4
    line = SoundLine(RATE, 1)
    frames = [*line.until(3.0), *line.play(3.0, tone), *line.finish(3.5)]
    got, want = decoded(frames, line.track)[3 * RATE :][: RATE // 2], tone[:, 0]
    assert 10 * np.log10(np.mean(want**2) / np.mean((got - want) ** 2)) > 25


def test_silence_costs_a_few_bytes_and_no_encoding() -> None:
    line = SoundLine(RATE, 2)
    frames = line.until(3600.0)
    assert (len(frames), {len(frame) for frame in frames}) == (3600 * RATE // AAC_SAMPLES - 1, {6})


def test_silence_that_is_played_is_told_from_sound() -> None:
    line = SoundLine(RATE, 2)
    frames = played(line, np.zeros((10 * RATE, 2), np.int16), RATE)
    assert {len(frame) for frame in frames} == {6}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_as_good_as_integers(dtype: type) -> None:
    line, samples = SoundLine(RATE, 2), beeps([0.5], 1.0, RATE, 2)
    assert heard(played(line, (samples / 32767).astype(dtype), RATE), line.track) == pytest.approx([0.5], abs=0.001)


def test_a_clock_that_trembles_leaves_no_holes() -> None:
    line, tone = SoundLine(RATE, 1), np.full((RATE, 1), 8000, np.int16)
    tremble = np.random.default_rng(1).uniform(-0.015, 0.015, 100)
    frames = list[bytes]()
    for number in range(100):
        frames += line.play(number / 100 + (tremble[number] if number else 0), tone[number * 480 :][:480])
    loud = decoded([*frames, *line.finish(1.0)], line.track)[AAC_SAMPLES : RATE - AAC_SAMPLES]
    assert loud.min() > 0.15


def test_sound_of_before_the_begin_and_of_a_time_that_is_over_is_left_out() -> None:
    line = SoundLine(RATE, 1)
    frames = [*line.play(-0.5, beeps([0.0, 0.7], 1.0, RATE, 1)), *line.until(1.0)]
    frames += [*line.play(0.5, beeps([0.0, 0.7], 1.0, RATE, 1)), *line.finish(2.0)]
    assert heard(frames, line.track) == pytest.approx([0.2, 1.2], abs=0.001)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.001, 1.0)), min_size=1, max_size=6), st.sampled_from([1, 2]))
def test_frames_are_as_many_as_time_has_passed_whatever_comes(pieces: list[tuple[float, float]], channels: int) -> None:
    line, frames, at = SoundLine(RATE, channels), list[bytes](), 0.0
    for gap, seconds in pieces:
        at += gap
        frames += line.play(at, beeps([0.0], seconds, RATE, channels))
        at += seconds
        behind = round(at * RATE) / AAC_SAMPLES - len(frames)
        assert -1 <= behind <= 4
    frames += line.finish(at)
    assert 0 <= len(frames) - at * RATE // AAC_SAMPLES <= 3
    assert decoded(frames, line.track).size == len(frames) * AAC_SAMPLES
