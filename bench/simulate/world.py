"""What is simulated: how many people come when, how long they stay, how workers start and die."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.frame import RESULTS

# Claims a second that one Postgres carried, as measured for the design of the coordinator.
DATABASE_CLAIMS: Final = 1_900.0
COORDINATORS: Final = 4  # of a cell


@dataclass(frozen=True, slots=True)
class World:
    """One cell and its visitors. Seconds, counts, shares.

    Attributes:
        sessions: that would run at once, on average, where nobody had to wait.
        load: that average over the slots there are.
        models: in order of popularity; the n-th is wished for 1/n as often as the first (Zipf).
        wave, period: arrivals swell and ebb by this share in this time.
        crowd: and for a minute in the middle, so many times as many come.
        length: of a session, log-normal with this mean and a spread (sigma) of 0.8.
        patience: exponential; who has waited so long leaves.
        loads_in: from asking for a worker to its being ready.
        process_life, node_life: mean time to a crash of a worker, and to the loss of a machine of eight.
    """

    sessions: int
    minutes: float = 10.0
    load: float = 0.85
    models: int = 8
    wave: float = 0.3
    period: float = 600.0
    crowd: float = 2.0
    length: float = 180.0
    patience: float = 120.0
    loads_in: tuple[float, float] = (20.0, 60.0)
    process_life: float = 6 * 3600.0
    node_life: float = 30 * 24 * 3600.0
    idle_stop: float = 300.0

    def slots(self) -> int:
        """Workers that there may be."""
        return max(self.models, math.ceil(self.sessions / self.load))

    def shares(self) -> list[float]:
        """Of each model in what is wished for."""
        weights = [1 / (n + 1) for n in range(self.models)]
        return [each / sum(weights) for each in weights]

    def rate(self, now: float) -> float:
        """People a second who come now."""
        base = self.sessions / self.length
        middle = self.minutes * 30.0
        crowd = self.crowd if middle <= now < middle + 60.0 else 1.0
        return base * crowd * (1 + self.wave * math.sin(2 * math.pi * now / self.period))

    def highest_rate(self) -> float:
        """No more come in any second."""
        return self.sessions / self.length * self.crowd * (1 + self.wave)


def creations_measured() -> float:
    """Creations a second through one coordinator on Postgres, as `make bench` last found them (P18)."""
    kept = json.loads(Path(RESULTS / "P18.json").read_text())
    return max(float(row["values"]["per second"]) for row in kept["rows"] if "Postgres" in row["setting"])


def pace(calls_of_a_creation: int) -> float:
    """Calls a second that the coordinators of a cell and its database carry together."""
    return min(COORDINATORS * creations_measured(), DATABASE_CLAIMS) * calls_of_a_creation
