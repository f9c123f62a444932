"""A model's contract: its tracks, commands and messages (docs/protocol.md); `openapi` writes and reads it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from livereactor.base.errors import InvalidCommandError
from livereactor.protocol.bindings import Binding
from livereactor.protocol.json_text import shown
from livereactor.protocol.messages import UploadReference
from livereactor.protocol.types import (
    AnyType,
    Bounds,
    ChoiceType,
    DictType,
    Field,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    StrType,
    StructureType,
    Type,
    holds_file,
    type_name,
)
from livereactor.protocol.validation import check_fields
from livereactor.protocol.values import to_python, upload_ids, with_files


def narrowed(old: Field, new: Field, path: str) -> Iterator[str]:
    """A sentence for each way in which `new` refuses what `old` took."""
    if new.is_required and not old.is_required:
        yield f"{path} is now required"
    yield from _narrowed_type(old.type, new.type, path)


def _narrowed_type(old: Type, new: Type, path: str) -> Iterator[str]:
    match old, new:
        case _, AnyType():
            return
        case OptionalType(), OptionalType():
            yield from _narrowed_type(old.inner, new.inner, path)
        case OptionalType(), _:
            yield f"{path} no longer takes null"
            yield from _narrowed_type(old.inner, new, path)
        case _, OptionalType():
            yield from _narrowed_type(old, new.inner, path)
        case (IntType(), IntType() | FloatType()) | (FloatType(), FloatType()) | (StrType(), StrType()):
            yield from _narrowed_bounds(old.bounds, new.bounds, path)
        case ListType(), ListType():
            yield from _narrowed_bounds(old.bounds, new.bounds, path)
            yield from _narrowed_type(old.item, new.item, f"{path}[]")
        case DictType(), DictType():
            yield from _narrowed_bounds(old.bounds, new.bounds, path)
            yield from _narrowed_type(old.value, new.value, f"{path}.*")
        case ChoiceType(), ChoiceType():
            gone = [value for value in old.values if value not in new.values]
            if gone:
                yield f"{path} no longer takes {', '.join(map(repr, gone))}"
        case ChoiceType(), StrType() if all(isinstance(value, str) for value in old.values):
            return
        case StructureType(), StructureType():
            yield from _narrowed_fields(old.fields, new.fields, path)
        case _ if type(old) is type(new):
            return
        case _:
            yield f"{path} was {type_name(old)} and is {type_name(new)}"


def _narrowed_fields(old: Sequence[Field], new: Sequence[Field], path: str) -> Iterator[str]:
    now = {each.name: each for each in new}
    before = {each.name for each in old}
    for each in old:
        if each.name in now:
            yield from narrowed(each, now[each.name], f"{path}.{each.name}")
        else:
            yield f"{path}.{each.name} is gone"
    for each in new:
        if each.is_required and each.name not in before:
            yield f"{path}.{each.name} is new and required"


def _narrowed_bounds(old: Bounds, new: Bounds, path: str) -> Iterator[str]:
    for name, rises in _RISING.items():
        before: float | None = getattr(old, name)
        now: float | None = getattr(new, name)
        if now is None or before == now:
            continue
        if before is None or (now > before if rises else now < before):
            yield f"{path} has {name}={now} now, {'no such bound' if before is None else before} before"
    if new.multiple_of is not None and new.multiple_of != old.multiple_of:
        yield f"{path} has multiple_of={new.multiple_of} now"


# Bound -> whether it narrows as it rises. `ge` turned into `gt` shows as a new bound, which it is.
_RISING = {"ge": True, "gt": True, "le": False, "lt": False, "min_length": True, "max_length": False}


@dataclass(frozen=True, slots=True)
class TrackSchema:
    """One track, its direction as seen by the model: `out` is what clients receive."""

    name: str
    kind: Literal["video", "audio"]
    direction: Literal["out", "in"]


@dataclass(frozen=True, slots=True)
class MessageSchema:
    """A message: `name` is its wire type (`brightness_set`), `title` its class's name (`BrightnessSet`)."""

    name: str
    title: str
    fields: tuple[Field, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class CommandSchema:
    """A command.

    Attributes:
        reply: the wire type of the message it may answer with, None where it only acknowledges.
        binding: key and gamepad button that a page gives it by, without arguments.
        may_acknowledge: it has a reply, and may leave it at an acknowledgement.
        takes_files: an argument may hold an upload reference.
    """

    name: str
    fields: tuple[Field, ...] = ()
    description: str = ""
    reply: str | None = None
    binding: Binding | None = None
    may_acknowledge: bool = False
    takes_files: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes_files", any(holds_file(each.type) for each in self.fields))


@dataclass(frozen=True, slots=True)
class ModelSchema:
    """The whole contract of one model. Names are unique within each of the three lists."""

    name: str
    version: str = "v0.0.0"
    description: str = ""
    tracks: tuple[TrackSchema, ...] = ()
    commands: tuple[CommandSchema, ...] = ()
    messages: tuple[MessageSchema, ...] = ()
    _by_name: dict[str, CommandSchema] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {command.name: command for command in self.commands})

    def command(self, name: str) -> CommandSchema:
        """The command of this name; `InvalidCommandError` when there is none."""
        command = self._by_name.get(name)
        if command is None:
            # difflib is quadratic in the length of a name, and the name comes from the other side.
            close = difflib.get_close_matches(name, self._by_name, n=1) if len(name) <= 64 else []
            advice = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self._by_name) or 'none'}"
            raise InvalidCommandError(f"no command named {shown(name)}; {advice}")
        return command


