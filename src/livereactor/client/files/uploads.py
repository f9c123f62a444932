"""Uploads: a slot from the server, then a file's bytes, streamed from where they are (behaviour 11, protocol 8)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import mimetypes
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, cast

from livereactor.base.limits import KIB, MIB
from livereactor.client.errors import ReactorError, UploadError, error_of
from livereactor.client.http.api import Api
from livereactor.client.http.api_errors import refusal, unreadable
from livereactor.client.types import FileRef
from livereactor.protocol import messages as m

NAME: Final = "upload"
MIME_TYPE: Final = "application/octet-stream"

_BY_STATUS: Final = {413: "UPLOAD_TOO_LARGE", 415: "UPLOAD_TYPE_REFUSED"}
_EXPIRED: Final = (403, 404, 410)  # of an address that is signed, good once, and for minutes
_GENERIC: Final = ("NETWORK_ERROR", "SERVER_ERROR", "REQUEST_TIMEOUT")


async def upload_file(
    api: Api,
    session_id: str,
    say: Callable[[m.ClientMessage], Awaitable[None]],
    file: Source,
    *,
    name: str | None = None,
    mime_type: str | None = None,
    on_progress: Progress | None = None,
) -> FileRef:
    """Give a file to a Session. To cancel the task stops it, and the server keeps nothing.

    Args:
        say: sends the notice that the file is there.
        file: a path, bytes, or a file object opened for bytes, which is read from where it stands and stays open.
        name: as the model sees it; None = the file's own, or `upload`.
        mime_type: None = guessed from the name.
        on_progress: called with bytes sent and bytes in all, at last with both the same.

    Returns:
        the handle that Commands of this Session take as an argument.

    Raises:
        TypeError, ValueError: not a source of bytes; an empty one.
        OSError: the file cannot be read (`FileNotFoundError`, …).
        ReactorError: `UPLOAD_TOO_LARGE` and `UPLOAD_TYPE_REFUSED` before a byte is sent; `UPLOAD_EXPIRED`,
            `UPLOAD_FAILED`, and what the server answers otherwise.
    """
    content = await asyncio.to_thread(open_content, file)
    try:
        name = name or content.name or NAME
        mime_type = mime_type or mimetypes.guess_type(name)[0] or MIME_TYPE
        reference = await _write(api, session_id, content, name, mime_type, on_progress)
        await say(m.FileUploaded(m.UploadReference(reference.upload_id, name, mime_type, content.size)))
    except ReactorError as error:
        error.operation = error.operation or "upload_file"
        raise
    finally:
        content.close()
    return reference


async def _write(
    api: Api, session_id: str, content: Content, name: str, mime_type: str, on_progress: Progress | None
) -> FileRef:
    async with Digest(content) as digest:  # the file is read while the server makes room for it
        try:
            place = await api.reserve_upload(session_id, name=name, size=content.size, mime_type=mime_type)
        except ReactorError as error:
            raise _as_upload(error, error.message) from error
        told = await digest.text() if place.takes_pieces else None
    stream = Stream(content, on_progress)
    try:
        if told is None or not await write_on(api, place.url, stream, told):
            await _write_at_once(api, place.url, stream, mime_type)
    except ReactorError as error:
        if stream.failure is not None:  # to the HTTP library a file that cannot be read is a broken network
            raise stream.failure from None
        if error.status in _EXPIRED:
            text = f"the address to write {name!r} to is no longer good; upload it again"
            raise error_of("UPLOAD_EXPIRED", text, reason=error.reason, status=error.status) from error
        text = f"upload stopped at {_mib(stream.sent)} of {_mib(content.size)} MiB: {error.message}"
        raise _as_upload(error, text, otherwise="UPLOAD_FAILED") from error
    stream.tell(content.size)
    return FileRef(place.upload_id, name, mime_type, content.size)


async def _write_at_once(api: Api, url: str, stream: Stream, mime_type: str) -> None:
    """As official servers take it: what breaks off is lost."""
    headers = {"Content-Type": mime_type, "Content-Length": str(stream.size)}
    answer = await api.at_address("PUT", url, headers=headers, content=stream.chunks())
    if not answer.is_ok:
        raise refusal(answer, "writing the file")


def _as_upload(error: ReactorError, text: str, *, otherwise: str | None = None) -> ReactorError:
    """The error of an Upload that `error` is; itself where its code says what to do."""
    code = _BY_STATUS.get(error.status or 0) or ("UPLOAD_FAILED" if error.code in _GENERIC else otherwise)
    if code is None or isinstance(error, UploadError):
        return error
    return error_of(
        code,
        text,
        reason=None if code in _BY_STATUS.values() else error.reason,
        status=error.status,
        retry_after=error.retry_after,
        session_id=error.session_id,
        details=error.details,
    )


def _mib(size: int) -> str:
    return f"{size / MIB:.3g}"


READ: Final = MIB  # a thread reads so much at a time
# Handed to the network at a time: little where it is slow, as each piece has to leave within its patience; much where
# it is quick, as each has its price (5 MiB over loopback: 14 ms of CPU in the smallest pieces, 10 in the largest).
SMALLEST, LARGEST, QUICK = 64 * KIB, 512 * KIB, 0.05  # bytes, bytes, seconds

Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
Progress: TypeAlias = Callable[[int, int], object]
"""Called on the loop with the bytes sent so far and all there are."""


@dataclass(slots=True)
class Content:
    """Bytes to be read, from `start` of a file on; `close` is for what we opened."""

    name: str
    size: int
    file: BinaryIO
    is_ours: bool
    start: int = 0

    def close(self) -> None:
        if self.is_ours:
            self.file.close()


class Stream:
    """A content on its way: read in a thread, handed over piece by piece, `sent` bytes so far.

    Attributes:
        failure: what the file, or the program's `on_progress`, raised.
        moved_at: when a piece was last taken by the network, monotonic seconds.
    """

    def __init__(self, content: Content, on_progress: Progress | None) -> None:
        self._content, self._on_progress = content, on_progress
        self.sent = self._told = 0
        self.moved_at = 0.0
        self.failure: Exception | None = None

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self._content.size

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """Exactly as many bytes as were announced, less the first `start`."""
        with self._noting():
            await asyncio.to_thread(self._content.file.seek, self._content.start + start)
        total, size, self.sent = self._content.size, SMALLEST, start
        while left := total - self.sent:
            block = await self._read(min(READ, left))
            begin = 0
            while piece := block[begin : begin + size]:
                handed_at = time.monotonic()
                yield piece
                self.moved_at = time.monotonic()
                is_quick = self.moved_at - handed_at < QUICK
                size = min(size * 2, LARGEST) if is_quick else max(size // 2, SMALLEST)
                begin += len(piece)
                self.sent += len(piece)
                if self.sent < total:  # the last is told once the server has it
                    self.tell(self.sent)

    def tell(self, sent: int) -> None:
        """Say how far it is, unless it has been further: what is sent again is not told again."""
        if self._on_progress is not None and sent > self._told:
            self._told = sent
            with self._noting():
                self._on_progress(sent, self._content.size)

    async def _read(self, size: int) -> bytes:
        with self._noting():
            block = await asyncio.to_thread(self._content.file.read, size)
            if not block:
                ended = f"the file ended at {self.sent} of {self._content.size} bytes"
                text = f"{ended}: it changed while it was sent; upload it again"
                raise error_of("UPLOAD_FAILED", text, component="client")
        return block

    @contextmanager
    def _noting(self) -> Generator[None]:
        try:
            yield
        except Exception as error:
            self.failure = error
            raise


class Digest:
    """SHA-256 of a content, taken while something else is waited for; nobody else may read the file meanwhile."""

    def __init__(self, content: Content) -> None:
        self._content, self._is_wanted = content, True

    async def __aenter__(self) -> Digest:
        self._taking = asyncio.create_task(asyncio.to_thread(self._take), name="upload digest")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_wanted = False
        await asyncio.wait([self._taking])  # what it raised, who reads the file next meets again

    async def text(self) -> str:
        """As RFC 9530 writes it; raises what reading the file raised."""
        return f"sha-256=:{base64.b64encode(await self._taking).decode()}:"

    def _take(self) -> bytes:
        file, left, taken = self._content.file, self._content.size, hashlib.sha256()
        while left and self._is_wanted and (block := file.read(min(READ, left))):
            taken.update(block)
            left -= len(block)
        return taken.digest()


def open_content(file: Source) -> Content:
    """On a thread: files may lie on slow disks."""
    if isinstance(file, bytes | bytearray | memoryview):
        content = Content("", memoryview(file).nbytes, io.BytesIO(file), is_ours=True)
    elif isinstance(file, str | os.PathLike):
        opened = Path(file).open("rb")  # noqa: SIM115  (closed after the last byte)
        content = _measured(opened, Path(file).name, is_ours=True)
    elif hasattr(file, "read") and not isinstance(file, io.TextIOBase):
        own: Any = getattr(file, "name", "")
        content = _measured(file, Path(own).name if isinstance(own, str) else "", is_ours=False)
    else:
        raise TypeError(f"want a path, bytes or a file opened with 'rb', got {type(file).__name__}")
    if content.size == 0:
        content.close()
        raise ValueError("the file is empty; there is nothing to upload")
    return content


def _measured(file: BinaryIO, name: str, *, is_ours: bool) -> Content:
    """How much there is to read; what cannot be measured, such as a pipe, is read to a file first."""
    with suppress(OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        here = file.tell()
        size = file.seek(0, io.SEEK_END) - here
        file.seek(here)
        return Content(name, size, file, is_ours, here)
    copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  (closed after the last byte)
    shutil.copyfileobj(file, copy)
    size = copy.tell()
    copy.seek(0)
    if is_ours:
        file.close()
    return Content(name, size, copy, is_ours=True)


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
