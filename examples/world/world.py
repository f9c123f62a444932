"""A walk through an endless land. `livereactor run examples/world/world.py`

A world model is a function: it takes its state and your input, and returns the next picture. Here the input is
parameters with keys: while you hold `w`, `forward` is 1; when you release it, it is 0 again. The output is eager, so a
key shows on the very next picture.
"""

import math
import re
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from scene import FALL, FOCAL, HEIGHT, PLANTS, WEATHERS, WIDTH, Eye, numbers_of, scene_of
from view import View
from wishes import FILLERS, WORDS

import livereactor as lr

EYE = 3.2  # metres above the ground: a tall walker sees more land
Unit = Annotated[float, Interval(ge=0, le=1)]
Biome = Literal["meadow", "forest", "desert", "mountains", "islands", "tundra"]
Weather = Literal["clear", "fog", "rain", "snow"]


class HourSet(lr.Message):
    hour: float


class PromptSet(lr.Message):
    biome: Biome
    weather: Weather
    hour: float
    unknown: list[str]  # words of the prompt that the model does not know
    known: list[str]  # all words it knows, if some were unknown


class World(lr.Model):
    """Walk through an endless land, and choose the place and time: "snowy dusk in the desert"."""

    main_video = lr.VideoOut(width=640, height=360, fps=30, pacing="eager")
    prompt: str = lr.param(
        "", max_length=200, description='Place, time and weather: "snowy dusk in the desert".', moderate=True
    )
    forward: float = lr.param(0.0, ge=-1, le=1, keys=("s", "w"), gamepad="left_y", description="Walk back and forth.")
    aside: float = lr.param(0.0, ge=-1, le=1, keys=("a", "d"), gamepad="left_x", description="Step sideways.")
    turn: float = lr.param(0.0, ge=-1, le=1, keys=("arrowleft", "arrowright"), gamepad="right_x", description="Turn.")
    tilt: float = lr.param(0.0, ge=-1, le=1, keys=("arrowdown", "arrowup"), gamepad="right_y", description="Tilt.")
    run: bool = lr.param(False, keys="shift", gamepad="left_trigger", description="Walk three times as fast.")
    biome: Biome = lr.param("mountains", description="Kind of land. It changes around you.")
    weather: Weather = lr.param("clear", description="Weather.")
    hour: float = lr.param(17.0, ge=0, le=24, description="Hour of the day. It advances by itself.")
    pace: float = lr.param(0.02, ge=0, le=2, description="Hours that pass per second.")
    seed: int = lr.param(4, ge=0, le=9999, description="The same number gives the same land.")

    def load(self) -> None:
        self.progress(0.1, "drawing plants")
        self.view = View(self.seed)
        self.progress(0.3, "compiling the renderer, which takes a while the first time")
        scene = scene_of(numbers_of("forest"), WEATHERS["snow"], 0.0, 0.0)
        self.view.follow(0.0, 0.0, numbers_of("forest"), scene.lamp)
        self.view.draw(scene, Eye(0.0, 9.0, 0.0, 0.0, 1.0, 180.0), "fir")

    def open(self, session: lr.Session) -> None:
        self.heard, self.time, self.clock, self.plant, self.grown = "", 0.0, self.hour, PLANTS[self.biome], 1.0
        self.place, self.air = numbers_of(self.biome), WEATHERS[self.weather].copy()
        self.arrive(self.view)

    def arrive(self, view: View) -> None:
        """Put the walker where the view towards the sun is widest."""
        lamp = scene_of(self.place, self.air, self.clock, 0.0).lamp
        self.heading = self.aim = math.atan2(lamp[0], lamp[2]) + 0.35
        self.horizon = self.level = 0.53 * HEIGHT
        self.speed = np.zeros(2)  # forward and sideways, metres per picture
        self.view = view
        view.forget()
        view.follow(0.0, 0.0, self.place, lamp)
        self.x, self.z = view.lookout(self.heading)
        self.y = view.height(self.x, self.z) + EYE

    @lr.command
    def look(self, x: Unit, y: Unit) -> None:
        """Turn towards a point of the picture."""
        self.aim = self.heading + math.atan((x - 0.5) * WIDTH / FOCAL)
        self.level = self.horizon + (0.5 - y) * HEIGHT

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            if self.prompt != self.heard:
                self.understand()
            if self.seed != self.view.seed:
                self.arrive(View(self.seed))
            self.walk()
            yield self.see()

    def understand(self) -> None:
        """Apply the prompt, and report the words that the model does not know."""
        self.heard = self.prompt
        said = [word for word in re.findall(r"[^\W\d_]+", self.prompt.lower()) if f" {word} " not in FILLERS]
        wishes = [WORDS[word] for word in said if word in WORDS]
        for name, value in [("weather", "clear"), *wishes] if wishes else []:
            setattr(self, name, value)
        unknown = [word for word in said if word not in WORDS]
        known = sorted(WORDS) if unknown else []
        self.send(PromptSet(self.biome, self.weather, round(self.hour, 2), unknown, known))

    def walk(self) -> None:
        """Move and turn the walker by a thirtieth of a second of the current keys."""
        wish = np.array([self.forward, self.aside]) * (0.66 if self.run else 0.22)
        self.speed = self.speed + (wish - self.speed) * 0.35
        self.aim += 0.06 * self.turn
        self.level = min(0.95 * HEIGHT, max(0.1 * HEIGHT, self.level + 9 * self.tilt))
        self.heading += (self.aim - self.heading) * 0.3
        self.horizon += (self.level - self.horizon) * 0.3
        sine, cosine = math.sin(self.heading), math.cos(self.heading)
        self.x, self.z = self.x + float(self.speed @ (sine, cosine)), self.z + float(self.speed @ (cosine, -sine))

    def see(self) -> np.ndarray:
        """Return the walker's view; land, hour and weather glide towards their parameters."""
        self.time += 1 / 30
        self.hour = (self.hour + self.pace / 30) % 24
        if self.pace and self.time % 1 < 1 / 30:
            self.send(HourSet(round(self.hour, 2)))  # a message with this name updates the control of `hour`
        self.clock = (self.clock + min(0.15, max(-0.15, ((self.hour - self.clock + 12) % 24 - 12) * 0.1))) % 24
        self.place += (numbers_of(self.biome) - self.place) * 0.06
        self.air += (WEATHERS[self.weather] - self.air) * 0.04
        self.air[FALL] = WEATHERS[self.weather][FALL] or self.air[FALL]  # drops that change speed would jump
        wanted = PLANTS[self.biome]  # new plants grow once the old ones have sunk into the ground
        self.grown = min(1.0, max(0.0, self.grown + (0.04 if wanted == self.plant else -0.04)))
        self.plant = self.plant if self.grown else wanted
        scene = scene_of(self.place, self.air, self.clock, self.time, self.grown)
        self.view.follow(self.x, self.z, self.place, scene.lamp)
        self.y += (self.view.height(self.x, self.z) + EYE - self.y) * 0.25
        at = Eye(self.x, self.y, self.z, math.sin(self.heading), math.cos(self.heading), self.horizon)
        return self.view.draw(scene, at, self.plant)
