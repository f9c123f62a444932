"""What the choir promises: the pitches it tells, no clicks, one clock, and a picture of just what is heard."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from examples.choir import BLOCK, RATE, VOWELS, Choir, Screen, Voices
from livereactor.media.frames import Pixels
from livereactor.testing import Stage


def led(x: float, y: float, **params: Any) -> tuple[Stage, list[float]]:
    """A choir that is led to (x, y), and the pitches it told."""
    stage = Stage(Choir).open()
    for name, value in params.items():
        stage.command(f"set_{name}", **{name: value})
    reply = stage.command("lead", x=x, y=y)
    assert reply is not None
    assert reply.data["near"] == y
    return stage, cast("list[float]", reply.data["pitches"])


def listened(stage: Stage, steps: int) -> tuple[Any, Pixels]:
    """The samples of so many steps, and the last picture."""
    made = [stage.step() for _ in range(steps)]
    return np.concatenate([each.sounds["main_audio"][:, 0] for each in made]), made[-1].frames["main_video"][0]


def cents_off(samples: Any, hertz: float) -> float:
    """How far the strongest tone within a semitone of `hertz` is from it."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 19))
    tones = np.fft.rfftfreq(1 << 19, 1 / RATE)
    near = np.abs(np.log2(np.maximum(tones, 1) / hertz)) < 1 / 12
    assert spectrum[near].max() > 20 * np.median(spectrum)
    return float(1200 * np.log2(tones[near][spectrum[near].argmax()] / hertz))


def crest(picture: Pixels, voice: int) -> Any:
    """The highest row of a voice's ribbon per column; nan where another one hides it."""
    colour = np.array(Screen.COLOURS[voice]) / np.linalg.norm(Screen.COLOURS[voice])
    bright = picture.max(axis=2) > 190
    alike = picture @ colour > 0.985 * np.linalg.norm(picture, axis=2)
    found = bright & alike
    return np.where(found.any(axis=0), found.argmax(axis=0), np.nan)


@pytest.mark.parametrize(("x", "chord"), [(0.0, "major"), (0.33, "minor"), (0.5, "open"), (1.0, "fourth")])
def test_what_is_told_is_heard_within_5_cents(x: float, chord: str) -> None:
    stage, pitches = led(x, 0.8, chord=chord)
    listened(stage, 75)
    samples, _ = listened(stage, 45)
    assert pitches == sorted(pitches)
    assert all(abs(cents_off(samples, pitch)) < 5 for pitch in pitches)


def test_each_voice_sings_its_own_pitch() -> None:
    voices, pitches = Voices(), np.array([137.5, 206.25, 275.0, 343.75])
    sung = np.concatenate([voices.sing(pitches, VOWELS["oh"], 0.7, aloud=True) for _ in range(120)], axis=1)
    for voice, pitch in zip(sung[:, 75 * BLOCK :], pitches, strict=True):
        assert abs(cents_off(voice, pitch)) < 5


def test_right_is_higher_and_every_note_belongs_to_one_scale() -> None:
    stage, lowest = led(0, 0.5)
    notes = list[float]()
    for x in np.linspace(0, 1, 41):
        reply = stage.command("lead", x=float(x), y=0.5)
        assert reply is not None
        notes.append(reply.data["pitches"][0])
    assert notes == sorted(notes)
    assert notes[0] == lowest[0]
    assert notes[-1] == 4 * lowest[0]
    assert len(set(notes)) == 11  # five notes in each of two octaves, and the last


def test_every_frame_has_exactly_its_own_length_of_sound() -> None:
    with Stage(Choir) as stage:
        steps = stage.run(2.0)
    assert len(steps) == pytest.approx(60, abs=1)
    assert all(step.sounds["main_audio"].shape == (BLOCK, 1) for _, step in steps)
    assert all(step.frames["main_video"][0].shape == (360, 640, 3) for _, step in steps)


def test_nothing_clicks_however_it_is_led() -> None:
    stage, _ = led(0, 0)
    chance, heard = np.random.default_rng(1), list[Any]()
    for frame in range(240):
        stage.command("lead", x=chance.random(), y=chance.random())
        if frame % 40 == 0:
            stage.command("set_vowel", vowel=list(VOWELS)[frame // 40 % 5])
            stage.command("set_sing", sing=frame % 120 < 80)
        heard.append(listened(stage, 1)[0])
    samples = np.concatenate(heard).astype(float)
    assert np.abs(np.diff(samples)).max() < 8_000
    rough = np.abs(np.diff(samples, 4))  # a click is a jump in what is smooth: high derivatives see it
    at_borders = np.stack([rough[shift::BLOCK][:239] for shift in range(BLOCK - 4, BLOCK)]).max()
    assert at_borders < rough.max()
    assert at_borders < 3 * np.quantile(rough, 0.999)


def test_it_begins_softly() -> None:
    with Stage(Choir) as stage:
        first, _ = listened(stage, 1)
        later, _ = listened(stage, 60)
    assert np.abs(first).max() < 0.15 * np.abs(later).max()


def test_near_is_louder_and_brighter_than_far() -> None:
    levels, brights = list[float](), list[float]()
    for y in (0.0, 1.0):
        stage, _ = led(0.3, y)
        listened(stage, 75)
        samples = listened(stage, 30)[0].astype(float)
        spectrum = np.abs(np.fft.rfft(samples)) ** 2
        levels.append(float(np.sqrt((samples**2).mean())))
        brights.append(float(spectrum[1500:].sum() / spectrum.sum()))  # of it above 1,500 Hz
    assert levels[1] > 2 * levels[0] > 0
    assert brights[1] > 2 * brights[0]


def test_it_is_silent_when_asked_and_sings_again() -> None:
    stage, _ = led(0.5, 1)
    listened(stage, 60)
    stage.command("set_sing", sing=False)
    listened(stage, 10)
    silence, picture = listened(stage, 30)
    assert not silence.any()
    assert all(np.isnan(crest(picture, voice)).all() for voice in range(4))
    stage.command("set_sing", sing=True)
    listened(stage, 30)
    assert np.abs(listened(stage, 5)[0]).max() > 3_000


@pytest.mark.parametrize("x", [0.2, 0.6])
def test_each_ribbon_peaks_where_its_voice_sounds(x: float) -> None:
    stage, pitches = led(x, 0.6)
    _, picture = listened(stage, 75)
    for voice, pitch in enumerate(pitches):
        rows = crest(picture, voice)
        column = round(640 * np.log(pitch / 80) / np.log(50))
        peak = np.nanmin(rows[column - 5 : column + 6])
        around = np.nanmax([np.nanmax(rows[column - 45 : column - 30]), np.nanmax(rows[column + 30 : column + 45])])
        assert around - peak > 10  # pixels


def test_a_session_hears_and_sees_nothing_of_the_last_one() -> None:
    stage = Stage(Choir).open()
    fresh = listened(stage, 12)
    stage.command("lead", x=1, y=1)
    stage.command("set_chord", chord="minor")
    listened(stage, 30)
    stage.open()
    again = listened(stage, 12)
    assert all(np.array_equal(a, b) for a, b in zip(fresh, again, strict=True))
