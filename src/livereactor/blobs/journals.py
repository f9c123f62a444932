"""Where the journal of a Session lies in the blobs: in pieces beside its Recording, which its id leads to.

`recorded/{session}/{recording}` is empty: who looks for a Session reads its few names, and not all Recordings.
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
    """There is no such Session among the Recordings, or it has no journal."""

    code = "no_journal"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A Recording, and whose it is."""

    recording: str
    session: str
    account: str


def recorded_key(session: str, recording: str) -> BlobKey:
    """What leads from a Session to its Recording; raises `UsageError` where its id cannot be part of a path."""
    return BlobKey.parse(f"{RECORDED.path}/{session}/{recording}")


def piece_name(number: int) -> str:
    """`journal-00000.jsonl` and so on; sorts as it counts, for a day of one a second."""
    return _PIECE_NAME.format(number=number)


async def recorded(blobs: Blobs, name: str) -> Recorded | None:
    """The newest Recording of a Session, or the one of that id; None = there is none.

    Ids of a stand-alone runtime's Sessions are its clients' own, and may come again.
    """
    try:
        found = [each async for each in blobs.list(BlobKey.parse(f"{RECORDED.path}/{name}"))]
        found.sort(key=lambda each: each.modified_at, reverse=True)
        for recording in (*(each.key.path.rpartition("/")[2] for each in found), name):
            if (about := await _about(blobs, recording)) is not None:
                return about
    except UsageError:  # no id of anything
        pass
    return None


async def journal_pieces(blobs: Blobs, recording: str) -> AsyncIterator[bytes]:
    """The journal beside a Recording, as it was written; nothing where it has none."""
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
    except (BlobMissingError, ValueError):  # its time was over just now; or it is none of ours
        return None
    told = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    session = told.get("session")
    return Recorded(recording, session, str(told.get("account", ""))) if isinstance(session, str) else None
