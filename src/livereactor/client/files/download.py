"""Downloads of Clips: the playlist once it is ready, the parts, and one ordinary MP4 made of them.

Parts go to a scratch folder next to the wanted file, which appears when it is complete. Whatever happens, nothing else
is left behind.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TypeAlias, TypedDict, Unpack, cast, overload

from livereactor.base.errors import PeerError
from livereactor.base.limits import MIB
from livereactor.client.errors import ClipNotReadyError, ReactorError, RecordingError, error_of
from livereactor.client.http.api_errors import refusal, retry_after
from livereactor.client.http.client import Http, HttpAnswer, origin_of
from livereactor.client.http.credentials import Credentials, Resolver, minted
from livereactor.client.options import names_options
from livereactor.client.types import Clip
from livereactor.protocol.playlists import PLAYLIST_BYTES, Playlist, read_playlist

READY_TIMEOUT: Final = 60.0  # seconds past the predicted moment, unless a live Session tells when to give up
AHEAD: Final = 4  # parts fetched at once: on a slow path each costs a round trip
CANCEL_POLL: Final = 0.1  # seconds
LAST_WRITE: Final = 0.5  # seconds

Progress: TypeAlias = Callable[[int, int, int], object]
"""Called after each part, on the loop: parts fetched, parts in all, bytes so far."""


class Cancel(Protocol):
    """Calls a download off once it is set: an `asyncio.Event`, a `threading.Event`."""

    def is_set(self) -> bool: ...


class DownloadOptions(TypedDict, total=False):
    """The keyword arguments of every download.

    Attributes:
        on_progress: called after each part with parts fetched, parts in all, bytes so far.
        ready_timeout: seconds to wait past the predicted moment; None = 60, or as long as a live Session goes on.
        cancel: an event; once set, the download ends within a second.
        raw: keep the fragmented form, as it is served. Otherwise: an ordinary MP4 from time 0, `moov` first.
    """

    on_progress: Progress | None
    ready_timeout: float | None
    cancel: Cancel | None
    raw: bool


names_download_options: Final = names_options(DownloadOptions, raw=False)


@overload
async def download_clip(
    clip: Clip | str, path: None = None, *, jwt: str | Resolver | None = None, **options: Unpack[DownloadOptions]
) -> bytes: ...
@overload
async def download_clip(
    clip: Clip | str,
    path: str | os.PathLike[str],
    *,
    jwt: str | Resolver | None = None,
    **options: Unpack[DownloadOptions],
) -> Path: ...
@names_download_options
async def download_clip(
    clip: Clip | str,
    path: str | os.PathLike[str] | None = None,
    *,
    jwt: str | Resolver | None = None,
    **options: Unpack[DownloadOptions],
) -> Path | bytes:
    """Fetch a Clip without a client: after its Session, or in another process.

    Args:
        clip: as `request_clip` gave it, or its `playlist_url`.
        path: where the film goes; its folder must exist, and a file of this name is replaced. None = return the bytes.
        jwt: a token, or a function that gives one; sent to the playlist's own origin only.
        on_progress: called after each part with parts fetched, parts in all, bytes so far.
        ready_timeout: seconds to wait past the predicted moment; None = 60.
        cancel: an event; once set, the download ends within a second.
        raw: keep the fragmented form, as it is served. Otherwise: an ordinary MP4 from time 0, `moov` first.

    Raises:
        RecordingError: `CLIP_GONE`, `CLIP_NOT_READY`, `PLAYLIST_FETCH_FAILED`, `CHUNK_FETCH_FAILED`,
            `INVALID_PLAYLIST`, `DOWNLOAD_UNSUPPORTED`, or `ABORTED` once `cancel` is set.
        OSError: the file cannot be written.
    """
    url = clip.playlist_url if isinstance(clip, Clip) else clip
    home, credentials = origin_of(url), Credentials(jwt=jwt)
    http = Http(url, direct=False)

    async def get(asked: str, **how: Any) -> HttpAnswer:
        token = await credentials.header(partial(minted, http, url)) if origin_of(asked) == home else {}
        return await http.ask("GET", asked, headers=token, **how)

    try:
        source = ClipSource(get, url, give_up_after(clip, options.get("ready_timeout")))
        return await fetch_clip(source, path, **options)
    finally:
        await http.aclose()


def give_up_after(clip: Clip | str, seconds: float | None) -> Callable[[], bool]:
    """Return whether a Clip should have been ready `seconds` ago; None = 60."""
    ahead = clip.predicted_ready_at - time.time() if isinstance(clip, Clip) else 0.0
    deadline = time.monotonic() + max(0.0, ahead) + (READY_TIMEOUT if seconds is None else seconds)
    return lambda: time.monotonic() >= deadline


async def fetch_clip(
    source: ClipSource, path: str | os.PathLike[str] | None, **options: Unpack[DownloadOptions]
) -> Path | bytes:
    """Fetch a Clip from its source; `ready_timeout` is the source's matter."""
    work = _fetch(source, None if path is None else Path(path), options.get("on_progress"), options.get("raw", False))
    cancel = options.get("cancel")
    return await (work if cancel is None else _until_cancelled(work, cancel))


async def _fetch(source: ClipSource, path: Path | None, on_progress: Progress | None, raw: bool) -> Path | bytes:
    scratch = await asyncio.to_thread(_Scratch, path)
    try:
        await _join(source, await playlist_of(source), scratch.parts, on_progress)
        if not raw:
            await _flatten(scratch)
        return await asyncio.to_thread(scratch.deliver, raw)
    finally:
        scratch.remove()


