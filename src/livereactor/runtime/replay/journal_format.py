"""The format of a Session's journal: everything that was done to the model, in order. Pure.

A journal is JSON Lines, written in pieces of whole lines and read as their concatenation: one `JournalHeader`, then one
`Entry` a line, numbered from 1. An `Entry` names the step that follows it (the first step is 1) and its time in seconds
of the Recording's media time (0 = the first picture or earlier). A journal holds no input Frames and no input Sound,
and files by their digest only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from livereactor.base.errors import UsageError
from livereactor.protocol.json_text import shown

VERSION: Final = 1
PIECE_BYTES: Final = 64 * 1024  # a line that is longer has a piece of its own
DIGEST_BYTES: Final = 16


class JournalError(UsageError):
    """The data is no journal of a Session, or one that this version cannot read."""

    code = "bad_journal"


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class JournalHeader(_Line):
    """The first line.

    Attributes:
        livereactor_journal: version of this format.
        session: the Session's id; `started_us`: Unix microseconds at which the model opened it.
        model, model_version, contract: name, version and `contract_hash` of the model.
        generation: whether it streamed, or made a step when it was asked for one.
        fps: of its first video output as declared; None = the model's own rate.
        params: every parameter's value at the start, as JSON.
        extra_args: what the Session was started with.
        seed: `seed` of what `load(config)` got, where there is one.
        not_kept: input tracks, of which a replay has nothing.
    """

    livereactor_journal: Literal[1] = VERSION
    session: str
    started_us: int
    model: str
    model_version: str
    contract: str
    generation: Literal["streamed", "stepped"]
    fps: float | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    extra_args: dict[str, Any] = Field(default_factory=dict)
    seed: int | float | str | None = None
    not_kept: tuple[str, ...] = ()


class FileDigest(_Line):
    """An Upload as the model got it: what it was, without its bytes. `digest`: as `digest_of` gives it."""

    name: str
    mime_type: str
    size: int
    digest: str


class CommandRan(_Line):
    """A command or a parameter's change ran; whether it was refused is the model's own matter, now as then.

    Attributes:
        arguments: checked JSON values; a file is a reference by upload id.
        files: those files, by upload id.
        client: the Connection that sent it, 0 = a step or the start of the Session had it with it.
        role: of that Connection.
    """

    do: Literal["command"] = "command"
    command: str
    arguments: dict[str, Any]
    files: dict[str, FileDigest] = Field(default_factory=dict)
    client: int
    role: Literal["owner", "viewer"] = "owner"


class ClientJoined(_Line):
    """A client came; `joined_at`: Unix seconds."""

    do: Literal["join"] = "join"
    client: int
    role: Literal["owner", "viewer"]
    joined_at: float


class ClientLeft(_Line):
    """A client went."""

    do: Literal["leave"] = "leave"
    client: int
    role: Literal["owner", "viewer"]
    joined_at: float


class OutputsWanted(_Line):
    """Outputs that somebody receives from now on; none = all pause."""

    do: Literal["want"] = "want"
    tracks: tuple[str, ...]


class FileArrived(_Line):
    """The hook `uploaded` got a file."""

    do: Literal["upload"] = "upload"
    upload_id: str
    file: FileDigest


class PictureDigest(_Line):
    """The digest of the last picture that the step made on a video track. About one a second."""

    do: Literal["picture"] = "picture"
    track: str
    digest: str


class JournalEnd(_Line):
    """The Session's last step is made; `failed`: it raised."""

    do: Literal["end"] = "end"
    failed: bool = False


class JournalCut(_Line):
    """The journal ends here, because more was done than is kept."""

    do: Literal["cut"] = "cut"
    why: str


EntryBody: TypeAlias = Annotated[
    CommandRan | ClientJoined | ClientLeft | OutputsWanted | FileArrived | PictureDigest | JournalEnd | JournalCut,
    Field(discriminator="do"),
]


