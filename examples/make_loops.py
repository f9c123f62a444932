"""Makes the gallery films of the demo models: `python examples/make_loops.py [NAME …]` writes NAME.webm beside each.

A model plays on a `Stage` without a network, while a script sends commands. The film is four seconds long: 320x180, 15
pictures a second, silent VP9. Its end fades into its start, so that it loops without a jump.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import cv2
import numpy as np

from livereactor.runtime.execution.loading import load_model
from livereactor.testing import Stage

HERE = Path(__file__).parent
WIDTH, HEIGHT, FPS, SECONDS, MELT = 320, 180, 15, 4, 12  # MELT: pictures that fade over
MOST_BYTES = 250_000


@dataclass(frozen=True, slots=True)
class Scene:
    """Instructions for filming one model.

    Attributes:
        file: the model's file, below this folder.
        warm: seconds before the film starts.
        hand: called before each picture with the stage and the seconds since the start, including `warm`.
    """

    file: str
    warm: float
    hand: Callable[[Stage, float], None]


def pond(stage: Stage, time: float) -> None:
    if time == 0:
        stage.command("set_rain", rain=0.12)
    if round(time * FPS) % 2 == 0:  # a finger draws an eight
        x, y = 0.5 + 0.34 * math.sin(time * 1.1), 0.52 + 0.26 * math.sin(time * 2.2)
        stage.command("drop", x=x, y=y, strength=0.5)


def garden(stage: Stage, time: float) -> None:
    if is_at(time, 6.2):
        stage.command("set_species", species="butterfly")
    if is_at(time, 7.2):
        stage.command("cut", x=0.87, y=0.68, radius=0.05)


def world(stage: Stage, time: float) -> None:
    if time == 0:
        stage.command("set_forward", forward=0.5)
    stage.command("set_turn", turn=0.12 * math.sin(time * 2 * math.pi / SECONDS))


def mirror(stage: Stage, time: float) -> None:
    for moment, style in ((0, "ink"), (3.6, "thermal"), (4.6, "datamosh"), (5.6, "particles")):
        if is_at(time, moment):
            stage.command("set_style", style=style)
    stage.feed("webcam", visitor(time))


def choir(stage: Stage, time: float) -> None:
    stage.command("lead", x=0.5 + 0.4 * math.sin(time * 1.4), y=0.5 + 0.35 * math.cos(time * 0.9))


def nobody(stage: Stage, time: float) -> None:
    """Send no command: the model moves by itself."""


SCENES = {
    "pond": Scene("pond.py", 2.0, pond),
    "garden": Scene("garden/garden.py", 5.0, garden),
    "world": Scene("world/world.py", 0.0, world),
    "mirror": Scene("mirror/mirror.py", 2.0, mirror),
    "choir": Scene("choir.py", 2.0, choir),
    "slow": Scene("slow.py", 6.0, nobody),
}


def is_at(time: float, moment: float) -> bool:
    """Return True once, at the picture of this moment."""
    return moment <= time < moment + 1 / FPS


def visitor(time: float) -> np.ndarray:
    """Draw a waving person in place of a camera: uint8, shape (360, 640, 3), RGB."""
    rows, columns = np.mgrid[0:360, 0:640].astype(np.float32)
    wall = 46 + 16 * np.cos(rows / 160) + 10 * np.sin(columns / 90 + 1)
    picture = np.dstack([wall * 0.78, wall * 0.86, wall]).astype(np.uint8)
    sway = round(14 * math.sin(time * 2 * math.pi / SECONDS))
    middle = 320 + sway
    shoulder, hand = (middle + 78, 268), (middle + 150 + round(34 * math.sin(time * math.pi)), 118)
    cv2.ellipse(picture, (middle, 372), (128, 130), 0, 180, 360, (44, 62, 96), -1, cv2.LINE_AA)
    cv2.line(picture, shoulder, hand, (52, 72, 110), 44, cv2.LINE_AA)
    cv2.circle(picture, hand, 27, (226, 178, 150), -1, cv2.LINE_AA)
    cv2.ellipse(picture, (middle, 158), (62, 80), 0, 0, 360, (222, 172, 144), -1, cv2.LINE_AA)
    cv2.ellipse(picture, (middle, 122), (68, 62), 0, 180, 360, (58, 38, 30), -1, cv2.LINE_AA)
    for side in (-22, 22):
        cv2.circle(picture, (middle + side, 158), 6, (40, 30, 30), -1, cv2.LINE_AA)
    cv2.ellipse(picture, (middle, 190), (22, 12), 0, 10, 170, (150, 70, 70), 4, cv2.LINE_AA)
    return picture


def filmed(scene: Scene) -> list[np.ndarray]:
    """Film a scene: uint8 pictures, shape (180, 320, 3), RGB, with MELT extra ones for the fade."""
    wanted, kept = round(scene.warm * FPS) + SECONDS * FPS + MELT, list[np.ndarray]()
    with Stage(load_model(str(HERE / scene.file))) as stage:
        for at, picture in enumerate(pictures(stage, scene.hand)):
            if at >= round(scene.warm * FPS):
                kept.append(cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
            if at + 1 == wanted:
                return kept
    raise RuntimeError(f"{scene.file} ended after {len(kept)} pictures")


def pictures(stage: Stage, hand: Callable[[Stage, float], None]) -> Iterator[np.ndarray]:
    """Yield what a viewer would see, FPS times a second; pictures of a chunk come one after another."""
    track = getattr(type(stage.model), "main_video")  # noqa: B009  (declared by the model, unknown to the type checker)
    share, owed, at, handed = FPS / (track.fps or FPS), 0.0, 0, -1
    while True:
        if handed < at:
            hand(stage, at / FPS)
            handed = at
        for picture in stage.step().frames.get("main_video", ()):
            owed += share
            if owed >= 1 - 1e-6:
                owed -= 1
                at += 1
                yield picture


def melted(shown: list[np.ndarray]) -> list[np.ndarray]:
    """Close the loop: the last pictures fade into those before the first."""
    before, rest = shown[:MELT], shown[MELT:]
    for at, picture in enumerate(before):
        share = (at + 1) / (MELT + 1)
        rest[at - MELT] = cv2.addWeighted(rest[at - MELT], 1 - share, picture, share, 0)
    return rest


def encoded(shown: list[np.ndarray]) -> bytes:
    """Return a WebM file of the best quality that fits."""
    for quality in range(30, 64, 3):  # VP9 CRF: higher is worse
        buffer = BytesIO()
        with av.open(buffer, "w", format="webm") as container:
            options = {"crf": str(quality), "b": "0", "deadline": "good", "cpu-used": "2"}
            stream = container.add_stream("libvpx-vp9", rate=FPS, options=options)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.time_base = Fraction(1, FPS)
            for picture in shown:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        if buffer.tell() <= MOST_BYTES:
            return buffer.getvalue()
    raise RuntimeError(f"no film of at most {MOST_BYTES} bytes")


def main(names: list[str]) -> None:
    if len(names) != 1:  # one process each: two models may have modules of the same name
        for name in names or SCENES:
            subprocess.run([sys.executable, __file__, name], check=True)
        return
    scene = SCENES[names[0]]
    film = encoded(melted(filmed(scene)))
    (HERE / scene.file).with_suffix(".webm").write_bytes(film)
    print(f"{names[0]}: {len(film)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
