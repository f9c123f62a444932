"""Measurements as data: rows with their trials, percentiles, waits at random phases, and the machine."""

from __future__ import annotations

import os
import platform
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livereactor.probes.watching import percentiles


@dataclass(frozen=True, slots=True)
class Result:
    """One row: what one client saw of one server.

    Attributes:
        figure: such as `P1`.
        server: `livereactor`, an official runtime with its version, or an address.
        client: who measured.
        setting: what was varied, such as `360p, eager`.
        values: by name, in `unit`.
        count: trials behind it.
    """

    figure: str
    server: str
    client: str
    setting: str
    values: dict[str, float]
    unit: str
    count: int


def spread(values: Sequence[float | None]) -> dict[str, float]:
    """p50, p95 and the largest of what was measured, and how often nothing came."""
    there = [value for value in values if value is not None]
    found = percentiles(there) or {}
    lost = len(values) - len(there)
    shown = {name: round(found[name], 2) for name in ("p50", "p95", "max") if name in found}
    return {**shown, "lost": lost} if lost else shown


def phases(count: int, *, shortest: float = 0.06, seed: int = 1) -> list[float]:
    """Waits of at least `shortest` seconds that meet a 30 fps beat at any phase."""
    draw = random.Random(seed)
    return [shortest + draw.uniform(0.0, 0.0333) for _ in range(count)]


def words(values: dict[str, float], unit: str) -> str:
    """The values of a row as people read them."""
    return f"{', '.join(f'{name} {value:g}' for name, value in values.items())} {unit}".strip()


def machine() -> dict[str, Any]:
    """Describe the machine that measures."""
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine()
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": model,
        "cores": cores,
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": platform.release(),
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
