"""Writes a Session's journal down: the model's thread notes, a thread of its own encodes and hands pieces over.

EntryBody the model's thread pays is an append to a list, and once a second the copy of one picture.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import structlog

from livereactor.base.limits import MIB
from livereactor.blobs.journals import piece_name
from livereactor.runtime.interfaces import JournalSink, JournalStoppedError
from livereactor.runtime.replay.journal_format import Entry, EntryBody, JournalCut, JournalHeader, line_of, pieces_of

PIECE_SECONDS: Final = 1.0  # what a killed worker takes with it at most
WAITING_NOTES: Final = 4096  # a second of a flood; commands before it are bounded in the same way
WAITING_BYTES: Final = 64 * MIB
JOURNAL_BYTES: Final = 64 * MIB  # of one Session: thirty commands a second for six hours
PATIENCE: Final = 2.0  # seconds that the end of a Session waits for its last piece to be handed over

MakeBody: TypeAlias = Callable[[], EntryBody]

log = structlog.get_logger("livereactor.journal")


@dataclass(frozen=True, slots=True)
class _Note:
    step: int
    at: float  # seconds of `time.monotonic`
    within: bool
    what: MakeBody  # encoded later, elsewhere
    size: int


class JournalWriter:
    """The journal of one Session. Nothing is written before its first picture, without which there is no Recording.

    Args:
        header: its first line.
        sink: gets the pieces, each of at most a second or 64 KiB.
    """

    def __init__(self, header: JournalHeader, sink: JournalSink) -> None:
        self._header, self._sink = header, sink
        self._changed = threading.Condition()
        self._notes: list[_Note] = []
        self._lines: list[bytes] = []  # for the first picture; its own thread's alone
        self._size = 0  # of the notes and lines that wait
        self._is_full = self._is_cut = False  # no more may be taken; a note has been refused
        self._closed = False
        self._entries = self._pieces = self._written = 0
        sink.opened()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    # --- the model's thread ------------------------------------------------------------------------------------------

    def note(self, step: int, what: MakeBody, *, within: bool = False, size: int = 0) -> None:
        """Something happens now.

        Args:
            what: makes the entry, later and on another thread: it must hold all it needs.
            size: bytes that it keeps until then.
        """
        with self._changed:
            if self._is_cut or self._closed:
                return
            if self._is_full:
                what, self._is_cut = _cut(f"a journal has {JOURNAL_BYTES // MIB} MiB at most"), True
            elif len(self._notes) >= WAITING_NOTES or self._size >= WAITING_BYTES:
                what, self._is_cut = _cut("more happened at once than could be written down"), True
            self._notes.append(_Note(step, time.monotonic(), within, what, size))
            self._size += size
            self._changed.notify()

    def close(self) -> None:
        """The Session is over: all pieces have been handed over on return, or never will be."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(PATIENCE)

    # --- its own thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._write_some():
                pass
        except Exception as error:  # whatever the sink raises: the Session goes on without; no text, it may quote users
            if not isinstance(error, JournalStoppedError):
                log.error("journal ends early", session=self._header.session, reason=type(error).__name__)
            with self._changed:
                self._closed = True
                self._notes.clear()
            self._lines.clear()
        finally:
            self._sink.closed()

    def _write_some(self) -> bool:
        """Wait for a note, then for a second of them; False when all is written."""
        with self._changed:
            self._changed.wait_for(lambda: self._notes or self._lines or self._closed)
            self._changed.wait_for(lambda: self._closed, PIECE_SECONDS)
            closed = self._closed
            notes, self._notes = self._notes, []
        # At once, though it may wait: a note can hold a whole upload, its line holds a digest.
        lines = [self._line(note) for note in notes]
        has_begun = self._sink.media_time(time.monotonic()) is not None
        with self._changed:
            self._size += sum(map(len, lines)) - sum(note.size for note in notes)
            self._lines += lines
            if not has_begun:
                return not closed
            lines, self._lines = self._lines, []
            self._size -= sum(map(len, lines))
        if not self._pieces:
            lines.insert(0, line_of(self._header))
        for piece in pieces_of(lines):
            self._sink.put(piece_name(self._pieces), piece)
            self._pieces += 1
            self._written += len(piece)
        self._is_full = self._written >= JOURNAL_BYTES
        return not closed

    def _line(self, note: _Note) -> bytes:
        self._entries += 1
        at = round(self._sink.media_time(note.at) or 0.0, 6)
        return line_of(Entry(n=self._entries, step=note.step, at=at, within=note.within, what=note.what()))


def _cut(why: str) -> MakeBody:
    return lambda: JournalCut(why=why)
