"""The layout of Recordings and Clips in the blobs: their keys, and the two documents of a Clip. Pure.

A runtime writes them and any coordinator reads them, so a Clip outlives the Worker that made it:

- `clips/{clip}/asked.json` before the client gets its Clip, `clips/{clip}/clip.json` when nothing changes any more;
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
# Official runtimes write five digits; a recording of more than 27 hours has Segments beyond them.
FILE: Final = r"(?:init\.mp4|chunk_(?:[0-9]{5}|[1-9][0-9]{5,6})\.m4s)"
PartKey: TypeAlias = Annotated[str, Field(pattern=f"^(?:clips|recordings)/{ID}/{FILE}$")]


class Asked(Body):
    """The document `asked.json`: a Clip that a client was promised.

    Attributes:
        session, recording: the source of the Clip.
        account: the owner of the Session; empty on a stand-alone runtime.
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
    """The document `clip.json`: where the parts of a Clip are, or why it has none.

    Attributes:
        init: key of the init segment.
        parts: key and length in seconds of each part that follows it.
        lost: Segments of the Recording that could not be stored, so they are missing in the Clip.
        failed: a sentence for the client; None = the Clip is whole, except for the lost Segments.
    """

    init: PartKey | None = None
    parts: list[tuple[PartKey, float]] = Field(default_factory=list[tuple[PartKey, float]])
    lost: int = 0
    failed: str | None = None


def is_id(text: str) -> bool:
    """Return whether `text` is an id of a Recording or Clip: a UUID in lower case."""
    return re.fullmatch(ID, text) is not None


def is_file(text: str) -> bool:
    """Return whether `text` is the name of a part: `init.mp4`, or `chunk_` with a number of five digits or more."""
    return re.fullmatch(FILE, text) is not None


def chunk(number: int) -> str:
    """Return the file name of a part, counted from 0."""
    return f"chunk_{number:05}.m4s"


def part_key(folder: Folder, name: str, file: str) -> BlobKey:
    """Return the key of a part of a Clip or Recording."""
    return BlobKey.parse(f"{folder}/{name}/{file}")


def asked_key(clip: str) -> BlobKey:
    """Return the key of a Clip's `asked.json`."""
    return BlobKey.parse(f"clips/{clip}/asked.json")


def made_key(clip: str) -> BlobKey:
    """Return the key of a Clip's `clip.json`."""
    return BlobKey.parse(f"clips/{clip}/clip.json")


def recording_key(recording: str) -> BlobKey:
    """Return the key of a Recording's `recording.json`."""
    return BlobKey.parse(f"recordings/{recording}/recording.json")
