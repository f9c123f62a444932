"""The journal's own thread: when pieces come, what bounds them, and what a sink that fails costs."""

from __future__ import annotations

import threading
import weakref

import pytest
from structlog.testing import capture_logs

from livereactor.runtime.interfaces import JournalStoppedError
from livereactor.runtime.replay import journal_writer
from livereactor.runtime.replay.journal_format import CommandRan, JournalCut, JournalEnd, JournalHeader, OutputsWanted
from livereactor.runtime.replay.journal_writer import JournalWriter
from tests.tools.journals import Kept

HEADER = JournalHeader(session="ses_1", started_us=0, model="m", model_version="v", contract="c", generation="streamed")
PATIENCE = 30.0  # seconds for what takes a moment on an idle machine


def wanted() -> OutputsWanted:
    return OutputsWanted(tracks=())


class Waking(Kept):
    """Tells when a piece has come."""

    def __init__(self, *, begun: bool = True) -> None:
        super().__init__(begun=begun)
        self.came = threading.Event()

    def put(self, name: str, data: bytes) -> None:
        super().put(name, data)
        self.came.set()


def test_a_second_after_it_happened_it_is_kept() -> None:
    kept = Waking()
    writer = JournalWriter(HEADER, kept)
    writer.note(1, wanted)
    assert kept.came.wait(PATIENCE)
    assert [each.what for each in kept.read().entries] == [wanted()]
    writer.note(2, lambda: JournalEnd())
    writer.close()
    assert list(kept.pieces) == ["journal-00000.jsonl", "journal-00001.jsonl"]
    assert kept.read().end == JournalEnd()


def test_nothing_is_kept_before_the_first_picture_and_all_of_it_then() -> None:
    kept = Kept(begun=False)
    writer = JournalWriter(HEADER, kept)
    writer.note(1, wanted)
    kept.begin()
    writer.note(1, lambda: JournalEnd())
    writer.close()
    assert [each.what for each in kept.read().entries] == [wanted(), JournalEnd()]
    assert kept.read().entries[0].at == 0


def test_before_the_first_picture_lines_wait_and_not_what_they_are_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "PIECE_SECONDS", 0.05)
    made = threading.Event()

    class File:
        """Stands for an upload."""

        def what(self) -> OutputsWanted:
            made.set()
            return wanted()

    kept, file = Kept(begun=False), File()
    held = weakref.ref(file)
    writer = JournalWriter(HEADER, kept)
    writer.note(1, file.what)
    del file
    assert made.wait(PATIENCE)
    again = threading.Event()
    writer.note(2, lambda: (again.set(), wanted())[1])
    assert again.wait(PATIENCE)  # by then the round before is over
    assert held() is None
    kept.begin()
    writer.close()
    assert [(each.n, each.step, each.at) for each in kept.read().entries] == [(1, 1, 0.0), (2, 2, 0.0)]


def test_lines_that_wait_are_kept_soon_after_the_first_picture_though_nothing_more_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_writer, "PIECE_SECONDS", 0.05)
    made, kept = threading.Event(), Waking(begun=False)
    writer = JournalWriter(HEADER, kept)
    writer.note(1, lambda: (made.set(), wanted())[1])
    assert made.wait(PATIENCE)
    kept.begin()
    assert kept.came.wait(PATIENCE)
    writer.close()


def test_lines_that_wait_for_the_first_picture_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "WAITING_BYTES", 100)
    monkeypatch.setattr(journal_writer, "PIECE_SECONDS", 0.05)
    kept = Kept(begun=False)
    writer = JournalWriter(HEADER, kept)
    for step in (1, 2, 3):
        made = threading.Event()
        writer.note(step, lambda made=made: (made.set(), wanted())[1])
        if not made.wait(PATIENCE if step < 3 else 0.5):
            break
    kept.begin()
    writer.close()
    assert [type(each.what) for each in kept.read().entries] == [OutputsWanted, OutputsWanted, JournalCut]


def test_where_nothing_is_recorded_any_more_the_journal_ends_without_a_word() -> None:
    class Stopping(Waking):
        stopped = False
        over = threading.Event()

        def media_time(self, moment: float) -> float | None:
            if self.stopped:
                raise JournalStoppedError
            return super().media_time(moment)

        def closed(self) -> None:
            self.over.set()

    kept = Stopping(begun=False)
    with capture_logs() as logs:
        writer = JournalWriter(HEADER, kept)
        writer.note(1, wanted)
        kept.stopped = True
        assert kept.over.wait(PATIENCE)
        writer.note(2, wanted)
        writer.close()
    assert not logs
    assert not writer.waiting
    assert not kept.pieces


def test_a_session_without_a_picture_leaves_nothing() -> None:
    kept = Kept(begun=False)
    writer = JournalWriter(HEADER, kept)
    writer.note(1, wanted)
    writer.close()
    assert kept.pieces == {}


def test_what_happens_faster_than_it_can_be_written_is_cut_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "WAITING_NOTES", 3)
    kept = Kept()
    writer = JournalWriter(HEADER, kept)
    for step in range(1, 9):
        writer.note(step, wanted)
    writer.close()
    journal = kept.read()
    assert [(each.step, type(each.what)) for each in journal.entries] == [
        (1, OutputsWanted),
        (2, OutputsWanted),
        (3, OutputsWanted),
        (4, JournalCut),
    ]
    assert journal.notices == (
        "the journal is incomplete (more happened at once than could be written): it is replayed up to step 4",
    )
    assert journal.steps == 3


def test_a_journal_ends_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "JOURNAL_BYTES", 100)
    kept = Waking()
    writer = JournalWriter(HEADER, kept)
    writer.note(1, wanted)
    assert kept.came.wait(PATIENCE)
    for step in (7, 8):
        writer.note(step, wanted)
    writer.close()
    assert [(each.step, type(each.what)) for each in kept.read().entries] == [(1, OutputsWanted), (7, JournalCut)]


def test_pieces_are_bounded_whatever_a_command_holds() -> None:
    kept = Kept()
    writer = JournalWriter(HEADER, kept)
    for length in (10, 200_000, 10, 60_000, 60_000):
        call = CommandRan(command="say", arguments={"text": "x" * length}, client=1001)
        writer.note(1, lambda call=call: call)
    writer.close()
    assert [len(data) // 10_000 for data in kept.pieces.values()] == [0, 20, 6, 6]
    assert len(kept.read().entries) == 5


def test_a_sink_that_fails_costs_the_journal_alone_and_no_text_of_a_user_is_logged() -> None:
    class Broken(Waking):
        def put(self, name: str, data: bytes) -> None:
            self.came.set()
            raise OSError(f"cannot write {data!r}")

    kept = Broken()
    with capture_logs() as logs:
        writer = JournalWriter(HEADER, kept)
        writer.note(1, lambda: CommandRan(command="say", arguments={"text": "a secret"}, client=1001))
        assert kept.came.wait(PATIENCE)
        writer.note(2, wanted)
        writer.close()
    assert [(each["event"], each["session"], each["reason"]) for each in logs] == [
        ("journal ends early", "ses_1", "OSError")
    ]
    assert "secret" not in repr(logs)
