"""Ranges of bytes that a request asks for (RFC 9110, 14.2). Pure."""

from __future__ import annotations

import re
from typing import Any, Final

_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")
RANGE_HEADER: Final[dict[str, Any]] = {
    "name": "Range",
    "in": "header",
    "description": "`bytes=FIRST-LAST` or `bytes=FIRST-`; anything else gets the whole.",
    "schema": {"type": "string"},
}  # as OpenAPI tells of it


def byte_range(text: str, size: int) -> tuple[int, int] | None:
    """Start and end of the range, of `size` bytes; None = the whole, where none was asked for or it cannot be read."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    end = size if match[2] is None else min(size, int(match[2]) + 1)
    return int(match[1]), end
