"""The port of moderation: a question about what a client sends, and the moderator's verdict.

Promises of every adapter, kept by `tests/contract/moderation`: it answers each question with a verdict or raises
`NoVerdictError`, answers several at once, and gives a question up when its caller is cancelled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

from livereactor.base.errors import ForbiddenError, LivereactorError

InputKind: TypeAlias = Literal["text", "image", ""]  # "" = a file that is no image
REFUSED = "MODERATED"  # by a verdict
UNANSWERED = "MODERATION_UNAVAILABLE"  # for want of a verdict
UNREAD = "UPLOAD_TOO_LARGE"  # for a file that no moderator is shown


class VerdictAction(StrEnum):
    """The actions that a verdict asks for."""

    ALLOW = "allow"
    WARN = "warn"  # the model gets it, and the sender a notice
    REFUSE = "refuse"  # the model does not get it; the sender gets a notice and an error
    TERMINATE = "terminate"  # the session ends with the reason `moderated`


@dataclass(frozen=True, slots=True)
class TextInQuestion:
    """A text, and the field that it came in, such as `prompt` or `scene.captions[2]`."""

    path: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FileInQuestion:
    """An uploaded file.

    Attributes:
        data: its bytes; None where they are fetched, or where the moderator reads them from the store.
        fetch: returns its bytes. The judge calls it once the question has its turn, so that those which wait hold none.
    """

    upload_id: str
    name: str = field(repr=False)
    mime_type: str
    size_bytes: int
    data: bytes | None = field(default=None, repr=False)
    fetch: Callable[[], Awaitable[bytes]] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Question:
    """A question for a moderator: about texts that came together, or about one file.

    Attributes:
        account: whose session it is; "" where the server has no accounts.
        command: the command that brings them; "" = the session starts with them, or the file was uploaded by itself.
    """

    session: str
    account: str
    model: str
    command: str
    texts: tuple[TextInQuestion, ...] = ()
    file: FileInQuestion | None = None

    @property
    def input_kind(self) -> InputKind:
        """The kind of what is asked about, as notices to clients spell it."""
        if self.file is None:
            return "text"
        return "image" if self.file.mime_type.lower().startswith("image/") else ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A moderator's answer.

    Attributes:
        message: for the person who sent it; "" = a sentence of ours.
        categories: names for programs, such as `violence`.
        code: of the error that the sender gets with a refusal.
    """

    action: VerdictAction
    message: str = ""
    categories: tuple[str, ...] = ()
    code: str = REFUSED

    @property
    def is_judged(self) -> bool:
        """Whether a moderator gave it, and not the policy for want of an answer."""
        return self.code == REFUSED


class NoVerdictError(LivereactorError):
    """A moderator gave no verdict. The text is logged, so it holds nothing that a client wrote, and no URL."""

    code = UNANSWERED
    recoverable = True
    http_status = 503


class NotAskedError(NoVerdictError):
    """A question was too much: too many are being asked, or it is too long. Its sender could bring that about."""


class ModeratedError(ForbiddenError):
    """Content was refused; the model has not seen it."""

    code = REFUSED


class Moderator(Protocol):
    """A moderator. Loop only."""

    async def ask(self, question: Question) -> Verdict:
        """Return the verdict; raises `NoVerdictError`."""
        ...

    async def aclose(self) -> None:
        """Close what it keeps open; no question follows."""
        ...
