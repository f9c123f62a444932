"""An endless height field with light, colours and water, drawn column by column from near to far.

Pictures have the shape (column, row, channel), so that a column is contiguous in memory.
"""

import math

import numpy as np
from scene import COLUMNS, FOCAL, HEIGHT, fast

CELLS, CELL, FAR = 512, 3.0, 740.0  # window side in cells, metres per cell, visible metres
STEPS = 2.5 * np.cumprod(np.r_[1, np.full(80, 1.035), np.full(105, 1.028)])  # metres: sampling distances
MASK = CELLS - 1  # the window is a torus: land that leaves on one side makes room for land that enters on the other


@fast
def tap(tile, mask, x, z):
    """Interpolate in a square tile that repeats."""
    x, z = x + 2.0**24, z + 2.0**24  # `int` is faster than `floor`, and the same above 0
    i, j = int(x), int(z)
    u, v, i, j, k, l = x - i, z - j, i & mask, j & mask, (i + 1) & mask, (j + 1) & mask  # noqa: E741
    above, below = tile[j, i] + (tile[j, k] - tile[j, i]) * u, tile[l, i] + (tile[l, k] - tile[l, i]) * u
    return above + (below - above) * v


@fast
def grow(bones, land, relief, grain, top, bottom, left, right):
    """Fill the heights of a box of cells, and their components: constant, hills, peaks and dunes."""
    for j in range(top, bottom):
        for i in range(left, right):
            x, z, hills, peaks, size, sharp = i / 110.0, j / 110.0, 0.0, 0.0, 0.5, 1.0
            for _ in range(8):
                a, b = math.floor(x), math.floor(z)
                u, v = x - a, z - b
                n = tap(grain, 255, a + u * u * (3 - 2 * u), b + v * v * (3 - 2 * v))
                ridge = (1 - abs(2 * n - 1)) ** 2 * sharp
                hills, peaks, sharp = hills + (2 * n - 1) * size, peaks + ridge * size, min(1.0, ridge * 1.6 + 0.1)
                x, z, size = 1.55 * x - 1.21 * z + 17.3, 1.21 * x + 1.55 * z + 5.1, size * 0.48
            w = (i * 0.6 + j) * 0.05 + 6.0 * hills
            w -= math.floor(w)
            w = w / 0.7 if w < 0.7 else (1 - w) / 0.3
            dunes = w * w * (3 - 2 * w) * (0.7 + hills)
            bone = bones[:, j & MASK, i & MASK]
            bone[0], bone[1], bone[2], bone[3] = 1.0, hills, peaks**3, dunes
            land[j & MASK, i & MASK] = relief[0] + relief[1] * hills + relief[2] * peaks**3 + relief[3] * dunes


@fast
def lighten(light, land, lamp, top, bottom, left, right, share):
    """Update how much light each cell gets, by slope and shadow, and how flat it is."""
    for j in range(top, bottom):
        for i in range(left, right):
            here = land[j & MASK, i & MASK]
            gx = (land[j & MASK, (i + 1) & MASK] - land[j & MASK, (i - 1) & MASK]) / (2 * CELL)
            gz = (land[(j + 1) & MASK, i & MASK] - land[(j - 1) & MASK, i & MASK]) / (2 * CELL)
            flat, far = 1 / math.sqrt(1 + gx * gx + gz * gz), 1.5
            lit = max(0.0, (lamp[1] - gx * lamp[0] - gz * lamp[2]) * flat)
            while lit > 0.003 and far < 90:
                over = land[int(j + far * lamp[2]) & MASK, int(i + far * lamp[0]) & MASK] - here - far * CELL * lamp[1]
                lit *= min(1.0, max(0.0, 1 - over / (0.35 * far)))
                far *= 1.35
            light[0, j & MASK, i & MASK] += (lit - light[0, j & MASK, i & MASK]) * share
            light[1, j & MASK, i & MASK] = flat


