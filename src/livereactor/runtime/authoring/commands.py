"""`@lr.command`: a method that clients may call. Its name, signature and docstring are its schema."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar, cast, overload

from livereactor.base.errors import DefinitionError
from livereactor.protocol.reading import field_of
from livereactor.protocol.schema import CommandSchema
from livereactor.protocol.types import REQUIRED, UNBOUNDED, Bounds, Field
from livereactor.protocol.values import to_python
from livereactor.runtime.authoring.annotations import argument_docs, hints_of, summary
from livereactor.runtime.authoring.bindings import Keys, command_binding, param_binding
from livereactor.runtime.authoring.hooks import location
from livereactor.runtime.authoring.messages import Message, wire_type

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Param:
    """The arguments of `lr.param`. The class holds a `Param`, each instance the plain value."""

    default: Any
    bounds: Bounds
    description: str
    moderate: bool
    keys: Keys
    gamepad: str | None


def param(
    default: Value,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    multiple_of: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    description: str = "",
    moderate: bool = False,
    keys: str | tuple[str, str] | None = None,
    gamepad: str | None = None,
) -> Value:
    """Declare a parameter: clients set it by the command `set_<name>`, the model reads it as `self.<name>`.

        speed: float = lr.param(1.0, ge=0, le=4, description="How fast the scene moves.", keys=("s", "w"))

    It is also the default of a command's argument, to give that argument bounds or a description.

    Args:
        default: the value at the start of every Session, within the bounds. Write the default of a list as a tuple.
        ge, gt, le, lt, multiple_of: bounds of a number.
        min_length, max_length: bounds of the length of a text or list.
        description: the text next to its control on the page, and in the schema.
        moderate: marks free content that a deployment may check.
        keys: keys that push the parameter while they are held on the page; released, it returns to its default. A
            number takes two keys, for down and up, and needs both `ge` and `le`; a bool takes one key and the default
            False. Names are those of `KeyboardEvent.key` in lower case: "w", "arrowup", "space", "shift".
        gamepad: the same for a gamepad. For a number: "left_x", "left_y", "right_x", "right_y" (right and up are
            positive), "left_trigger" or "right_trigger". For a bool a button: "a", "b", "x", "y", "left_bumper",
            "right_bumper", "left_trigger", "right_trigger", "up", "down", "left", "right", "start", "select".

    Raises:
        DefinitionError: when the class is defined: the type cannot be sent, the default breaks a bound, or the keys do
            not fit the type.
    """
    bounds = Bounds(ge, gt, le, lt, multiple_of, min_length, max_length)
    # The class holds the declaration and every instance the plain value, so this is the type its readers see.
    return cast("Value", Param(default, bounds, description, moderate, keys, gamepad))


Handler = TypeVar("Handler", bound=Callable[..., Any])
_MARK = "__livereactor_command__"


@dataclass(frozen=True, slots=True)
class CommandMark:
    """The mark that the decorator leaves on a function: its own arguments, and the `lr.param` of the function's."""

    name: str
    moderate: bool
    keys: str | None
    gamepad: str | None
    params: dict[str, Param] = field(default_factory=dict[str, Param])


class Decorator(Protocol):
    """The decorator that `@lr.command(…)` returns."""

    def __call__(self, handler: Handler, /) -> Handler: ...


