"""Every bound that this coordinator keeps, by name: `GET /limits` and `livereactor limits`. Pure."""

from __future__ import annotations

from dataclasses import asdict

from livereactor.coordinator.cluster.forwarding import BODY_BYTES
from livereactor.coordinator.creation import START_BYTES
from livereactor.coordinator.options import CoordinatorOptions


def bounds(options: CoordinatorOptions) -> dict[str, int | float]:
    """Seconds are floats, bytes and counts are integers; of durations, quotas and rates, 0 = unlimited."""
    return {
        **asdict(options.limits),
        **asdict(options.quotas),
        "anonymous_per_minute": options.rates.anonymous,
        "creations_per_minute": options.rates.creating,
        "admission_grace": options.admission_grace,
        "ticket_grace": options.ticket_grace,
        "poll_hold": options.hold,
        "lease": options.lease,
        "drain_timeout": options.drain_timeout,
        "token_lifetime": float(options.token_lifetime),
        "scoped_token_lifetime": float(options.scoped_token_lifetime),
        "closed_session_kept": options.kept,
        "events_kept": options.events_kept,
        "start_bytes": START_BYTES,
        "signalling_bytes": BODY_BYTES,
    }
