"""Uploads: a place is reserved at the server, then a file's bytes are streamed to it, and resumed after a break."""

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
_EXPIRED: Final = (403, 404, 410)  # of a signed address, which is valid once, and for minutes
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
    """Upload a file to a Session. Cancelling the task stops it, and the server keeps nothing.

    Args:
        say: sends the notice that the file was uploaded.
        file: a path, bytes, or a file object opened for bytes, which is read from its position and stays open.
        name: as the model sees it; None = the file's own, or `upload`.
        mime_type: None = guessed from the name.
        on_progress: called with bytes sent and bytes in all; in the last call both are equal.

    Returns:
        the handle that Commands of this Session take as an argument.

    Raises:
        TypeError, ValueError: not a source of bytes, or an empty one.
        OSError: the file cannot be read (`FileNotFoundError`, …).
        ReactorError: `UPLOAD_TOO_LARGE` and `UPLOAD_TYPE_REFUSED` before a byte is sent; `UPLOAD_EXPIRED`,
            `UPLOAD_FAILED`, or the server's answer.
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
    async with Digest(content) as digest:  # the file is hashed while the server reserves the upload
        try:
            place = await api.reserve_upload(session_id, name=name, size=content.size, mime_type=mime_type)
        except ReactorError as error:
            raise _as_upload(error, error.message) from error
        told = await digest.text() if place.takes_pieces else None
    stream = UploadStream(content, on_progress)
    try:
        if told is None or not await write_on(api, place.url, stream, told):
            await _write_at_once(api, place.url, stream, mime_type)
    except ReactorError as error:
        if stream.failure is not None:  # the HTTP library takes a file that cannot be read for a broken network
            raise stream.failure from None
        if error.status in _EXPIRED:
            text = f"the address to write {name!r} to has expired; upload it again"
            raise error_of("UPLOAD_EXPIRED", text, reason=error.reason, status=error.status) from error
        text = f"upload stopped at {_mib(stream.sent)} of {_mib(content.size)} MiB: {error.message}"
        raise _as_upload(error, text, otherwise="UPLOAD_FAILED") from error
    stream.tell(content.size)
    return FileRef(place.upload_id, name, mime_type, content.size)


async def _write_at_once(api: Api, url: str, stream: UploadStream, mime_type: str) -> None:
    """Send a file in one request, as official servers take it; a broken transfer is lost."""
    headers = {"Content-Type": mime_type, "Content-Length": str(stream.size)}
    answer = await api.at_address("PUT", url, headers=headers, content=stream.chunks())
    if not answer.is_ok:
        raise refusal(answer, "writing the file")


def _as_upload(error: ReactorError, text: str, *, otherwise: str | None = None) -> ReactorError:
    """Return an error as the error of an Upload, or itself if its code says what to do."""
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


READ: Final = MIB  # bytes that a thread reads at a time
# Bytes handed to the network at a time: few if it is slow, as each piece must leave before a timeout; many if it is
# quick, as each piece has a cost (5 MiB over loopback: 14 ms of CPU in the smallest pieces, 10 in the largest).
SMALLEST, LARGEST, QUICK = 64 * KIB, 512 * KIB, 0.05  # bytes, bytes, seconds

Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
Progress: TypeAlias = Callable[[int, int], object]
"""Called on the loop with the bytes sent so far and the bytes in all."""


@dataclass(slots=True)
class Content:
    """Bytes of a file, from `start` on; `close` closes a file that was opened here."""

    name: str
    size: int
    file: BinaryIO
    is_ours: bool
    start: int = 0

    def close(self) -> None:
        if self.is_ours:
            self.file.close()


class UploadStream:
    """A content being sent: read in a thread, handed over piece by piece, `sent` bytes so far.

    Attributes:
        failure: the error that the file, or the program's `on_progress`, raised.
        moved_at: when the network last took a piece, monotonic seconds.
    """

    def __init__(self, content: Content, on_progress: Progress | None) -> None:
        self._content, self._on_progress = content, on_progress
        self.sent = self._reported = 0
        self.moved_at = 0.0
        self.failure: Exception | None = None

    @property
    def size(self) -> int:
        """The size of the content, bytes."""
        return self._content.size

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """Yield exactly the announced number of bytes, without the first `start`."""
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
                if self.sent < total:  # the last piece is reported once the server has it
                    self.tell(self.sent)

    def tell(self, sent: int) -> None:
        """Report progress, but not again for bytes that are sent again."""
        if self._on_progress is not None and sent > self._reported:
            self._reported = sent
            with self._noting():
                self._on_progress(sent, self._content.size)

    async def _read(self, size: int) -> bytes:
        with self._noting():
            block = await asyncio.to_thread(self._content.file.read, size)
            if not block:
                ended = f"the file ended at {self.sent} of {self._content.size} bytes"
                text = f"{ended}: it changed while it was being sent; upload it again"
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
    """The SHA-256 of a content, computed during another wait; nothing else may read the file meanwhile."""

    def __init__(self, content: Content) -> None:
        self._content, self._is_wanted = content, True

    async def __aenter__(self) -> Digest:
        self._taking = asyncio.create_task(asyncio.to_thread(self._take), name="upload digest")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_wanted = False
        await asyncio.wait([self._taking])  # an error of the file recurs when it is read next

    async def text(self) -> str:
        """Return the digest in the form of RFC 9530; raise the error that reading the file raised."""
        return f"sha-256=:{base64.b64encode(await self._taking).decode()}:"

    def _take(self) -> bytes:
        file, left, taken = self._content.file, self._content.size, hashlib.sha256()
        while left and self._is_wanted and (block := file.read(min(READ, left))):
            taken.update(block)
            left -= len(block)
        return taken.digest()


def open_content(file: Source) -> Content:
    """Open what an upload reads. Call it on a thread, since a file may lie on a slow disk."""
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
    """Return a file and its size; one without a known size, such as a pipe, is first copied to a temporary file."""
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


PAUSES: Final = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0)  # seconds before the next try, while no more bytes arrive
LONGEST: Final = 8.0  # seconds; a longer wait of the server is cut to this
# Seconds without a moving byte, over all tries, while no more bytes arrive. A restarting object store is back sooner,
# and one silent try (`http.client.SILENCE`) leaves time for a second.
STALLED: Final = 40.0
TO_GIVE_UP: Final = 0.5  # seconds to tell the server that nothing more comes
_WHAT: Final = "writing the file"
_PASSING: Final = ("NETWORK_ERROR", "REQUEST_TIMEOUT")
_PASSING_STATUS: Final = (408, 409, 429)  # 409: at another offset than expected, or an old request still writes
_UNTAKEN: Final = (405, 501)  # of a proxy in front of the server that passes no PATCH


async def write_on(api: Api, url: str, stream: UploadStream, digest: str) -> bool:
    """Send a whole file, and resume it after each break as long as more bytes arrive.

    Args:
        digest: of the whole file, in the form of RFC 9530; the server takes no other file.

    Returns:
        False if PATCH does not get through and nothing was sent.

    Raises:
        ReactorError: the server refused the file, or the transfer broke too often. Errors of reading the file are
            raised as they are. Unless the server gave up itself, it is asked to keep nothing.
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


async def _send(api: Api, url: str, stream: UploadStream, offset: int, digest: str) -> None:
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
