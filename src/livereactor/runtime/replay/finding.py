"""Where a Session's journal is: among the Recordings in the blobs, or in files that somebody took from there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from livereactor.base.errors import NotFoundError
from livereactor.blobs.port import BlobKey, BlobMissingError, Blobs
from livereactor.runtime.replay.journal_format import FileOf, JournalError, digest_of, piece_name

RECORDINGS: Final = BlobKey("recordings")
_ABOUT: Final = re.compile(r"recordings/([^/]+)/recording\.json")
_PIECE: Final = re.compile(r"journal-[0-9]{5,}\.jsonl")


class NoJournalError(NotFoundError):
    """There is no such Session among the Recordings, or it has no journal."""

    code = "no_journal"


class NoFileError(NotFoundError):
    """A file that the Session was given is nowhere to be found."""

    code = "no_file"


def journal_below(folder: Path, session: str) -> bytes:
    """The journal of a Session, by the Session's id or its Recording's, in a folder that keeps blobs.

    Without an event loop: obstore's threads abort a process that ends a moment after they gave an answer to one
    (pyo3-async-runtimes issue 40; one in ten here).

    Raises:
        NoJournalError: it is not there.
    """
    abouts = sorted(folder.glob(f"{RECORDINGS.path}/*/recording.json"), key=lambda each: each.stat().st_mtime)
    for about in reversed(abouts):
        if session in (about.parent.name, _session_in(about.read_bytes())):
            if not any(_PIECE.fullmatch(each.name) for each in about.parent.iterdir()):
                raise _no_journal(session, str(folder))
            return journal_in(about.parent)
    raise _no_session(session, str(folder))


async def kept_journal(blobs: Blobs, session: str, where: str) -> bytes:
    """The same, of blobs that are elsewhere.

    Args:
        where: what the blobs are called in a sentence.

    Raises:
        NoJournalError: it is not there.
    """
    recording = await _recording_of(blobs, session)
    if recording is None:
        raise _no_session(session, where)
    pieces: list[bytes] = []
    try:
        while True:
            pieces.append(await blobs.get(BlobKey.parse(f"recordings/{recording}/{piece_name(len(pieces))}")))
    except BlobMissingError:
        pass
    if not pieces:
        raise _no_journal(session, where)
    return b"".join(pieces)


async def _recording_of(blobs: Blobs, session: str) -> str | None:
    """The newest Recording of that Session: ids of a stand-alone runtime are its clients' own, and may come again."""
    found: dict[str, float] = {}
    async for entry in blobs.list(RECORDINGS):
        if (match := _ABOUT.fullmatch(entry.key.path)) is not None:
            found[match[1]] = entry.modified_at
    for recording in sorted(found, key=lambda each: found[each], reverse=True):
        if session in (recording, await _session_of(blobs, recording)):
            return recording
    return None


async def _session_of(blobs: Blobs, recording: str) -> str | None:
    try:
        return _session_in(await blobs.get(BlobKey.parse(f"recordings/{recording}/recording.json")))
    except BlobMissingError:  # its time was over just now
        return None


def _session_in(about: bytes) -> str | None:
    try:
        found: Any = json.loads(about)
    except ValueError:
        return None
    return cast("dict[str, Any]", found).get("session") if isinstance(found, dict) else None


def _no_session(session: str, where: str) -> NoJournalError:
    return NoJournalError(
        f"no session {session[:64]!r} among the recordings in {where}: it showed no picture, was not recorded, or its "
        "time is over; name another place by --data-dir or --blobs, or give the file of a journal"
    )


def _no_journal(session: str, where: str) -> NoJournalError:
    return NoJournalError(f"the recording of session {session[:64]!r} in {where} has no journal to replay it from")


def journal_in(path: Path) -> bytes:
    """The journal in a file, in the folder with its pieces, or beside the piece that is named.

    Raises:
        JournalError: there is none, or it cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    files = [path]
    if path.is_dir() or _PIECE.fullmatch(path.name):
        files = sorted((each for each in folder.iterdir() if _PIECE.fullmatch(each.name)), key=_number)
    if not files:
        raise JournalError(f"no journal in {path}; give the folder of a recording, with its journal-00000.jsonl")
    try:
        return b"".join(each.read_bytes() for each in files)
    except OSError as error:
        raise JournalError(f"{path} cannot be read ({error.strerror}); give the file of a journal") from error


def _number(file: Path) -> int:
    return int(file.stem.partition("-")[2])


def files_in(folder: Path | None) -> Callable[[FileOf], bytes]:
    """Finds files that a Session was given by their content, whatever they are called there; None = there are none.

    What it returns raises `NoFileError` for one that is not there.
    """

    def found(file: FileOf) -> bytes:
        for each in sorted(folder.iterdir()) if folder is not None else ():
            if (
                each.is_file()
                and each.stat().st_size == file.size
                and digest_of(data := each.read_bytes()) == file.digest
            ):
                return data
        raise NoFileError(
            f"the session was given the file {file.name[:64]!r} ({file.size} bytes), which a journal does not keep; "
            "name a folder that has it by --files"
        )

    return found
