"""The journal of a Session, written while it runs: an observer on the model's thread notes, a second thread encodes.

The model's thread pays an append to a list for each note, and once a second the copy of one picture.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import structlog

from livereactor.base.limits import MIB
from livereactor.blobs.journals import piece_name
from livereactor.media.frames import Frame, Sound
from livereactor.protocol.contract import contract_hash
from livereactor.runtime.authoring.definition import Definition
from livereactor.runtime.interfaces import (
    Call,
    ClientInfo,
    JournalSink,
    JournalStoppedError,
    ReceivedFile,
    SessionObserver,
    SessionStart,
)
from livereactor.runtime.replay.journal_format import (
    ClientJoined,
    ClientLeft,
    CommandRan,
    Entry,
    EntryBody,
    FileArrived,
    FileDigest,
    JournalCut,
    JournalEnd,
    JournalHeader,
    OutputsWanted,
    PictureDigest,
    digest_of,
    line_of,
    pieces_of,
)

SHOWN_EVERY: Final = 1.0  # seconds between two pictures whose digest is kept
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
        """Note an event that happens now.

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
                what, self._is_cut = _cut("more happened at once than could be written"), True
            self._notes.append(_Note(step, time.monotonic(), within, what, size))
            self._size += size
            self._changed.notify()

    @property
    def waiting(self) -> int:
        """Notes and lines that are not handed over yet."""
        with self._changed:
            return len(self._notes) + len(self._lines)

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


class JournalObserver(SessionObserver):
    """Keeps the journal of one Session. It notes each thing before it is done; what follows from it is not noted.

    Args:
        definition: of the model that runs.
        config: the values that `load(self, config)` got.
        sink: gets the pieces.
    """

    def __init__(self, definition: Definition, config: Mapping[str, Any], sink: JournalSink) -> None:
        self._definition, self._config, self._sink = definition, config, sink
        self._journal: JournalWriter | None = None
        self._step = 0  # the step in progress, or the last one
        self._within = False  # the model waits for input inside that step
        self._shown_at = float("-inf")
        self._wanted: frozenset[str] | None = None

    def opened(self, start: SessionStart) -> None:
        self._journal = JournalWriter(header_of(self._definition, start, self._config), self._sink)

    def called(self, call: Call, client: ClientInfo) -> None:
        self._note(lambda: command_ran(call, client), call.size)

    def client_joined(self, client: ClientInfo) -> None:
        self._note(lambda: ClientJoined(client=client.id, role=client.role, joined_at=client.joined_at))

    def client_left(self, client: ClientInfo) -> None:
        self._note(lambda: ClientLeft(client=client.id, role=client.role, joined_at=client.joined_at))

    def file_uploaded(self, file: ReceivedFile) -> None:
        self._note(lambda: FileArrived(upload_id=file.upload_id, file=_file(file)))

    def outputs_wanted(self, tracks: frozenset[str]) -> None:
        if tracks != self._wanted:
            self._wanted = tracks
            self._note(lambda: OutputsWanted(tracks=tuple(sorted(tracks))))

    def step_began(self) -> None:
        self._step += 1

    def step_dropped(self) -> None:
        self._step -= 1

    def step_made(self, emission: Mapping[str, Sequence[Frame] | Sound]) -> None:
        """Note the digest of a picture, once in `SHOWN_EVERY` seconds."""
        now = time.monotonic()
        if now - self._shown_at < SHOWN_EVERY or (found := picture_of(self._definition, emission)) is None:
            return
        self._shown_at = now
        track, pixels = found
        if self._journal is not None:
            self._journal.note(
                self._step, lambda: PictureDigest(track=track, digest=digest_of(pixels)), size=len(pixels)
            )

    def input_awaited(self, waits: bool) -> None:
        self._within = waits

    def closed(self, *, failed: bool = False) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.note(self._step, lambda: JournalEnd(failed=failed))
            journal.close()

    def _note(self, body: MakeBody, size: int = 0) -> None:
        if self._journal is not None:
            step = self._step if self._within else self._step + 1
            self._journal.note(step, body, within=self._within, size=size)


def header_of(definition: Definition, start: SessionStart, config: Mapping[str, Any]) -> JournalHeader:
    """The first line of the journal of a Session that begins now."""
    seed = config.get("seed")
    return JournalHeader(
        session=start.id,
        started_us=time.time_ns() // 1000,
        model=definition.name,
        model_version=definition.schema.version,
        contract=contract_hash(definition.schema),
        generation="stepped" if start.stepped else "streamed",
        fps=definition.emission_fps,
        params={name: spec.field.default for name, spec in definition.params.items()},
        extra_args=dict(start.extra_args),
        seed=seed if isinstance(seed, int | float | str) else None,
        not_kept=tuple(definition.inputs),
    )


def command_ran(call: Call, client: ClientInfo) -> CommandRan:
    """A call as it is kept: with references in place of files."""
    files: dict[str, FileDigest] = {}
    arguments = {name: _kept(value, files) for name, value in call.arguments.items()}
    return CommandRan(command=call.command, arguments=arguments, files=files, client=client.id, role=client.role)


def picture_of(definition: Definition, emission: Mapping[str, Sequence[Frame] | Sound]) -> tuple[str, bytes] | None:
    """The last picture of a step's first video track: its name and a copy of its pixels, RGB; None without one."""
    for track in definition.outputs:
        frames = emission.get(track.name)
        if frames and not isinstance(frames, Sound):
            # A copy: the model may draw into the array again before anybody has read it.
            return track.name, frames[-1].pixels.tobytes()
    return None


def _kept(value: Any, files: dict[str, FileDigest]) -> Any:
    match value:
        case ReceivedFile():
            files[value.upload_id] = known = _file(value)
            return {"upload_id": value.upload_id, **known.model_dump(include={"name", "mime_type", "size"})}
        case list():
            return [_kept(each, files) for each in cast("list[Any]", value)]
        case Mapping():
            return {name: _kept(each, files) for name, each in cast("Mapping[str, Any]", value).items()}
        case _:
            return value


def _file(file: ReceivedFile) -> FileDigest:
    return FileDigest(name=file.name, mime_type=file.mime_type, size=len(file.data), digest=digest_of(file.data))
