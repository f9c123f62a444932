"""How large an upload may be, and what a session keeps in all. Pure."""

from __future__ import annotations

from livereactor.base.errors import TooLargeError
from livereactor.base.limits import MIB, Limits

UPLOAD_TOO_LARGE = "UPLOAD_TOO_LARGE"


def check_size(size: int, used: int, limits: Limits) -> None:
    """A file of `size` bytes may be kept beside the `used` bytes that its session has; raises `TooLargeError`."""
    if size > limits.upload_bytes:
        raise TooLargeError(
            f"{_mib(size)} exceeds {_mib(limits.upload_bytes)} per file; send a smaller one", code=UPLOAD_TOO_LARGE
        )
    if used + size > limits.upload_session_bytes:
        raise TooLargeError(
            f"{_mib(used)} of {_mib(limits.upload_session_bytes)} are used and {_mib(size)} more exceed it; "
            "start a new session",
            code=UPLOAD_TOO_LARGE,
        )


def _mib(size: int) -> str:
    return f"{f'{size / MIB:.1f}'.removesuffix('.0')} MiB" if size >= MIB / 10 else f"{size} bytes"
