"""Uploads: a slot from the server, then a file's bytes, streamed from where they are (behaviour 11, protocol 8)."""

from __future__ import annotations

import asyncio
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
from livereactor.client.error import ReactorError
from livereactor.client.errors import UploadError, error_of
from livereactor.client.types import FileRef
from livereactor.client.wire.api import Api
from livereactor.client.wire.api_errors import refusal
from livereactor.protocol import messages as m

READ: Final = MIB  # a thread reads so much at a time
# Handed to the network at a time: little where it is slow, as each piece has to leave within its patience; much where
# it is quick, as each has its price (5 MiB over loopback: 14 ms of CPU in the smallest pieces, 10 in the largest).
SMALLEST, LARGEST, QUICK = 64 * KIB, 512 * KIB, 0.05  # bytes, bytes, seconds
NAME: Final = "upload"
MIME_TYPE: Final = "application/octet-stream"

Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
Progress: TypeAlias = Callable[[int, int], object]
"""Called on the loop with the bytes sent so far and all there are."""

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
    content = await asyncio.to_thread(_open, file)
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
    api: Api, session_id: str, content: _Content, name: str, mime_type: str, on_progress: Progress | None
) -> FileRef:
    try:
        slot = await api.reserve_upload(session_id, name=name, size=content.size, mime_type=mime_type)
    except ReactorError as error:
        raise _as_upload(error, error.message) from error
    stream = _Stream(content, on_progress)
    try:
        answer = await api.put(slot.presigned_url, stream.chunks(), size=content.size, mime_type=mime_type)
        if not answer.is_ok:
            raise refusal(answer, "writing the file", session_id=session_id)
    except ReactorError as error:
        if stream.failure is not None:  # to the HTTP library a file that cannot be read is a broken network
            raise stream.failure from None
        if error.status in _EXPIRED:
            text = f"the address to write {name!r} to is no longer good; upload it again"
            raise error_of("UPLOAD_EXPIRED", text, reason=error.reason, status=error.status) from error
        text = f"upload stopped at {_mib(stream.sent)} of {_mib(content.size)} MiB: {error.message}"
        raise _as_upload(error, text, otherwise="UPLOAD_FAILED") from error
    stream.tell(content.size)
    return FileRef(slot.presigned_id, name, mime_type, content.size)


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


# --- what is sent ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Content:
    """Bytes to be read; `close` is for what we opened."""

    name: str
    size: int
    file: BinaryIO
    is_ours: bool

    def close(self) -> None:
        if self.is_ours:
            self.file.close()


class _Stream:
    """A content on its way: read in a thread, handed over piece by piece, `sent` bytes so far.

    Attributes:
        failure: what the file, or the program's `on_progress`, raised.
    """

    def __init__(self, content: _Content, on_progress: Progress | None) -> None:
        self._content, self._on_progress = content, on_progress
        self.sent = 0
        self.failure: Exception | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Exactly as many bytes as were announced."""
        total, size = self._content.size, SMALLEST
        while left := total - self.sent:
            block = await self._read(min(READ, left))
            start = 0
            while piece := block[start : start + size]:
                handed_at = time.monotonic()
                yield piece
                is_quick = time.monotonic() - handed_at < QUICK
                size = min(size * 2, LARGEST) if is_quick else max(size // 2, SMALLEST)
                start += len(piece)
                self.sent += len(piece)
                if self.sent < total:  # the last is told once the server has it
                    self.tell(self.sent)

    def tell(self, sent: int) -> None:
        if self._on_progress is not None:
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


def _open(file: Source) -> _Content:
    """On a thread: files may lie on slow disks."""
    if isinstance(file, bytes | bytearray | memoryview):
        content = _Content("", memoryview(file).nbytes, io.BytesIO(file), is_ours=True)
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


def _measured(file: BinaryIO, name: str, *, is_ours: bool) -> _Content:
    """How much there is to read; what cannot be measured, such as a pipe, is read to a file first."""
    with suppress(OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        here = file.tell()
        size = file.seek(0, io.SEEK_END) - here
        file.seek(here)
        return _Content(name, size, file, is_ours)
    copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  (closed after the last byte)
    shutil.copyfileobj(file, copy)
    size = copy.tell()
    copy.seek(0)
    if is_ours:
        file.close()
    return _Content(name, size, copy, is_ours=True)
