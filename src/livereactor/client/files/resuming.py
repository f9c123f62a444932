"""A file sent to a server of ours, which keeps what came where the network breaks: the core of tus 1.0.0."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from livereactor.client.error import ReactorError
from livereactor.client.errors import error_of
from livereactor.client.files.content import Stream
from livereactor.client.http.api import Api
from livereactor.client.http.api_errors import refusal, unreadable

PAUSES: Final = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0)  # seconds before the next try, while no more bytes land
LONGEST: Final = 8.0  # seconds; whatever the server says
# Seconds of all tries together in which no byte moved, while no more of them land. An object store that starts anew is
# there again in less, and one silent try (`http.SILENCE`) leaves time for a second.
STALLED: Final = 40.0
TO_GIVE_UP: Final = 0.5  # seconds to tell the server that nothing more comes
_WHAT: Final = "writing the file"
_PASSING: Final = ("NETWORK_ERROR", "REQUEST_TIMEOUT")
_PASSING_STATUS: Final = (408, 409, 429)  # 409: at another offset than we thought, or an old request still writes
_UNTAKEN: Final = (405, 501)  # of what stands in front of the server and lets no PATCH through


async def write_on(api: Api, url: str, stream: Stream, digest: str) -> bool:
    """Send a whole file, going on from what landed as often as more of it lands.

    Args:
        digest: of the whole file, as RFC 9530 writes it; the server takes no other file.

    Returns:
        False where PATCH is not let through and nothing was sent.

    Raises:
        ReactorError: refused, or broken off too often; and whatever reading the file raises. Where it is not the
            server who gives up, it is told to keep nothing.
    """
    offset = furthest = tries = 0
    stalled, broke = 0.0, False
    try:
        while True:
            began = time.monotonic()
            try:
                if broke:
                    offset = await _there(api, url, stream.size)
                    if offset > furthest:  # than ever before: a server that forgets some of it gets no more tries
                        furthest, tries, stalled = offset, 0, 0.0
                await _send(api, url, stream, offset, digest)
            except ReactorError as error:
                if error.status in _UNTAKEN and offset == 0:
                    return False
                if stream.failure is not None or not _passes(error) or tries == len(PAUSES):
                    raise
                pause = max(PAUSES[tries], min(error.retry_after or 0.0, LONGEST))
                stalled += time.monotonic() - max(began, stream.moved_at) + pause
                if stalled > STALLED:
                    raise
            else:
                return True
            tries, broke = tries + 1, True
            await asyncio.sleep(pause)
    except BaseException as error:
        if stream.failure is not None or not isinstance(error, ReactorError):
            await _give_up(api, url)
        raise


async def _send(api: Api, url: str, stream: Stream, offset: int, digest: str) -> None:
    headers = {
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(stream.size - offset),
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": str(offset),
        "Repr-Digest": digest,
    }
    answer = await api.at_address("PATCH", url, headers=headers, content=stream.chunks(offset))
    if not answer.is_ok:
        raise refusal(answer, _WHAT)
    if (there := answer.headers.get("upload-offset")) != str(stream.size):
        raise error_of("NETWORK_ERROR", f"the server has {there} of {stream.size} bytes", component="api")


async def _there(api: Api, url: str, size: int) -> int:
    answer = await api.at_address("HEAD", url, headers={"Tus-Resumable": "1.0.0"})
    if not answer.is_ok:
        raise refusal(answer, _WHAT)
    text = answer.headers.get("upload-offset", "")
    there = int(text) if text.isascii() and text.isdecimal() else 0
    if there > size:
        raise unreadable(_WHAT, f"the server has {there} of {size} bytes", status=answer.status)
    return there


async def _give_up(api: Api, url: str) -> None:
    with suppress(ReactorError, TimeoutError):
        async with asyncio.timeout(TO_GIVE_UP):
            await api.at_address("DELETE", url)


def _passes(error: ReactorError) -> bool:
    status = error.status or 0
    return error.code in _PASSING or status in _PASSING_STATUS or status >= 500
