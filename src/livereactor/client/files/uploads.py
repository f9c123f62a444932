"""Uploads: a slot from the server, then a file's bytes, streamed from where they are (behaviour 11, protocol 8)."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Awaitable, Callable
from typing import Final

from livereactor.base.limits import MIB
from livereactor.client.error import ReactorError
from livereactor.client.errors import UploadError, error_of
from livereactor.client.files.content import Content, Digest, Progress, Source, Stream, open_content
from livereactor.client.files.resuming import write_on
from livereactor.client.http.api import Api
from livereactor.client.http.api_errors import refusal
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
