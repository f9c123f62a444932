"""A model as a Gymnasium environment: `pip install 'livereactor[gym]'`, then `livereactor run` with `balance.py`."""

import numpy as np

import livereactor as lr
from livereactor.integrations.gym import ReactorEnv


def lean(pixels: np.ndarray) -> float:
    """Return how far the pole leans to the right in pixels, from its upper half and the cart."""
    pole, cart = pixels[40:90, :, 0] > 200, pixels[134:146, :, 2] > 200
    return float(np.nonzero(pole)[1].mean() - np.nonzero(cart)[1].mean()) if pole.any() else 0.0


env = ReactorEnv(lr.SyncReactor("balance", local=True, generation="stepped"), actions=["push"])
picture, _ = env.reset(seed=1)
before, total = lean(picture), 0.0
for _ in range(60):
    now = lean(picture)
    push = np.clip(0.05 * now + 0.4 * (now - before), -1, 1)  # against the lean and its growth
    before = now
    picture, reward, fallen, _, _ = env.step(np.float32(push))
    total += reward
    if fallen:
        break
env.close()
print(f"balanced for {total:.0f} steps")