class Entry(_Line):
    """One thing that happened.

    Attributes:
        n: 1, 2, 3, …
        step: the step before which it was taken; of `PictureDigest` and `JournalEnd` the step that is made.
        at: seconds of media time, which stands still in a pause.
        within: it was taken inside that step, while the model waited for input in it.
    """

    n: int = Field(ge=1)
    step: int = Field(ge=0)
    at: float = Field(ge=0)
    within: bool = False
    what: EntryBody


_ENTRY: Final = TypeAdapter(Entry)


@dataclass(frozen=True, slots=True)
class SessionJournal:
    """A journal as read.

    Attributes:
        entries: those before the first that is missing or torn.
        notices: what the reader has to know, a sentence each.
    """

    header: JournalHeader
    entries: Sequence[Entry]
    notices: Sequence[str] = ()

    @property
    def end(self) -> JournalEnd | None:
        """The end of the Session; None in a journal that was cut off."""
        last = self.entries[-1].what if self.entries else None
        return last if isinstance(last, JournalEnd) else None

    @property
    def steps(self) -> int:
        """Steps that are known to have been made."""
        made = (
            each.step if isinstance(each.what, PictureDigest | JournalEnd) else each.step - 1 for each in self.entries
        )
        return max(made, default=0)


def digest_of(data: bytes) -> str:
    """32 hexadecimal digits of BLAKE2b: of a file its bytes, of a picture its pixels, RGB, row by row."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def line_of(part: JournalHeader | Entry) -> bytes:
    """One line, with its end."""
    plain = part.model_dump(mode="json", exclude_defaults=False)
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def pieces_of(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines joined into pieces of at most `PIECE_BYTES`."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > PIECE_BYTES:
            yield piece
            piece = b""
        piece += line
    if piece:
        yield piece


def read_journal(data: bytes) -> SessionJournal:
    """All pieces of a journal, joined, as they were written.

    A last line without its end is one that a worker could not finish: it is left out, with a notice. So is all behind
    a gap in the numbers.

    Raises:
        JournalError: it has no header, or one of another version, or a line that is none.
    """
    lines = data.split(b"\n")
    torn = lines.pop()
    if not lines:
        raise JournalError("this is not the journal of a session: it has no complete line; pass journal-00000.jsonl")
    header, entries, notices = _header(lines[0]), list[Entry](), list[str]()
    for number, line in enumerate(lines[1:], start=2):
        entry = _entry(line, number)
        if entry.n != len(entries) + 1:
            notices.append(f"entries {len(entries) + 1} to {entry.n - 1} are missing: it is replayed up to there")
            break
        entries.append(entry)
        if isinstance(entry.what, JournalCut):
            notices.append(f"the journal is incomplete ({entry.what.why}): it is replayed up to step {entry.step}")
    else:
        if torn:
            notices.append("the last line was not finished and is left out")
    return SessionJournal(header, tuple(entries), tuple(notices))


def _header(line: bytes) -> JournalHeader:
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or "livereactor_journal" not in found:
        raise JournalError(
            "this is not the journal of a session: its first line is not a header; pass journal-00000.jsonl"
        )
    version: Any = cast("dict[str, Any]", found)["livereactor_journal"]
    if version != VERSION:
        raise JournalError(
            f"the journal has version {shown(version)}, this livereactor reads {VERSION}; install a newer one"
        )
    try:
        return JournalHeader.model_validate(found)
    except ValidationError as error:
        raise JournalError(f"the journal's header is damaged ({_reason(error)}); nothing can be replayed") from error


def _entry(line: bytes, number: int) -> Entry:
    try:
        return _ENTRY.validate_json(line)
    except ValidationError as error:
        raise JournalError(
            f"line {number} of the journal is damaged ({_reason(error)}); pass an unchanged journal"
        ) from error


def _reason(error: ValidationError) -> str:
    # Without the input: what a user wrote stays in the journal.
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