def validate_arguments(
    command: CommandSchema, arguments: Mapping[str, Any], uploads: Mapping[str, UploadReference] | None = None
) -> dict[str, Any]:
    """The arguments as checked JSON values, defaults filled in.

    Args:
        uploads: file arguments that came in addition to the others, by argument name.

    Raises:
        InvalidCommandError: one of them breaks the contract; the sentence names it and the rule.
    """
    given = dict(arguments)
    for name, file in (uploads or {}).items():
        given[name] = asdict(file)
    return check_fields(given, command.fields, command.name)


def argument_uploads(command: CommandSchema, arguments: Mapping[str, Any]) -> Iterator[str]:
    """The upload ids in checked arguments, at any depth."""
    for each in command.fields if command.takes_files else ():
        yield from upload_ids(arguments[each.name], each.type)


def arguments_with_files(
    command: CommandSchema, arguments: Mapping[str, Any], files: Mapping[str, Any]
) -> dict[str, Any]:
    """Checked arguments with every upload reference replaced by its file; `files` by upload id, all of them there."""
    return {each.name: with_files(arguments[each.name], each.type, files.__getitem__) for each in command.fields}


def python_arguments(command: CommandSchema, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Checked arguments (files replaced or not) as the handler's annotations say."""
    return {each.name: to_python(arguments[each.name], each.type) for each in command.fields}


# --- comparing two contracts -------------------------------------------------------------------------------------


def breaking_changes(old: ModelSchema, new: ModelSchema) -> list[str]:
    """List what of `new` would break a client written for `old`, a sentence each; empty when nothing would."""
    changes = [*_changed_tracks(old, new)]
    new_commands = {command.name: command for command in new.commands}
    for command in old.commands:
        if command.name in new_commands:
            changes += _changed_command(command, new_commands[command.name])
        else:
            changes.append(f"command {command.name!r} is gone")
    new_messages = {message.name: message for message in new.messages}
    for message in old.messages:
        if message.name in new_messages:
            changes += _changed_message(message, new_messages[message.name])
        else:
            changes.append(f"message {message.name!r} is gone")
    return changes


def _changed_tracks(old: ModelSchema, new: ModelSchema) -> Iterator[str]:
    new_tracks = {track.name: track for track in new.tracks}
    for track in old.tracks:
        now = new_tracks.get(track.name)
        if now is None:
            yield f"track {track.name!r} is gone"
        elif now != track:
            yield f"track {track.name!r} was {track.kind} {track.direction} and is {now.kind} {now.direction}"


def _changed_command(old: CommandSchema, new: CommandSchema) -> Iterator[str]:
    yield from _narrowed_fields(old.fields, new.fields, old.name)
    if old.reply is not None and old.reply != new.reply:
        now = "no longer replies" if new.reply is None else f"replies with {new.reply!r}"
        yield f"{old.name} replied with {old.reply!r} and {now}"
    elif new.may_acknowledge and not old.may_acknowledge and old.reply is not None:
        yield f"{old.name} always replied with {old.reply!r} and may only acknowledge now"


def _changed_message(old: MessageSchema, new: MessageSchema) -> Iterator[str]:
    sent = {each.name: each for each in new.fields}
    for each in old.fields:
        if each.name not in sent:
            yield f"{old.name}.{each.name} is gone"
        # A message travels the other way: what the new model may send, the old client must be able to take.
        elif widened := [*narrowed(sent[each.name], each, f"{old.name}.{each.name}")]:
            yield f"{old.name}.{each.name} may now hold new values ({widened[0]})"
