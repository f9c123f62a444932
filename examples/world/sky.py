"""The sky with sun or moon, clouds, stars, rain and snow."""

import math

import numpy as np
from land import FAR, tap
from scene import COLUMNS, FOCAL, HEIGHT, WIDTH, fast, shown


@fast
def look_up(scene, clouds, x, y, z):
    """Return for a direction of length 1: lowness, shine of the sun, cloud cover, and the clouds' lining and body."""
    up = max(y, 0.0)
    low, near = 1 / (1 + 4 * up), max(0.0, x * scene.lamp[0] + y * scene.lamp[1] + z * scene.lamp[2])
    low, near4 = low * low, near**4
    shine = (near4 * near4 * 0.10 + near4 * low * 0.16 + near**64 * 0.25) * (1 - 0.9 * scene.cloudy)
    if up < 0.01:
        return low, shine, 0.0, 0.0, 0.0
    far = 14.0 / (up + 0.1)
    n = tap(clouds, 255, x * far + scene.time * 0.3, z * far)
    n += 0.3 * tap(clouds, 255, x * far * 4.1 - scene.time * 0.4, z * far * 4.1)
    cover = min(1.0, max(0.0, (n - 0.25 + 1.5 * scene.cloudy) * 1.2)) * min(1.0, up * 7)
    body = 1.3 - 0.8 * cover + 0.45 * scene.cloudy * max(-1.0, min(1.0, n))
    return low, shine, cover, (0.10 + 0.6 * near4 * (1 - 0.7 * cover)) * (1 - scene.cloudy), body


@fast
def tone(scene, k, low, shine, cover, lining, body):
    """Return one colour channel of the sky."""
    clear = scene.zenith[k] + (scene.horizon[k] - scene.zenith[k]) * low + scene.beam[k] * shine
    cloud = scene.glow[k] * body + scene.horizon[k] * 0.2 + scene.beam[k] * lining
    return clear + (cloud - clear) * cover


@fast
def paint_sky(rough, haze, scene, clouds, eye):
    """Draw the sky at a sixteenth of the pixels, and into `haze` its colour at the horizon, which all fog has."""
    for c in range(COLUMNS):
        side = (2 * c + 1 - COLUMNS) / FOCAL
        x, z, s = eye.sine + side * eye.cosine, eye.cosine - side * eye.sine, 1 / math.sqrt(1 + side * side)
        low, shine, cover, lining, body = look_up(scene, clouds, x * s, 0.0, z * s)
        for k in range(3):
            haze[c, k] = tone(scene, k, low, shine, cover, lining, body)
    for c in range(COLUMNS // 2):
        side = (4 * c + 2 - COLUMNS) / FOCAL
        x, z = eye.sine + side * eye.cosine, eye.cosine - side * eye.sine
        for r in range(HEIGHT // 4):
            y = (eye.horizon - 4 * r - 2) / FOCAL
            if y < 0:  # below the horizon there is only haze
                rough[c, r] = haze[2 * c]
                continue
            s = 1 / math.sqrt(1 + side * side + y * y)
            low, shine, cover, lining, body = look_up(scene, clouds, x * s, y * s, z * s)
            for k in range(3):
                rough[c, r, k] = tone(scene, k, low, shine, cover, lining, body)


@fast
def paint_disc(half, depth, scene, eye):
    """Draw the sun or the moon where no land hides it."""
    ahead = scene.lamp[0] * eye.sine + scene.lamp[2] * eye.cosine
    if ahead < 0.3:
        return
    mid = COLUMNS / 2 + (scene.lamp[0] * eye.cosine - scene.lamp[2] * eye.sine) / ahead * FOCAL / 2
    row, size = eye.horizon - scene.lamp[1] / ahead * FOCAL, 15.0
    for c in range(max(0, int(mid - size)), min(COLUMNS, int(mid + size))):
        for r in range(max(0, int(row - size)), min(HEIGHT, int(row + size))):
            away = math.sqrt((2 * (c + 0.5 - mid)) ** 2 + (r + 0.5 - row) ** 2)
            cover = min(1.0, max(0.0, size - 0.5 - away)) * (1 - scene.cloudy) * (depth[c, r] > FAR)
            for k in range(3):
                half[c, r, k] += scene.beam[k] * (14 - 9 * scene.night) * cover


@fast
def paint_stars(out, veil, depth, stars, scene, eye):
    """Draw the stars that nothing hides."""
    for x, y, z, strength in stars:
        ahead, aside = x * eye.sine + z * eye.cosine, x * eye.cosine - z * eye.sine
        if ahead > 0.1:
            c, r = int(WIDTH / 2 + aside / ahead * FOCAL), int(eye.horizon - y / ahead * FOCAL)
            if 0 <= c < WIDTH and 0 <= r < HEIGHT and depth[c // 2, r] > FAR:
                for k in range(3):
                    seen = 400 * strength * scene.night * (1 - scene.cloudy) * veil[c // 2, r, 3]
                    out[c, r, k] = min(255.0, out[c, r, k] + seen)


@fast
def paint_drops(out, depth, drops, scene, eye):
    """Draw rain or snow in a box of 14 metres that moves with the eye."""
    rain = scene.fall > 4
    for n in range(int(drops.shape[0] * scene.drops)):
        x = (drops[n, 0] * 14 - eye.x + scene.time * scene.fall * 0.12 * (1 + drops[n, 1])) % 14 - 7
        y = (drops[n, 1] * 14 - eye.y - scene.time * scene.fall * (0.8 + 0.4 * drops[n, 2])) % 14 - 7
        z = (drops[n, 2] * 14 - eye.z) % 14 - 7
        t, aside = x * eye.sine + z * eye.cosine, x * eye.cosine - z * eye.sine
        if t < 0.7:
            continue
        c, r, size = WIDTH / 2 + aside / t * FOCAL, eye.horizon - y / t * FOCAL, (0.012 if rain else 0.035) * FOCAL / t
        wide, long = max(0.6, size / 2), max(0.6, (FOCAL / t * scene.fall * 0.022 + size if rain else size) / 2)
        strength = min(1.0, size) * (0.35 if rain else 0.9) * min(1.0, (t - 0.7) * 2)
        for i in range(max(0, int(c - wide)), min(WIDTH, int(c + wide) + 1)):
            for j in range(max(0, int(r - long)), min(HEIGHT, int(r + long) + 1)):
                u, v = (i + 0.5 - c) / wide, (j + 0.5 - r) / long
                cover = max(0.0, 1 - (u * u + v * v) * 0.8) * strength * (depth[i // 2, j] > t)
                for k in range(3):
                    bright = shown(scene.glow[k] * 1.8 + scene.horizon[k] * 0.3 + scene.beam[k] * 0.2)
                    out[i, j, k] += (bright - out[i, j, k]) * cover


def make_clouds(grain: np.ndarray) -> np.ndarray:
    """Return repeating noise of all scales: float32, shape (256, 256), around 0."""
    waves = np.hypot(*np.meshgrid(np.fft.rfftfreq(256), np.fft.fftfreq(256)))
    clouds = np.fft.irfft2(np.fft.rfft2(grain - 0.5) / np.maximum(waves, 0.008) ** 1.3)
    return (clouds / clouds.std() * 0.35).astype(np.float32)


def make_stars(chance: np.random.Generator) -> np.ndarray:
    """Return directions above the horizon and brightness: float64, shape (900, 4)."""
    stars = chance.normal(size=(900, 3))
    stars[:, 1] = abs(stars[:, 1])
    return np.column_stack([stars / np.linalg.norm(stars, axis=1, keepdims=True), chance.random(900) ** 3])
