"""Identifiers. UUIDv7 (RFC 9562, section 5.7): ordered by time, so they index well and sort in lists."""

from __future__ import annotations

import secrets
import time
import uuid


def uuid7() -> uuid.UUID:
    """A UUIDv7; the standard library has its own only from Python 3.14."""
    millis = time.time_ns() // 1_000_000
    value = (millis & (1 << 48) - 1) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return uuid.UUID(int=value)


def session_id() -> str:
    """A Session's id, such as `ses_0197…`: what goes over the wire and into every log record."""
    return f"ses_{uuid7().hex}"


def worker_id() -> str:
    """A Worker's id, such as `wrk_0197…`: one process, never used again."""
    return f"wrk_{uuid7().hex}"


def upload_id() -> str:
    """An Upload's id: 32 hex digits, unguessable in its random part."""
    return uuid.uuid4().hex
