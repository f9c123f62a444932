"""The journal of a Session in the blobs: in pieces next to its Recording, which can be found by the Session's id.

`recorded/{session}/{recording}` is an empty blob, so finding a Session reads a few names, and not all Recordings.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, cast

from livereactor.base.errors import NotFoundError, UsageError
from livereactor.blobs.clips import recording_key
from livereactor.blobs.port import BlobKey, BlobMissingError, Blobs

RECORDED: Final = BlobKey("recorded")
_PIECE_NAME: Final = "journal-{number:05d}.jsonl"


class NoJournalError(NotFoundError):
    """The session has no recording, or its recording has no journal."""

    code = "no_journal"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A Recording, its Session, and the account that owns it."""

    recording: str
    session: str
    account: str


def recorded_key(session: str, recording: str) -> BlobKey:
    """Return the key that leads from a Session to its Recording; raises `UsageError` where the id cannot be a path."""
    return BlobKey.parse(f"{RECORDED.path}/{session}/{recording}")


def piece_name(number: int) -> str:
    """Return `journal-00000.jsonl` and so on; the names sort by number for a day of one piece a second."""
    return _PIECE_NAME.format(number=number)


async def recorded(blobs: Blobs, name: str) -> Recorded | None:
    """Return the newest Recording of a Session, or the Recording of that id; None = no such Recording.

    Clients of a stand-alone runtime choose ids of Sessions, so an id may be used again.
    """
    try:
        found = [each async for each in blobs.list(BlobKey.parse(f"{RECORDED.path}/{name}"))]
        found.sort(key=lambda each: each.modified_at, reverse=True)
        for recording in (*(each.key.path.rpartition("/")[2] for each in found), name):
            if (about := await _about(blobs, recording)) is not None:
                return about
    except UsageError:  # not an id at all
        pass
    return None


async def journal_pieces(blobs: Blobs, recording: str) -> AsyncIterator[bytes]:
    """Yield the pieces of a recording's journal as they were written; a recording without a journal yields none."""
    number = 0
    while True:
        try:
            piece = await blobs.get(BlobKey.parse(f"recordings/{recording}/{piece_name(number)}"))
        except BlobMissingError:
            return
        yield piece
        number += 1


async def _about(blobs: Blobs, recording: str) -> Recorded | None:
    try:
        found: Any = json.loads(await blobs.get(recording_key(recording)))
    except (BlobMissingError, ValueError, RecursionError):  # just removed, or not a Recording of ours
        return None
    told = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    session = told.get("session")
    return Recorded(recording, session, str(told.get("account", ""))) if isinstance(session, str) else None
