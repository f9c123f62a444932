"""What lies of Recordings and Clips in the blobs: the keys, and the two documents of a Clip. Pure.

A runtime writes them and any coordinator reads them, so a Clip outlives the Worker that made it:

- `clips/{clip}/asked.json` before the client hears of its Clip, `clips/{clip}/clip.json` when nothing changes any more;
- `clips/{clip}/init.mp4` and `chunk_00000.m4s`, … where it was cut; a whole Recording's Clip names those of
  `recordings/{recording}/`, where `recording.json` was written first.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from livereactor.blobs.port import BlobKey
from livereactor.protocol.http import Body

Folder: TypeAlias = Literal["clips", "recordings"]
FOLDERS: Final[tuple[Folder, ...]] = ("clips", "recordings")
INIT: Final = "init.mp4"
ID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Five digits are what official runtimes write; a recording of more than 27 hours has Segments beyond them.
FILE: Final = r"(?:init\.mp4|chunk_(?:[0-9]{5}|[1-9][0-9]{5,6})\.m4s)"
PartKey: TypeAlias = Annotated[str, Field(pattern=f"^(?:clips|recordings)/{ID}/{FILE}$")]


class Asked(Body):
    """`asked.json`: a Clip that somebody was promised.

    Attributes:
        session, recording: what it is of.
        account: whose Session; empty on a stand-alone runtime.
        start, end: seconds on the Recording.
        made_us, expires_us, predicted_ready_us: microseconds of Unix time.
    """

    session: str
    recording: str
    account: str = ""
    kind: Literal["snap", "recording"]
    start: float
    end: float
    made_us: int
    expires_us: int
    predicted_ready_us: int


class Made(Body):
    """`clip.json`: where its parts are, or why there are none.

    Attributes:
        init: key of the init segment.
        parts: key and length in seconds of each part that follows it.
        lost: Segments of the Recording that could not be stored, and are not in it.
        failed: a sentence for the client; None = it is whole, but for what was lost.
    """

    init: PartKey | None = None
    parts: list[tuple[PartKey, float]] = Field(default_factory=list[tuple[PartKey, float]])
    lost: int = 0
    failed: str | None = None


def is_id(text: str) -> bool:
    """A UUID, written as Recordings and Clips have theirs."""
    return re.fullmatch(ID, text) is not None


def is_file(text: str) -> bool:
    """A name that a part has: `init.mp4`, or `chunk_` with its number in five digits or more."""
    return re.fullmatch(FILE, text) is not None


def chunk(number: int) -> str:
    """File name of a part, counted from 0."""
    return f"chunk_{number:05}.m4s"


def part_key(folder: Folder, name: str, file: str) -> BlobKey:
    """Where a part of a Clip or of a Recording lies."""
    return BlobKey.parse(f"{folder}/{name}/{file}")


def asked_key(clip: str) -> BlobKey:
    """Of a Clip's `asked.json`."""
    return BlobKey.parse(f"clips/{clip}/asked.json")


def made_key(clip: str) -> BlobKey:
    """Of a Clip's `clip.json`."""
    return BlobKey.parse(f"clips/{clip}/clip.json")


def recording_key(recording: str) -> BlobKey:
    """Of a Recording's `recording.json`."""
    return BlobKey.parse(f"recordings/{recording}/recording.json")