@fast
def paint_land(picture, depth, wet, land, light, grain, haze, scene, eye, ceiling):
    """Draw whatever rises above everything nearer; store its distance and its depth under water."""
    tone, last, lights, flats = np.zeros(3), np.zeros(3), light[0], light[1]
    scales, fogs = FOCAL / STEPS, 1 - np.exp(-((STEPS * scene.fog) ** 3))
    for c in range(COLUMNS):
        side = (2 * c + 1 - COLUMNS) / FOCAL
        dx, dz = eye.sine + side * eye.cosine, eye.cosine - side * eye.sine
        top, part, hidden, t_last, h_last = HEIGHT, 0.0, True, 1.0, 0.0
        for t, scale, fog in zip(STEPS, scales, fogs):  # noqa: B905  # numba knows no strict
            if fog > 0.997 or top <= max(0.0, eye.horizon - (ceiling - eye.y) * scale):
                break
            px, pz = eye.x + dx * t, eye.z + dz * t
            h = tap(land, MASK, px / CELL, pz / CELL)
            row = eye.horizon - (max(h, 0.0) - eye.y) * scale
            end = max(0, math.ceil(row))
            if end < top:
                n, fine = tap(grain, 255, px * 0.13, pz * 0.13), tap(grain, 255, px * 2.3, pz * 2.3) - 0.5
                lit, flat = tap(lights, MASK, px / CELL, pz / CELL), tap(flats, MASK, px / CELL, pz / CELL)
                mix = n - 0.5 + fine / (1 + 0.03 * t)
                patch, rock = min(1.0, max(0.0, 0.45 + mix * 3)), min(1.0, max(0.0, (0.83 - flat) * 7 + mix))
                snow = min(1.0, max(0.0, (h - scene.snowline) * 0.025 + (flat - 0.72) * 3 + mix))
                snow *= min(1.0, max(0.0, (h - scene.snowline) * 0.1))
                sand = min(1.0, max(0.0, (2.2 + mix * 3 - h) * 0.8))
                for k in range(3):
                    a = scene.soil[k] + (scene.patch[k] - scene.soil[k]) * patch
                    a += (scene.rock[k] - a) * rock
                    a += (0.5 - 0.12 * k - a) * sand
                    a += (0.8 + 0.06 * k - a) * snow
                    a *= scene.beam[k] * lit + scene.glow[k] * (0.55 + 0.45 * flat)
                    tone[k] = a + (haze[c, k] - a) * fog
                for y in range(top - 1, end - 1, -1):
                    a = (top - y) / (top - row) if not hidden else 1 - part if y == top - 1 else 1.0
                    d = t if hidden else 1 / (1 / t_last + (1 / t - 1 / t_last) * a)
                    fine = 1.0
                    if d < 90:
                        px, pz, near = eye.x + dx * d, eye.z + dz * d, (1 - fog) / (1 + 0.03 * d)
                        fine += near * (0.6 * tap(grain, 255, px * 2.3, pz * 2.3) - 0.3)
                        fine += near * (0.5 * tap(grain, 255, px * 9, pz * 9) - 0.25)
                    for k in range(3):
                        picture[c, y, k] = (last[k] + (tone[k] - last[k]) * a) * fine
                    depth[c, y], wet[c, y] = d, -h if hidden else -h_last - (h - h_last) * a
                top, part, hidden, t_last, h_last = end, end - row, False, t, h
                for k in range(3):
                    last[k] = tone[k]
            hidden = hidden or row > top + 0.5
        for y in range(top):
            depth[c, y], wet[c, y] = 1e9, 0.0
        for k in range(3):
            picture[c, max(0, top - 1), k] += (last[k] - picture[c, max(0, top - 1), k]) * part


@fast
def paint_water(picture, veil, depth, wet, grain, haze, scene, eye):
    """Draw ripples that reflect what is above the horizon, shallow ground, foam, and the plants in front."""
    for c in range(COLUMNS):
        side = (2 * c + 1 - COLUMNS) / FOCAL
        dx, dz = eye.sine + side * eye.cosine, eye.cosine - side * eye.sine
        for y in range(HEIGHT):
            if wet[c, y] > 0:
                d, deep = depth[c, y], wet[c, y]
                x, z = eye.x + dx * d, eye.z + dz * d
                n = tap(grain, 255, x * 0.5 + scene.time * 0.7, z * 0.5 + scene.time * 0.4) - 0.5
                n += tap(grain, 255, x * 0.23 - scene.time * 0.3, z * 0.23) - 0.5
                n += 0.5 * (tap(grain, 255, x * 1.7, z * 1.7 + scene.time * 1.1) - 0.5)
                calm = 1 / (1 + 0.012 * d)
                mirror = max(0, min(int(eye.horizon) - 1, int(2 * eye.horizon - y - n * (4 + 26 * calm) * calm) - 1))
                steep = (1 - min(1.0, eye.y / d)) ** 4
                fresnel = min(0.95, max(0.03, 0.05 + 0.9 * steep * (0.9 + 0.4 * n * calm)))
                clear = 0.85 / (1 + 1.6 * deep + 0.6 * deep * deep)
                foam = 0.5 * min(1.0, max(0.0, 0.7 - 3.5 * deep + 1.1 * n))
                seen = math.exp(-((d * scene.fog) ** 3))
                for k in range(3):
                    tone = scene.water[k] * (scene.beam[k] * max(0.05, scene.lamp[1]) + 1.2 * scene.glow[k])
                    tone += (picture[c, y, k] - tone) * clear
                    tone += (picture[c, mirror, k] - tone) * fresnel
                    tone += (scene.glow[k] * 1.4 + scene.beam[k] * 0.3 - tone) * foam
                    picture[c, y, k] = haze[c, k] + (tone - haze[c, k]) * seen
            for k in range(3):
                picture[c, y, k] = picture[c, y, k] * veil[c, y, 3] + veil[c, y, k]
