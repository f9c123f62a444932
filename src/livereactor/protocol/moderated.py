"""The parts of commands and of a session's start that a moderator is asked about, and how a worker asks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

from pydantic import Field as BodyField

from livereactor.protocol.http import Body, StartSession
from livereactor.protocol.schema import CommandSchema, ModelSchema
from livereactor.protocol.types import (
    AnyType,
    DictType,
    Field,
    FileType,
    ListType,
    OptionalType,
    StrType,
    StructureType,
    Type,
)

ROUTE: Final = "/internal/sessions/{sid}/moderation"
ROUTE_END: Final = "/moderation"
KEY_CHARS: Final = 64  # of a key in the path of a field
PATH_CHARS: Final = 256  # of such a path: each of ten thousand texts has one
MOST_TEXTS: Final = 1_000  # of a question; the last one holds what is left, a line each
Texts: TypeAlias = tuple[tuple[str, str], ...]  # (field, text)


@dataclass(frozen=True, slots=True)
class Content:
    """Free content of one command: its texts by field, and the ids of its uploads."""

    command: str
    texts: Texts
    uploads: tuple[str, ...]


class QuestionText(Body):
    """One text, and the field that it came in."""

    field: str
    text: str


class QuestionBody(Body):
    """Body of `POST /internal/sessions/{sid}/moderation`: texts of a command, or one upload."""

    command: str = BodyField(default="", max_length=256)
    texts: list[QuestionText] = BodyField(default_factory=list[QuestionText], max_length=MOST_TEXTS)
    upload_id: str | None = BodyField(default=None, min_length=1, max_length=128)


class JudgedBody(Body):
    """Answer of it."""

    action: Literal["allow", "warn", "refuse", "terminate"]
    message: str = ""
    categories: list[str] = BodyField(default_factory=list[str])
    code: str = ""


def content_of(command: CommandSchema, arguments: Mapping[str, Any], *, everything: bool) -> Content | None:
    """Return the free content of checked arguments; None where there is none.

    Args:
        everything: count every text and file; else those marked `moderate`.
    """
    texts: list[tuple[str, str]] = []
    uploads: list[str] = []
    for each in command.fields:
        _collect(arguments[each.name], each.type, each.name, everything or each.moderate, texts, uploads)
    if not texts and not uploads:
        return None
    return Content(command.name, _bounded(texts), tuple(dict.fromkeys(uploads)))


def has_marks(schema: ModelSchema) -> bool:
    """Return whether any argument of a command is marked `moderate`."""
    return any(_is_marked(each) for command in schema.commands for each in command.fields)


def _is_marked(field: Field) -> bool:
    return field.moderate or _holds_marks(field.type)


def _holds_marks(kind: Type) -> bool:
    if isinstance(kind, StructureType):
        return any(_is_marked(each) for each in kind.fields)
    return any(_holds_marks(each) for each in kind.parts)


def texts_of_start(body: StartSession) -> Texts:
    """Return every text that a session would start with: its arguments carry no marks."""
    texts = list(_strings(body.arguments, "extra_args"))
    if (starting := body.starting_input) is not None:
        texts += _strings(starting.state, "starting_input.state")
        for index, command in enumerate(starting.commands):
            texts += _strings(command.data, f"starting_input.commands[{index}].{command.command[:KEY_CHARS]}")
    return _bounded(texts)


def _bounded(texts: list[tuple[str, str]]) -> Texts:
    if len(texts) <= MOST_TEXTS:
        return tuple(texts)
    kept, left = texts[: MOST_TEXTS - 1], texts[MOST_TEXTS - 1 :]
    return (*kept, (left[0][0], "\n".join(text for _, text in left)))


def _collect(
    value: Any, kind: Type, path: str, is_asked: bool, texts: list[tuple[str, str]], uploads: list[str]
) -> None:
    if value is None:
        return
    match kind:
        case StrType() if is_asked and value:
            texts.append((path, value))
        case FileType() if is_asked:
            uploads.append(value["upload_id"])
        case AnyType() if is_asked:
            texts += _strings(value, path)
        case OptionalType():
            _collect(value, kind.inner, path, is_asked, texts, uploads)
        case ListType():
            for index, item in enumerate(value):
                _collect(item, kind.item, f"{path}[{index}]"[:PATH_CHARS], is_asked, texts, uploads)
        case DictType():
            for name, item in value.items():
                if is_asked:
                    texts += _key(name, path)
                _collect(item, kind.value, f"{path}.{name[:KEY_CHARS]}"[:PATH_CHARS], is_asked, texts, uploads)
        case StructureType():
            for each in kind.fields:
                _collect(
                    value[each.name],
                    each.type,
                    f"{path}.{each.name}"[:PATH_CHARS],
                    is_asked or each.moderate,
                    texts,
                    uploads,
                )
        case _:  # numbers and choices: the model's author wrote what they may be
            pass


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if value:
            yield path, value
    elif isinstance(value, Mapping):
        for name, item in cast("Mapping[str, Any]", value).items():
            yield from _key(name, path)
            yield from _strings(item, f"{path}.{name[:KEY_CHARS]}"[:PATH_CHARS])
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _strings(item, f"{path}[{index}]"[:PATH_CHARS])


def _key(name: str, path: str) -> Iterator[tuple[str, str]]:
    """Yield a key that is more than a name: a client chooses keys too."""
    if not name.isidentifier() or len(name) > KEY_CHARS:
        yield f"{path} (key)", name