class _Scratch:
    """The files of a download under way, in a folder next to the wanted file, so that one rename completes it."""

    def __init__(self, path: Path | None) -> None:
        if path is not None and path.is_dir():
            raise IsADirectoryError(f"{path} is a folder; name a file in it")
        self._path = path
        self._folder = tempfile.TemporaryDirectory(prefix=".clip-", dir=None if path is None else path.parent)
        self.joined, self.flat = Path(self._folder.name, "parts.mp4"), Path(self._folder.name, "flat.mp4")
        self.parts: BinaryIO = self.joined.open("wb")

    def deliver(self, raw: bool) -> Path | bytes:
        """Move the film to its place, or return its bytes."""
        self.parts.close()
        film = self.joined if raw else self.flat
        return film.read_bytes() if self._path is None else film.replace(self._path)

    def remove(self) -> None:
        """Remove the scratch files."""
        self.parts.close()
        self._folder.cleanup()


async def _until_cancelled(work: Awaitable[Path | bytes], cancel: Cancel) -> Path | bytes:
    task = asyncio.ensure_future(work)
    try:
        while not cancel.is_set():
            await asyncio.wait({task}, timeout=CANCEL_POLL)
            if task.done():
                return task.result()
        raise RecordingError("the download was cancelled", code="ABORTED")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- the parts ---------------------------------------------------------------------------------------------------


async def _join(source: ClipSource, playlist: Playlist, file: BinaryIO, on_progress: Progress | None) -> None:
    """Write all parts to `file`, one after the other, while the next few are being fetched."""
    total = len(playlist.parts)
    named = [(playlist.init, "the clip's init segment")]
    named += [(part.url, f"segment {number} of {total}") for number, part in enumerate(playlist.parts, 1)]
    coming: deque[asyncio.Task[BinaryIO]] = deque()
    try:
        for fetched in range(total + 1):
            while named and len(coming) < AHEAD:
                coming.append(asyncio.create_task(part_of(source, *named.pop(0)), name="part of a clip"))
            with await coming[0] as part:
                coming.popleft()
                await asyncio.to_thread(_append, file, part)
            if fetched and on_progress is not None:
                on_progress(fetched, total, file.tell())
    finally:
        for task in coming:
            task.cancel()
        for outcome in await asyncio.gather(*coming, return_exceptions=True):
            if not isinstance(outcome, BaseException):
                outcome.close()


def _append(file: BinaryIO, part: BinaryIO) -> None:
    part.seek(0)
    shutil.copyfileobj(part, file, MIB)


async def _flatten(scratch: _Scratch) -> None:
    from livereactor.media.flatten import FlattenError, flatten

    scratch.parts.flush()
    stop = threading.Event()
    work = asyncio.ensure_future(asyncio.to_thread(flatten, scratch.joined, scratch.flat, stopped=stop.is_set))
    # Its error is not awaited once this is cancelled.
    work.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.shield(work)
    except FlattenError as error:
        raise error_of("DOWNLOAD_UNSUPPORTED", error.message) from error
    except asyncio.CancelledError:
        # The thread writes into the scratch folder, which is removed next. Moving the index of an hour of film to the
        # front takes seconds; without the folder the thread fails, and ends.
        stop.set()
        await asyncio.wait({work}, timeout=LAST_WRITE)
        raise


POLLS: Final = (0.2, 2.0)  # seconds between two polls of a playlist that is not ready: at least, at most
PLAYLIST_TIMEOUT: Final = 30.0  # seconds
_KINDS: Final = (b"ftyp", b"moov", b"moof", b"styp", b"sidx", b"emsg", b"prft", b"free")


class Get(Protocol):
    """Fetches an address, whatever the status; the token is sent to its own origin only."""

    async def __call__(
        self, url: str, /, *, limit: int, timeout: float | None, into: BinaryIO | None
    ) -> HttpAnswer: ...


@dataclass(frozen=True, slots=True)
class ClipSource:
    """The source of a Clip.

    Attributes:
        get: fetches the playlist and the parts.
        url: the address of the playlist.
        is_over: returns True once waiting for the playlist is of no use.
    """

    get: Get
    url: str
    is_over: Callable[[], bool]


async def playlist_of(source: ClipSource) -> Playlist:
    """Return the playlist, once it is ready."""
    while True:
        last = source.is_over()
        answer = await _asked(source, source.url, "PLAYLIST_FETCH_FAILED", "the clip's playlist")
        if answer.status == 202:
            if last:
                raise ClipNotReadyError("the clip's last segment is still open; retry, or request a shorter clip")
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
    """Return one part, in memory or on disk; the caller closes it."""
    part = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=MIB))  # noqa: SIM115  (it is returned)
    try:
        answer = await _asked(source, url, "CHUNK_FETCH_FAILED", what, part)
        if answer.status == 410:
            raise _gone(answer)
        if not answer.is_ok:
            raise _failed("CHUNK_FETCH_FAILED", what, refusal(answer, "fetching it"))
        part.seek(4)
        if part.read(4) not in _KINDS:  # a sign-in page of a hotel's network, say
            raise error_of("CHUNK_FETCH_FAILED", f"{what} is not part of a film", recoverable=False)
    except BaseException:
        part.close()
        raise
    return part


def _gone(answer: HttpAnswer) -> ReactorError:
    return error_of("CLIP_GONE", "the clip expired or is unknown; request another", status=answer.status)


async def _asked(source: ClipSource, url: str, code: str, what: str, into: BinaryIO | None = None) -> HttpAnswer:
    try:
        timeout = PLAYLIST_TIMEOUT if into is None else None  # a part may take as long as bytes move
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