@overload
def command(handler: Handler, /) -> Handler: ...
@overload
def command(
    *, name: str | None = None, moderate: bool = False, keys: str | None = None, gamepad: str | None = None
) -> Decorator: ...
def command(
    handler: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    moderate: bool = False,
    keys: str | None = None,
    gamepad: str | None = None,
) -> Any:
    """Make a method a command that clients can call.

        @lr.command(keys="space")
        def drop(self, x: float = lr.param(0.5, ge=0, le=1)) -> Dropped:
            '''Let a drop fall.'''

    The method's name, annotations and docstring are the command's schema. An argument named `client` receives the
    calling `lr.Client`. Return an `lr.Message` to reply, or None to acknowledge. Raise `lr.CommandError(code, message)`
    to refuse. Commands run on the model's thread, between two steps.

    Args:
        name: the name on the wire, if it is not the method's; snake_case.
        moderate: marks all arguments as free content that a deployment may check.
        keys: a key that gives the command on the page, without arguments; named as in `lr.param`.
        gamepad: a gamepad button that does the same.

    Raises:
        DefinitionError: when the class is defined: an argument has no type or one that cannot be sent, or a key is
            bound to a command whose arguments have no defaults.
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        params = _unwrap_defaults(function)
        setattr(function, _MARK, CommandMark(name or function.__name__, moderate, keys, gamepad, params))
        return function

    return mark if handler is None else mark(handler)


def mark_of(value: object) -> CommandMark | None:
    """Return the mark of a decorated function; None for anything else."""
    mark = getattr(value, _MARK, None) if inspect.isfunction(value) else None
    return mark if isinstance(mark, CommandMark) else None


def _unwrap_defaults(function: Callable[..., Any]) -> dict[str, Param]:
    """Replace `lr.param(…)` defaults by their plain values, so that the model can call its own handlers too."""
    if not inspect.isfunction(function):
        return {}
    parameters = inspect.signature(function).parameters
    found = {name: each.default for name, each in parameters.items() if isinstance(each.default, Param)}
    if found:
        plain = (_plain(value) for value in function.__defaults__ or ())
        function.__defaults__ = tuple(plain) or None
        function.__kwdefaults__ = {name: _plain(value) for name, value in (function.__kwdefaults__ or {}).items()}
    return found


def _plain(value: Any) -> Any:
    return value.default if isinstance(value, Param) else value


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command.

    Attributes:
        schema: what it takes and answers.
        reply: the Message class it answers with, None where it only acknowledges.
        handler: the method's name; where `sets_param`, the parameter's.
        takes_client: the handler wants the calling Client.
    """

    schema: CommandSchema
    reply: type[Message] | None
    handler: str
    takes_client: bool = False
    sets_param: bool = False


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One parameter."""

    name: str
    field: Field

    def fresh_default(self) -> Any:
        """Return the value that a Session starts with. A list is a new one each time."""
        return to_python(self.field.default, self.field.type)


def read_param(model: type, name: str, param: Param, hints: Mapping[str, Any]) -> ParamSpec:
    """Read a declaration `name: type = lr.param(…)`."""
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
    return CommandSpec(schema, None, spec.name, sets_param=True)


def read_command(
    model: type, attribute: str, function: Callable[..., Any], mark: CommandMark, names: Mapping[str, Any]
) -> CommandSpec:
    """Read a command from its decorated method: name, arguments, description and reply."""
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
        raise DefinitionError(f"{where}.{name}: a key triggers a command, not an argument; write @lr.command(keys=…)")
    return field_of(
        name,
        hints[name],
        f"{where}.{name}",
        default=REQUIRED if parameter.default is parameter.empty else parameter.default,
        bounds=declared.bounds if declared else UNBOUNDED,
        description=(declared.description if declared else "") or docs.get(name, ""),
        moderate=mark.moderate or (declared is not None and declared.moderate),
    )


def _reply(where: str, annotation: Any) -> tuple[type[Message] | None, bool]:
    """Return the Message class that a handler returns, and whether it may return None instead."""
    answers = getattr(annotation, "__args__", (annotation,))
    members = [each for each in answers if each not in (None, type(None))]
    if not members:
        return None, False
    if len(members) == 1 and isinstance(members[0], type) and issubclass(members[0], Message):
        return members[0], len(answers) > 1
    shown = getattr(annotation, "__name__", str(annotation))
    raise DefinitionError(f"{where} returns {shown}; a command returns one lr.Message class or None")
