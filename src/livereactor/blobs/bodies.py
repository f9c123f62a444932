"""The body of an upload: as long as it was announced, and within what may be kept. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator

from livereactor.base.errors import PeerError, TooLargeError
from livereactor.base.limits import MIB, Limits

UPLOAD_TOO_LARGE = "UPLOAD_TOO_LARGE"


async def exactly(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The chunks of a body that has to have `size` bytes; raises `PeerError` for one that has not."""
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            break
        yield chunk
    if seen != size:
        more = "more than" if seen > size else f"{seen} of"
        raise PeerError(f"the body has {more} the {size} announced bytes; send exactly the file that was announced")


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
