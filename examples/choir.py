"""Four voices that follow your hand. Each step yields picture and sound together, so they stay in sync.

`livereactor run examples/choir.py`. Frames and samples share one clock: a step makes one frame and the 1,600 samples of
its 1/30 s, which continue where the last ones ended. The sound is mono, so space means near and far.
"""

import itertools
from collections.abc import Iterator
from typing import Annotated, Literal

import cv2
import numpy as np
from annotated_types import Interval

import livereactor as lr

Unit = Annotated[float, Interval(ge=0, le=1)]
Chord = Literal["open", "major", "minor", "fourth"]
Vowel = Literal["ah", "oh", "oo", "eh", "ee"]
RATE, FPS = 48_000, 30
BLOCK = RATE // FPS  # samples per frame
ALONG = np.arange(1, BLOCK + 1) / BLOCK  # elapsed share of the frame at each sample
SCALE = np.array([1, 9 / 8, 5 / 4, 3 / 2, 5 / 3])  # five pure notes per octave: none sounds wrong
CHORDS = {"open": 3, "major": 5 / 2, "minor": 12 / 5, "fourth": 8 / 3}  # ratio of the highest voice to the lowest
VOWELS = {"ah": (730, 1090, 2440), "oh": (450, 800, 2830), "oo": (310, 870, 2250), "eh": (530, 1840, 2480),
          "ee": (280, 2250, 2890)}  # fmt: skip
DREAM = (0.1, 0.5), (0.45, 0.7), (0.3, 0.8), (0.65, 0.6), (0.5, 0.9), (0.2, 0.7)  # where they go until somebody leads


class Led(lr.Message):
    """Target of the voices: pitches in hertz, lowest first, and nearness, 0 to 1."""

    pitches: list[float]
    near: float


class Choir(lr.Model):
    """Four voices that follow your hand: right is higher, down is nearer."""

    main_video = lr.VideoOut(width=640, height=360, fps=FPS)
    main_audio = lr.AudioOut(sample_rate=RATE)
    chord: Chord = lr.param("major", description="Note that the highest voice sings above the others.")
    vowel: Vowel = lr.param("ah", description="Vowel that the voices sing.")
    sing: bool = lr.param(True, description="Turn off to let the voices fade to silence.")

    def open(self, session: lr.Session) -> None:
        self.voices, self.screen = Voices(), Screen()
        self.led: tuple[float, float] | None = None

    @lr.command
    def lead(self, x: Unit, y: Unit) -> Led:
        """Lead the voices to a point."""
        self.led = x, y
        return Led(pitches=self.pitches(x).tolist(), near=y)

    def pitches(self, x: float) -> np.ndarray:
        """Return the pitches of the four voices in hertz: a chord above the note at x."""
        octave, note = divmod(round(x * 2 * len(SCALE)), len(SCALE))
        return 110 * 2**octave * SCALE[note] * np.array([1, 3 / 2, 2, CHORDS[self.chord]])

    def stream(self) -> Iterator[dict[str, np.ndarray]]:
        for frame in itertools.count():
            x, y = self.led or DREAM[frame // 90 % len(DREAM)]
            sung = self.voices.sing(self.pitches(x), VOWELS[self.vowel], y, self.sing)
            yield {"main_video": self.screen.draw(sung, self.voices.near, x, y), "main_audio": self.voices.heard(sung)}


class Voices:
    """Sums of harmonics, shaped by a vowel's formants, and the hall they sing in. Changes glide over one block."""

    FOLLOW = np.array([0.10, 0.13, 0.17, 0.22])  # share of its way that a voice moves per frame
    HARMONICS = np.arange(1, 29)[:, None]
    HALL = 0.215 * np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])  # below 1/4: it fades

    def __init__(self) -> None:
        self.pitch, self.near, self.phase = np.log(np.full(4, 110.0)), np.full(4, 0.3), np.zeros((4, 1))
        self.formants, self.level, self.gain, self.time = np.array(VOWELS["ah"], float), 0.0, np.zeros(BLOCK), 0.0
        self.loud = np.zeros((len(self.HARMONICS), 4))
        self.echoes = [np.zeros(length) for length in (1733, 2089, 2551, 3041)]  # samples; each longer than a block

    def sing(self, pitches: np.ndarray, formants: tuple[int, int, int], near: float, aloud: bool) -> np.ndarray:
        """Return the next block of each voice: shape (4, BLOCK), about -1 to 1."""
        before, louder, level = np.exp(self.pitch), self.loud, self.level
        self.pitch += self.FOLLOW * (np.log(pitches) - self.pitch)
        self.near += self.FOLLOW * (near - self.near)
        self.formants += 0.12 * (formants - self.formants)
        self.level = min(1.0, level + 1 / 24) if aloud else max(0.0, level - 1 / 8)
        self.loud, self.gain = self.loudness(), glide(level, self.level)
        vibrato = 1 + 0.002 * np.sin(2 * np.pi * np.outer((4.6, 5.0, 5.3, 5.7), self.time + ALONG / FPS))
        phase = self.phase + 2 * np.pi / RATE * np.cumsum(glide(before, np.exp(self.pitch)) * vibrato, axis=1)
        self.phase, self.time = phase[:, -1:] % (2 * np.pi), self.time + 1 / FPS
        turn, harmonic, sung = np.exp(1j * phase), 1.0, np.zeros((2, 4, BLOCK))
        for both in np.stack([louder, self.loud], axis=1):
            harmonic = harmonic * turn
            sung += both[..., None] * np.imag(harmonic)
        return ((1 - ALONG) * sung[0] + ALONG * sung[1]) * self.gain

    def loudness(self) -> np.ndarray:
        """Return the loudness of each harmonic of each voice: near voices are loud and bright."""
        hertz = self.HARMONICS * np.exp(self.pitch)
        away = (hertz[..., None] - self.formants) / (0.5 * self.formants**0.75)
        loud = (0.02 + (1 / (1 + away**2)) @ (1, 0.5, 0.25)) / np.sqrt(hertz)
        loud *= np.exp(-((hertz / (1500 + 3000 * self.near)) ** 2))
        return (0.04 + 0.12 * self.near) * loud / np.linalg.norm(loud, axis=0)

    def heard(self, sung: np.ndarray) -> np.ndarray:
        """Mix the voices and the echo of the hall into one block: int16, shape (BLOCK,)."""
        echo = np.stack([line[:BLOCK] + line[1 : BLOCK + 1] for line in self.echoes])  # the mean dulls it
        late = self.HALL @ echo + sung
        self.echoes = [np.append(line[BLOCK:], more) for line, more in zip(self.echoes, late, strict=True)]
        return (32_000 * self.gain * np.tanh(sung.sum(axis=0) + 0.3 * echo.sum(axis=0))).astype(np.int16)


