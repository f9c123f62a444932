"""Find a Session's journal: among the Recordings in the blobs, or in files that were copied from there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from livereactor.base.errors import NotFoundError
from livereactor.blobs.journals import NoJournalError, journal_pieces, recorded
from livereactor.blobs.port import Blobs
from livereactor.runtime.replay.journal_format import FileDigest, JournalError, digest_of

_PIECE: Final = re.compile(r"journal-[0-9]{5,}\.jsonl")


class NoFileError(NotFoundError):
    """A file that the Session was given is nowhere to be found."""

    code = "no_file"


async def kept_journal(blobs: Blobs, session: str, where: str) -> bytes:
    """The journal of a Session, by the Session's id or its Recording's.

    Args:
        where: what the blobs are called in a sentence.

    Raises:
        NoJournalError: it is not there.
    """
    found = await recorded(blobs, session)
    if found is None:
        raise NoJournalError(
            f"no session {session[:64]!r} among the recordings in {where}: it showed no picture, was not recorded, or "
            "has expired; name another place with --data-dir, --blobs or --coordinator, or pass a journal file"
        )
    pieces = [each async for each in journal_pieces(blobs, found.recording)]
    if not pieces:
        raise NoJournalError(f"the recording of session {session[:64]!r} in {where} has no journal to replay it from")
    return b"".join(pieces)


def journal_in(path: Path) -> bytes:
    """Return the journal in a file, in the folder with its pieces, or in the folder of the piece that is named.

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


def files_in(folder: Path | None) -> Callable[[FileDigest], bytes]:
    """Return a function that finds files of a Session by their content, whatever their names; None = no files.

    The function raises `NoFileError` for a file that is not there.
    """

    def found(file: FileDigest) -> bytes:
        for each in sorted(folder.iterdir()) if folder is not None else ():
            if (
                each.is_file()
                and each.stat().st_size == file.size
                and digest_of(data := each.read_bytes()) == file.digest
            ):
                return data
        raise NoFileError(
            f"the session was given the file {file.name[:64]!r} ({file.size} bytes), which a journal does not keep; "
            "pass the folder that has it with --files"
        )

    return found
