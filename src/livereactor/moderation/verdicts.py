"""Questions as JSON, answers as verdicts, and the verdict where there is no answer. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias, cast

from livereactor.base.errors import LivereactorError, TooLargeError, UnavailableError
from livereactor.moderation.port import (
    UNANSWERED,
    UNREAD,
    ModeratedError,
    NoVerdictError,
    Question,
    Verdict,
    VerdictAction,
)
from livereactor.protocol.messages import Moderation

OnFailure: TypeAlias = Literal["open", "closed"]
MESSAGE_CHARS: Final = 500
CATEGORIES: Final = 16
CATEGORY_CHARS: Final = 64
RETRY_AFTER: Final = 5.0  # seconds
_REFUSED: Final = "this content was refused by moderation; change it"
_ENDED: Final = "this session was ended by moderation"
_LATER: Final = f"moderation does not answer now, so this was not passed on; try again in {RETRY_AFTER:g} s"
_TOO_LARGE: Final = "this file is larger than moderation looks at ([moderation] file_bytes); send a smaller one"


class Failure(StrEnum):
    """The ways in which a question gets no answer."""

    FAILED = "the moderator failed"
    TIMED_OUT = "the moderator did not answer in time"
    TOO_LARGE = "the file is over [moderation] file_bytes"
    BUSY = "too many questions wait for the moderator, or one is too long"


def without_answer(failure: Failure, on_failure: OnFailure) -> Verdict:
    """Return the verdict that the operator's policy gives in place of the moderator's.

    What the sender could bring about is refused whatever the policy is: neither a flood nor padding may open the door.
    """
    if failure is Failure.TOO_LARGE:
        return Verdict(VerdictAction.REFUSE, _TOO_LARGE, code=UNREAD)
    if on_failure == "open" and failure is not Failure.BUSY:
        return Verdict(VerdictAction.ALLOW, code=UNANSWERED)
    return Verdict(VerdictAction.REFUSE, _LATER, code=UNANSWERED)


def error_of(verdict: Verdict) -> LivereactorError | None:
    """Return the error that the sender gets; None where the model gets the content."""
    match verdict.action:
        case VerdictAction.ALLOW | VerdictAction.WARN:
            return None
        case VerdictAction.REFUSE if verdict.code == UNREAD:
            return TooLargeError(verdict.message or _TOO_LARGE, code=UNREAD)
        case VerdictAction.REFUSE if not verdict.is_judged:
            return UnavailableError(verdict.message or _LATER, code=UNANSWERED, retry_after=RETRY_AFTER)
        case VerdictAction.REFUSE:
            return ModeratedError(verdict.message or _REFUSED)
        case VerdictAction.TERMINATE:
            return ModeratedError(verdict.message or _ENDED)


def notice_of(verdict: Verdict, question: Question) -> Moderation | None:
    """Return the notice for the sender. The wire knows `warn` and `terminate` only: a refusal is a warning there."""
    if verdict.action is VerdictAction.ALLOW or not verdict.is_judged:
        return None
    ends = verdict.action is VerdictAction.TERMINATE
    text = verdict.message or (_ENDED if ends else _REFUSED if verdict.action is VerdictAction.REFUSE else "")
    return Moderation("terminate" if ends else "warn", question.input_kind, question.command, verdict.categories, text)


def question_body(question: Question) -> dict[str, Any]:
    """Return a question as moderators get it, but for the bytes of its file."""
    file = question.file
    return {
        "session_id": question.session,
        "account": question.account,
        "model": question.model,
        "command": question.command,
        "input_kind": question.input_kind,
        "texts": [{"field": each.path, "text": each.text} for each in question.texts],
        "file": None
        if file is None
        else {
            "upload_id": file.upload_id,
            "name": file.name,
            "mime_type": file.mime_type,
            "size": file.size_bytes,
        },
    }


def question_json(question: Question) -> dict[str, Any]:
    """Return a question as JSON, with the bytes of its file in base64."""
    body, file = question_body(question), question.file
    if file is not None and file.data is not None:
        body["file"]["base64"] = base64.b64encode(file.data).decode()
    return body


def read_verdict(answer: object) -> Verdict:
    """Return the verdict of an answer: an action, or an object with `action`, and maybe `message` and `categories`.

    Raises:
        NoVerdictError: the answer is none.
    """
    if isinstance(answer, str):
        return Verdict(_action(answer))
    if not isinstance(answer, Mapping):
        raise NoVerdictError(f"the moderator answered a {type(answer).__name__}; want an object with `action`")
    given = cast("Mapping[str, object]", answer)
    message, categories = given.get("message"), given.get("categories")
    if message is not None and not isinstance(message, str):
        raise NoVerdictError("the moderator answered a `message` that is no text")
    named: list[object] = cast("list[object]", categories) if isinstance(categories, list | tuple) else []
    return Verdict(
        _action(given.get("action")),
        (message or "")[:MESSAGE_CHARS],
        tuple(str(each)[:CATEGORY_CHARS] for each in named[:CATEGORIES]),
    )


def _action(given: object) -> VerdictAction:
    try:
        return VerdictAction(str(given))
    except ValueError:
        names = ", ".join(each.value for each in VerdictAction)
        raise NoVerdictError(f"the moderator answered no action that there is; want one of {names}") from None
