"""What lies beside a recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from livereactor.runtime.interfaces import JournalStoppedError
from livereactor.runtime.recording.media_clock import MediaClock
from livereactor.runtime.recording.recorder import RecordingJournalSink
from livereactor.runtime.recording.uploader import Uploader


class StoredSegment:
    """Stands for what stores."""

    def __init__(self) -> None:
        self.documents: list[str] = []

    def document(self, key: Any, data: bytes) -> None:
        self.documents.append(key.path)


def at_once(work: Callable[..., None], *arguments: object) -> None:
    work(*arguments)


async def test_a_journal_that_is_stopped_takes_nothing_and_nobody_waits_for_it() -> None:
    stored = StoredSegment()
    journal = RecordingJournalSink("rec", MediaClock(), cast(Uploader, stored), at_once)
    journal.opened()
    journal.put("journal-00000.jsonl", b"{}")
    journal.stop()
    await journal.until_over(1e6)
    with pytest.raises(JournalStoppedError):
        journal.media_time(0)
    with pytest.raises(JournalStoppedError):
        journal.put("journal-00001.jsonl", b"{}")
    assert stored.documents == ["recordings/rec/journal-00000.jsonl"]
