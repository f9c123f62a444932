"""Places, hours and weathers as numbers, and the mix of them that a picture shows."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

WIDTH, HEIGHT, FOCAL = 640, 360, 430.0  # pixels
COLUMNS = WIDTH // 2  # land, plants and sky are drawn in columns two pixels wide
Three = tuple[float, float, float]
fast = njit(fastmath=True, cache=True, error_model="numpy")


@fast
def shown(x):
    """Map light to 0..255 for the screen: strong light is compressed, not clipped."""
    above, below = x * (np.float32(2.51) * x + np.float32(0.03)), x * (np.float32(2.43) * x + np.float32(0.59))
    return np.float32(255) * np.sqrt(min(np.float32(1), above / (below + np.float32(0.14))))


class Eye(NamedTuple):
    """The position of the eye (metres), its heading (sine and cosine), and the row of the horizon."""

    x: float
    y: float
    z: float
    sine: float
    cosine: float
    horizon: float


class Scene(NamedTuple):
    """Everything a picture needs. Colours are linear light, 1 is white; directions have length 1: x, up, z."""

    zenith: Three
    horizon: Three
    beam: Three  # light of sun or moon
    glow: Three  # light of the sky
    lamp: Three  # direction of sun or moon
    soil: Three
    patch: Three
    rock: Three
    leaf: Three
    water: Three
    share: float  # share of places with a plant
    tall: float  # metres
    snowline: float  # metres
    white: float  # snow on plants, 0 to 1
    cloudy: float  # 0 to 1
    fog: float  # 1 / metres
    drops: float  # 0 to 1
    fall: float  # metres a second
    night: float  # 0 to 1
    time: float  # seconds


# Heights in metres (base, hills, peaks, dunes), height of the snow line, plants (share, metres);
# the colours of soil, its patches, rock, leaves and water.
PLACES = {
    "meadow": ((7, 30, 60, 0), 150, (0.10, 6), (0.07, 0.14, 0.025), (0.19, 0.19, 0.05), (0.24, 0.22, 0.18),
               (0.07, 0.16, 0.025), (0.02, 0.10, 0.12)),
    "forest": ((9, 34, 110, 0), 150, (0.5, 11), (0.06, 0.10, 0.025), (0.13, 0.12, 0.045), (0.18, 0.17, 0.15),
               (0.045, 0.12, 0.05), (0.01, 0.05, 0.06)),
    "desert": ((12, 10, 60, 16), 900, (0.05, 4), (0.56, 0.31, 0.13), (0.47, 0.23, 0.085), (0.46, 0.20, 0.10),
               (0.14, 0.19, 0.07), (0.02, 0.16, 0.15)),
    "mountains": ((2, 40, 310, 0), 75, (0.25, 11), (0.09, 0.14, 0.04), (0.19, 0.17, 0.07), (0.25, 0.24, 0.24),
                  (0.04, 0.11, 0.06), (0.01, 0.09, 0.12)),
    "islands": ((-1, 46, 60, 0), 900, (0.35, 8), (0.07, 0.15, 0.03), (0.17, 0.20, 0.05), (0.30, 0.27, 0.22),
                (0.07, 0.19, 0.04), (0.00, 0.21, 0.25)),
    "tundra": ((3, 16, 170, 0), -40, (0.06, 7), (0.20, 0.20, 0.14), (0.26, 0.24, 0.18), (0.24, 0.26, 0.30),
               (0.04, 0.09, 0.07), (0.02, 0.08, 0.12)),
}  # fmt: skip
# Clouds, fog, number of drops, speed of their fall, snow on the ground.
FALL = 3  # index of the speed
WEATHERS = {
    "clear": np.array([0.0, 1 / 520, 0.0, 0.0, 0.0]),
    "fog": np.array([0.35, 1 / 190, 0.0, 0.0, 0.0]),
    "rain": np.array([1.0, 1 / 360, 1.0, 9.0, 0.0]),
    "snow": np.array([0.85, 1 / 280, 1.0, 1.3, 1.0]),
}
PLANTS = {"meadow": "tree", "forest": "fir", "desert": "cactus", "mountains": "fir", "islands": "palm", "tundra": "fir"}
HEIGHTS = (-0.25, -0.08, 0.02, 0.2, 0.7)  # of the sun: night, blue hour, sunset, golden hour, day
SKIES = np.array([  # zenith, horizon, beam, glow
    [(0.004, 0.008, 0.024), (0.014, 0.026, 0.052), (0.20, 0.26, 0.40), (0.024, 0.038, 0.07)],
    [(0.03, 0.05, 0.16), (0.30, 0.20, 0.26), (0.05, 0.05, 0.09), (0.06, 0.065, 0.12)],
    [(0.09, 0.16, 0.40), (1.00, 0.50, 0.28), (2.2, 0.85, 0.32), (0.17, 0.17, 0.27)],
    [(0.10, 0.24, 0.58), (0.85, 0.68, 0.55), (2.8, 1.85, 1.0), (0.24, 0.28, 0.40)],
    [(0.10, 0.27, 0.66), (0.55, 0.70, 0.85), (2.2, 2.0, 1.7), (0.26, 0.33, 0.46)],
])  # fmt: skip


def scene_of(place: np.ndarray, weather: np.ndarray, hour: float, time: float, grown: float = 1.0) -> Scene:
    """Mix a place, a weather and an hour into a scene.

    Args:
        place: a row of `numbers_of`, or between two of them.
        weather: a row of WEATHERS, or between two of them.
        hour: 0 to 24; the sun rises at 6.
        time: seconds, for clouds, waves and drops.
        grown: how tall plants stand, 0 to 1.
    """
    cloudy, fog, drops, fall, white = (float(each) for each in weather)
    angle = (hour - 6) / 12 * math.pi
    sun = np.array([math.cos(angle), 0.8 * math.sin(angle), -0.5])
    sun /= np.linalg.norm(sun)
    at = float(np.interp(sun[1], HEIGHTS, range(len(HEIGHTS))))
    low = min(len(HEIGHTS) - 2, int(at))
    zenith, horizon, beam, glow = SKIES[low] + (SKIES[low + 1] - SKIES[low]) * (at - low)
    grey = glow.mean() * np.array([0.95, 1.0, 1.08])
    zenith, horizon = zenith + (grey * 1.1 - zenith) * cloudy * 0.85, horizon + (grey * 1.7 - horizon) * cloudy * 0.7
    # Between sunset and moonrise there is neither sun nor moon.
    lamp = sun if sun[1] > -0.1 else sun * (-1, -1, 1)
    beam = beam * (1 - 0.8 * cloudy) * np.clip(abs(sun[1] + 0.1) * 10, 0.02, 1)
    colours = (zenith, horizon, beam, glow * (1 + 0.25 * cloudy), lamp, *place[7:].reshape(5, 3))
    snowline, share, tall = (float(each) for each in place[4:7])
    night = float(np.interp(sun[1], (-0.25, -0.05), (1, 0)))
    rest = share, tall * grown, snowline + (-60 - snowline) * white, white, cloudy, fog, drops, fall, night, time
    return Scene._make([*(tuple(map(float, colour)) for colour in colours), *rest])


def numbers_of(place: str) -> np.ndarray:
    """Return a row of PLACES, flattened: float64, shape (22,)."""
    return np.hstack([np.array(part, float) for part in PLACES[place]])
