"""Commands and parameters as read from a class: their schema, and what runs when they are called. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from livereactor.base.errors import DefinitionError
from livereactor.protocol.reading import field_of
from livereactor.protocol.schema import CommandSchema
from livereactor.protocol.types import (
    REQUIRED,
    UNBOUNDED,
    DictType,
    Field,
    FileType,
    ListType,
    OptionalType,
    StructureType,
    Type,
)
from livereactor.protocol.values import to_python
from livereactor.runtime.authoring.annotations import argument_docs, hints_of, summary
from livereactor.runtime.authoring.bindings import command_binding, param_binding
from livereactor.runtime.authoring.commands import CommandMark
from livereactor.runtime.authoring.hooks import location
from livereactor.runtime.authoring.messages import Message, wire_type
from livereactor.runtime.authoring.params import Param


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command.

    Attributes:
        schema: what it takes and answers.
        reply: the Message class it answers with, None where it only acknowledges.
        handler: the method's name; where `sets_param`, the parameter's.
        takes_client: the handler wants the calling Client.
        takes_files: an argument is a file, or holds files.
    """

    schema: CommandSchema
    reply: type[Message] | None
    handler: str
    takes_client: bool = False
    sets_param: bool = False
    takes_files: bool = False


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One parameter."""

    name: str
    field: Field

    def fresh_default(self) -> Any:
        """What a Session starts with; a list is a new one each time."""
        return to_python(self.field.default, self.field.type)


def read_param(model: type, name: str, param: Param, hints: Mapping[str, Any]) -> ParamSpec:
    """What `name: type = lr.param(…)` says."""
    where = f"{model.__name__}.{name}"
    if name not in hints:
        raise DefinitionError(f"{where}: a parameter needs a type; write `{name}: float = lr.param(…)`")
    field = field_of(
        name,
        hints[name],
        where,
        default=param.default,
        bounds=param.bounds,
        description=param.description,
        moderate=param.moderate,
    )
    return ParamSpec(name, replace(field, binding=param_binding(field, param.keys, param.gamepad, where)))


def param_command(spec: ParamSpec) -> CommandSpec:
    """`set_<name>` of a parameter."""
    described = spec.field.description or f"Set {spec.name.replace('_', ' ')}."
    schema = CommandSchema(f"set_{spec.name}", (spec.field,), described)
    return CommandSpec(schema, None, spec.name, sets_param=True, takes_files=_holds_files(spec.field.type))


def read_command(
    model: type, attribute: str, function: Callable[..., Any], mark: CommandMark, names: Mapping[str, Any]
) -> CommandSpec:
    """What a decorated method says of its command."""
    where = f"{model.__name__}.{attribute}"
    hints, docs = hints_of(function, where, names), argument_docs(function)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    try:
        fields = tuple(_field(where, each, hints, docs, mark) for each in parameters if each.name != "client")
        reply, may_acknowledge = _reply(where, hints.get("return"))
        binding = command_binding(fields, mark.keys, mark.gamepad, where)
    except DefinitionError as error:
        raise DefinitionError(f"{error.message}{location(function)}") from error
    return CommandSpec(
        CommandSchema(mark.name, fields, summary(function), reply and wire_type(reply), binding, may_acknowledge),
        reply,
        attribute,
        takes_client=any(each.name == "client" for each in parameters),
        takes_files=any(_holds_files(each.type) for each in fields),
    )


def _field(
    where: str, parameter: inspect.Parameter, hints: Mapping[str, Any], docs: Mapping[str, str], mark: CommandMark
) -> Field:
    name, declared = parameter.name, mark.params.get(parameter.name)
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise DefinitionError(f"{where}.{name}: a command names its arguments; write them out, without * or /")
    if name not in hints:
        raise DefinitionError(f"{where}.{name}: an argument needs a type; write `{name}: float`")
    if declared and (declared.keys or declared.gamepad):
        raise DefinitionError(f"{where}.{name}: a key gives a command, no argument of it; write @lr.command(keys=…)")
    return field_of(
        name,
        hints[name],
        f"{where}.{name}",
        default=REQUIRED if parameter.default is parameter.empty else parameter.default,
        bounds=declared.bounds if declared else UNBOUNDED,
        description=(declared.description if declared else "") or docs.get(name, ""),
        moderate=mark.moderate or (declared is not None and declared.moderate),
    )


def _holds_files(kind: Type) -> bool:
    match kind:
        case FileType():
            return True
        case OptionalType():
            return _holds_files(kind.inner)
        case ListType():
            return _holds_files(kind.item)
        case DictType():
            return _holds_files(kind.value)
        case StructureType():
            return any(_holds_files(each.type) for each in kind.fields)
        case _:
            return False


def _reply(where: str, annotation: Any) -> tuple[type[Message] | None, bool]:
    """What a handler returns, and whether it may return None instead."""
    answers = getattr(annotation, "__args__", (annotation,))
    members = [each for each in answers if each not in (None, type(None))]
    if not members:
        return None, False
    if len(members) == 1 and isinstance(members[0], type) and issubclass(members[0], Message):
        return members[0], len(answers) > 1
    shown = getattr(annotation, "__name__", str(annotation))
    raise DefinitionError(f"{where} returns {shown}; a command returns one lr.Message class or None")
