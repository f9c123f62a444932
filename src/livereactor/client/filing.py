"""What a client gives to a Session and takes from it as files: Uploads, Clips, Recordings (behaviour 11, 12)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, overload

from livereactor.client.connection import Connection
from livereactor.client.files import clips
from livereactor.client.files.download import Cancel, download_clip
from livereactor.client.files.download import Progress as Fetched
from livereactor.client.files.uploads import Progress, Source, upload_file
from livereactor.client.http.credentials import Resolver
from livereactor.client.talking import Talking
from livereactor.client.types import Clip, FileRef
from livereactor.protocol import messages as m


class Filing:
    """The filing side of `Reactor`."""

    _connection: Connection
    _talking: Talking

    async def upload_file(
        self,
        file: Source,
        *,
        name: str | None = None,
        mime_type: str | None = None,
        on_progress: Progress | None = None,
    ) -> FileRef:
        """Give a file to the Session; the result is what Commands take as an argument. Cancel the task to stop it.

        Args:
            file: a path, bytes, or a file object opened for bytes.
            name, mime_type: as the model sees them; None = the file's own, guessed.
            on_progress: called with bytes sent and bytes in all.

        Raises:
            TypeError, ValueError, OSError: no file, or an empty or unreadable one.
            ReactorError: `NOT_READY`, `UPLOAD_TOO_LARGE`, `UPLOAD_TYPE_REFUSED`, `UPLOAD_EXPIRED`, `UPLOAD_FAILED`,
                `DISCONNECTED`.
        """
        connection = self._connection
        connection.ready_link("upload_file")

        async def say(message: m.ClientMessage) -> None:
            (await connection.settled_link("upload_file")).say(message)

        session_id = connection.session.session_id or ""
        work = upload_file(
            connection.api, session_id, say, file, name=name, mime_type=mime_type, on_progress=on_progress
        )
        return await connection.calls.run(work, "upload_file")

    async def request_clip(self, seconds: float) -> Clip:
        """The last `seconds` of what was streamed; at once, before the last of it can be fetched.

        Raises:
            RecordingError: `INVALID_DURATION`, `DISCONNECTED`, `REQUEST_TIMEOUT`, `RECORDER_DISABLED`, `NO_MEDIA_YET`.
        """
        return await clips.request_clip(self._talking.ask_for_clip, self._connection.api, seconds)

    async def request_recording(self) -> Clip:
        """All that was streamed until now; raises as `request_clip`."""
        return await clips.request_recording(self._talking.ask_for_clip, self._connection.api)

    @overload
    async def download_clip(
        self,
        clip: Clip | float,
        path: None = None,
        *,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> bytes: ...
    @overload
    async def download_clip(
        self,
        clip: Clip | float,
        path: str | os.PathLike[str],
        *,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> Path: ...
    async def download_clip(
        self,
        clip: Clip | float,
        path: str | os.PathLike[str] | None = None,
        *,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> Path | bytes:
        """Fetch a Clip, or the last so many seconds, as an MP4.

        Args:
            path: to write to, complete or not at all; None = return the bytes.
            on_progress: called with parts fetched, parts in all, bytes fetched.
            ready_timeout: seconds to wait for its last part; None = as long as the Session goes on.
            cancel: something with `is_set()`, such as an `asyncio.Event`.
            raw: keep the fragmented form.

        Raises:
            RecordingError: `CLIP_NOT_READY`, `CLIP_GONE`, `PLAYLIST_FETCH_FAILED`, `ABORTED`, …
        """
        connection = self._connection
        session_id = connection.session.session_id  # not the clip's, which is a recording's
        if not isinstance(clip, Clip):
            clip = await self.request_clip(clip)
        return await clips.download(
            connection.api,
            clip,
            path,
            is_alive=lambda: session_id is not None and connection.session.session_id == session_id,
            on_progress=on_progress,
            ready_timeout=ready_timeout,
            cancel=cancel,
            raw=raw,
        )

    @overload
    async def download_clip_as_file(
        self,
        clip: Clip | float,
        filename: None,
        *,
        jwt: str | Resolver | None = None,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> bytes: ...
    @overload
    async def download_clip_as_file(
        self,
        clip: Clip | float,
        filename: str | os.PathLike[str] = clips.FILE_NAME,
        *,
        jwt: str | Resolver | None = None,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> Path: ...
    async def download_clip_as_file(
        self,
        clip: Clip | float,
        filename: str | os.PathLike[str] | None = clips.FILE_NAME,
        *,
        jwt: str | Resolver | None = None,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> Path | bytes:
        """`download_clip` with a file's name to begin with (in the current directory); None = return the bytes.

        Args:
            jwt: shown in place of the client's own token.
        """
        how: dict[str, Any] = {"on_progress": on_progress, "ready_timeout": ready_timeout, "cancel": cancel, "raw": raw}
        if jwt is None:
            return await self.download_clip(clip, filename, **how)
        found = clip if isinstance(clip, Clip) else await self.request_clip(clip)
        return await download_clip(found, filename, jwt=jwt, **how)
