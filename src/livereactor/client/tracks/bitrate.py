"""What a program asks of a rate. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bitrate:
    """Bounds in bits a second; None = as the size of the picture deserves.

    Raises:
        ValueError: a bound that is not above 0, or they are not in order.
    """

    min_bps: int | None = None
    start_bps: int | None = None
    max_bps: int | None = None

    def __post_init__(self) -> None:
        given = [bps for bps in (self.min_bps, self.start_bps, self.max_bps) if bps is not None]
        if any(bps <= 0 for bps in given) or given != sorted(given):
            raise ValueError(f"want 0 < min_bps <= start_bps <= max_bps, got {', '.join(map(str, given))}")
