"""The clock encoders count in, and how far one Frame moves it. Pure."""

from __future__ import annotations

from typing import Final

TICKS: Final = 90_000  # a second: the RTP video clock (RFC 6184, section 8.2.1)


def advance(gap_us: int, fps: float) -> int:
    """Ticks from the last Frame to this one, for the encoder's rate control.

    The real gap within a half to four intervals of `fps`: a Frame made early by a Command must not look like a burst
    to be starved, nor a Frame after a long pause like a licence to spend the pause's bits at once.

    Returns:
        at least 1.
    """
    interval = TICKS / fps
    return max(1, round(min(max(gap_us * TICKS / 1e6, interval / 2), interval * 4)))