def glide(start: np.ndarray | float, end: np.ndarray | float) -> np.ndarray:
    """Interpolate from one value to the next along a block: shape (..., BLOCK)."""
    return np.multiply.outer(start, 1 - ALONG) + np.multiply.outer(end, ALONG)


class Screen:
    """The spectrum of each voice as a ribbon of light, lowest in front; old ribbons rise and fade."""

    COLOURS = (112, 104, 255), (40, 200, 216), (255, 180, 80), (255, 100, 156)  # of the voices, lowest first
    COLUMNS = np.arange(0, 642, 2)
    HERTZ = 80 * 50 ** (COLUMNS / 640)  # frequency of each column

    def __init__(self) -> None:
        self.lately, self.past = np.zeros((4, 2 * BLOCK)), np.zeros((180, 320, 3), np.uint8)
        veil = 255 * np.clip(2.5 * np.sin(np.pi * np.arange(640) / 640), 0.04, 1)
        self.veil = np.tile(veil[:, None].astype(np.uint8), (360, 1, 3))  # fade at both ends of the ribbons

    def draw(self, sung: np.ndarray, near: np.ndarray, x: float, y: float) -> np.ndarray:
        """Draw the picture that belongs to a block: uint8, shape (360, 640, 3), RGB."""
        self.lately = np.append(self.lately[:, BLOCK:], sung, axis=1)
        spectra = np.abs(np.fft.rfft(self.lately * np.hanning(2 * BLOCK), 4 * BLOCK)) * (4 / BLOCK)
        bins, ribbons = np.arange(2 * BLOCK + 1) * FPS / 4, np.zeros((360, 640, 3), np.uint8)
        for n in (3, 2, 1, 0):
            height = np.clip(1 + np.log10(np.interp(self.HERTZ, bins, spectra[n]) + 1e-6) / 2.2, 0, 1)
            peaks, hills = (cv2.GaussianBlur(height[None], (0, 0), wide)[0] for wide in (1.5, 7))
            rows = 340 - n * (44 + 24 * near[n]) - (0.8 * peaks + 0.7 * hills) * (55 + 75 * near[n])
            line = (np.stack([self.COLUMNS, rows], axis=1) * 16).astype(np.int32)
            area = np.append(line, [(640 * 16, 400 * 16), (0, 400 * 16)], axis=0)
            colour = np.array(self.COLOURS[n]) * (0.25 + 0.75 * height.max() ** 0.5)
            cv2.fillPoly(ribbons, [area], (colour / 12).tolist(), cv2.LINE_AA, 4)
            cv2.polylines(ribbons, [line], False, colour.tolist(), 2, cv2.LINE_AA, 4)
        cv2.circle(ribbons, (int(x * 640), int(y * 360)), 5, (160, 160, 190), -1, cv2.LINE_AA)
        ribbons = cv2.multiply(ribbons, self.veil, scale=1 / 255)
        small = cv2.GaussianBlur(cv2.resize(ribbons, (160, 90), interpolation=cv2.INTER_AREA), (0, 0), 2.2)
        glow, drift = cv2.resize(small, (320, 180)), np.array([[1.004, 0, -0.64], [0, 1, -1.7]])
        self.past = cv2.warpAffine(cv2.addWeighted(self.past, 0.955, glow, 0.16, -1), drift, (320, 180))
        return cv2.add(ribbons, cv2.resize(cv2.addWeighted(glow, 1.3, self.past, 1, 0), (640, 360)))
