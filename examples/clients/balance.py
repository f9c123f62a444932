"""A pole on a cart: push the cart to balance the pole. A model for stepped sessions, with a reward for each step.

`livereactor run examples/clients/balance.py`, then `python examples/clients/play_balance.py`.
"""

import math
from collections.abc import Iterator

import cv2
import numpy as np

import livereactor as lr

STEP = 1 / 50  # seconds of simulated time
LENGTH = 0.5  # metres from the cart to the pole's middle


class Reward(lr.Message):
    value: float
    done: bool


class Balance(lr.Model):
    """A pole on a cart. Push the cart left and right."""

    main_video = lr.VideoOut(width=320, height=180, fps=50)
    push: float = lr.param(0.0, ge=-1, le=1, description="Force on the cart, -1 (left) to 1 (right).")
    seed: int = lr.param(0, ge=0, description="Seed of the starting position.")

    def stream(self) -> Iterator[np.ndarray]:
        chance = np.random.default_rng(self.seed)
        x, speed, angle, turn = chance.uniform(-0.05, 0.05, 4)
        while True:
            # Barto, Sutton and Anderson (1983): a cart of 1 kg, a pole of 0.1 kg.
            pull = (10 * self.push + 0.05 * turn**2 * math.sin(angle)) / 1.1
            gravity = 9.8 * math.sin(angle) - math.cos(angle) * pull
            spin = gravity / (LENGTH * (4 / 3 - 0.1 * math.cos(angle) ** 2 / 1.1))
            speed += STEP * (pull - 0.05 * spin * math.cos(angle) / 1.1)
            turn += STEP * spin
            x, angle = x + STEP * speed, angle + STEP * turn
            fallen = abs(angle) > 0.4 or abs(x) > 2.4
            self.send(Reward(value=0.0 if fallen else 1.0, done=fallen))
            yield picture(x, angle)


def picture(x: float, angle: float) -> np.ndarray:
    """Draw the cart and the pole: uint8, shape (180, 320, 3), RGB; 2.4 metres to each side."""
    pixels = np.full((180, 320, 3), (24, 26, 32), np.uint8)
    cart = int(160 + 60 * x), 140
    tip = int(cart[0] + 110 * math.sin(angle)), int(cart[1] - 110 * math.cos(angle))
    cv2.line(pixels, (0, 150), (319, 150), (70, 74, 86), 1, cv2.LINE_AA)
    cv2.rectangle(pixels, (cart[0] - 22, 132), (cart[0] + 22, 148), (90, 160, 250), -1)
    cv2.line(pixels, cart, tip, (250, 190, 90), 5, cv2.LINE_AA)
    return pixels
