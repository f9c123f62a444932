"""Where a Clip is: its playlist, waited for, and its parts, one at a time (protocol 9.2, 9.3)."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol, cast

from livereactor.base.errors import PeerError
from livereactor.base.limits import MIB
from livereactor.client.error import ReactorError
from livereactor.client.errors import ClipNotReadyError, error_of
from livereactor.client.http.api_errors import refusal, retry_after
from livereactor.client.http.client import HttpAnswer
from livereactor.protocol.playlists import PLAYLIST_BYTES, Playlist, read_playlist

POLLS: Final = (0.2, 2.0)  # seconds between two looks at a playlist that is not there: at least, at most
PLAYLIST_TIMEOUT: Final = 30.0  # seconds
_KINDS: Final = (b"ftyp", b"moov", b"moof", b"styp", b"sidx", b"emsg", b"prft", b"free")


class Get(Protocol):
    """Reads an address, of whatever status it answers; a token is shown to its own origin and to no other."""

    async def __call__(
        self, url: str, /, *, limit: int, timeout: float | None, into: BinaryIO | None
    ) -> HttpAnswer: ...


@dataclass(frozen=True, slots=True)
class ClipSource:
    """Where a Clip is fetched from.

    Attributes:
        get: reads the playlist and the parts.
        url: of the playlist.
        is_over: no use in waiting for the playlist any more.
    """

    get: Get
    url: str
    is_over: Callable[[], bool]


async def playlist_of(source: ClipSource) -> Playlist:
    """The playlist, once it is there."""
    while True:
        last = source.is_over()
        answer = await _asked(source, source.url, "PLAYLIST_FETCH_FAILED", "the clip's playlist")
        if answer.status == 202:
            if last:
                raise ClipNotReadyError("the clip's last segment is still open; ask again, or for less")
            shortest, longest = POLLS
            wait = retry_after(answer)
            await asyncio.sleep(longest if wait is None else min(max(wait, shortest), longest))
            continue
        if answer.status in (404, 410):
            raise _gone(answer)
        if not answer.is_ok:
            raise _failed("PLAYLIST_FETCH_FAILED", "the clip's playlist", refusal(answer, "fetching it"))
        try:
            return read_playlist(answer.body, source.url)
        except PeerError as error:
            raise error_of("INVALID_PLAYLIST", error.message) from error


async def part_of(source: ClipSource, url: str, what: str) -> BinaryIO:
    """One part, in memory or on disk; the caller closes it."""
    part = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=MIB))  # noqa: SIM115  (it is returned)
    try:
        answer = await _asked(source, url, "CHUNK_FETCH_FAILED", what, part)
        if answer.status == 410:
            raise _gone(answer)
        if not answer.is_ok:
            raise _failed("CHUNK_FETCH_FAILED", what, refusal(answer, "fetching it"))
        part.seek(4)
        if part.read(4) not in _KINDS:  # the page of a hotel's network, say
            raise error_of("CHUNK_FETCH_FAILED", f"{what} is no part of a film", recoverable=False)
    except BaseException:
        part.close()
        raise
    return part


def _gone(answer: HttpAnswer) -> ReactorError:
    return error_of("CLIP_GONE", "the clip expired or is unknown; request another", status=answer.status)


async def _asked(source: ClipSource, url: str, code: str, what: str, into: BinaryIO | None = None) -> HttpAnswer:
    try:
        timeout = PLAYLIST_TIMEOUT if into is None else None  # a part has as long as bytes move
        return await source.get(url, limit=PLAYLIST_BYTES, timeout=timeout, into=into)
    except ReactorError as error:
        raise _failed(code, what, error) from error


def _failed(code: str, what: str, cause: ReactorError) -> ReactorError:
    return error_of(
        code,
        f"{what} could not be fetched: {cause.message}",
        reason=cause.reason,
        recoverable=cause.recoverable,
        status=cause.status,
        retry_after=cause.retry_after,
    )
