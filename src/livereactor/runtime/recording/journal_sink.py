"""What lies beside a recording: the journal of its Session (`runtime/replay`), on its way into the blobs."""

from __future__ import annotations

from collections.abc import Callable

from livereactor.base.changes import Changes
from livereactor.blobs.port import BlobKey
from livereactor.runtime.interfaces import JournalStoppedError
from livereactor.runtime.recording.media_clock import MediaClock
from livereactor.runtime.recording.uploader import Uploader


class RecordingJournalSink:
    """Fits `JournalSink`. `until_over` and `stop` on the loop, the rest on any thread.

    Args:
        post: does work on the loop; from any thread.
    """

    def __init__(self, recording: str, media: MediaClock, uploader: Uploader, post: Callable[..., None]) -> None:
        self._recording, self._media, self._uploader, self._post = recording, media, uploader, post
        self._is_open = self._is_stopped = False
        self._changes = Changes()

    def opened(self) -> None:
        """A journal has begun, so that `closed` will come."""
        self._is_open = True

    def put(self, name: str, data: bytes) -> None:
        """Keep a piece. While the store is away it waits, as all of the journal may, which is bounded."""
        self._must_go_on()
        self._post(self._uploader.document, BlobKey.parse(f"recordings/{self._recording}/{name}"), data)

    def media_time(self, moment: float) -> float | None:
        """The recording's; None before its first picture."""
        self._must_go_on()
        return self._media.at(moment) if self._media.has_begun else None

    def stop(self) -> None:
        """Nothing is recorded: what has come stays, no more is taken, and who writes hears of it within a second."""
        self._is_stopped = True
        self._over()

    def closed(self) -> None:
        """Nothing more comes."""
        self._post(self._over)

    async def until_over(self, timeout: float) -> None:
        """Wait for the last piece: it comes when the model has closed its Session, behind a step that is made."""
        await self._changes.until(lambda: not self._is_open, timeout)

    def _must_go_on(self) -> None:
        if self._is_stopped:
            raise JournalStoppedError

    def _over(self) -> None:
        self._is_open = False
        self._changes.stir()
