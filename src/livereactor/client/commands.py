"""`reactor.commands.drop(x=…)`: the model's Commands as methods, their arguments on the wire, and their docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from keyword import iskeyword
from typing import Any, Final, Generic, TypeAlias, TypeVar

import structlog

from livereactor.base.errors import InvalidCommandError, PeerError
from livereactor.client.errors import CommandRejected
from livereactor.client.types import FileRef
from livereactor.protocol import types
from livereactor.protocol.json_text import WrongTypeFault, json_fault
from livereactor.protocol.messages import Command, UploadReference
from livereactor.protocol.openapi import from_openapi
from livereactor.protocol.schema import CommandSchema, ModelSchema, validate_arguments
from livereactor.protocol.values import plain

log = structlog.get_logger(__name__)
Answer = TypeVar("Answer")
Send: TypeAlias = Callable[[str, Mapping[str, Any]], Answer]


def json_arguments(data: object) -> dict[str, Any]:
    """Return arguments as JSON values; numpy scalars and arrays, Enums and dataclasses (FileRefs too) are converted.

    Raises:
        TypeError: `data` is not a mapping with text keys, or holds a value that JSON does not have.
        ValueError: a number is not finite, or the data nests too deep.
    """
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise TypeError(f"a command's data is a mapping of its arguments, not {type(data).__name__}")
    try:
        arguments: dict[str, Any] = plain(data)
    except RecursionError:
        raise ValueError("the command's data nests without an end") from None
    fault = json_fault(arguments)
    if fault is None:
        return arguments
    raise (TypeError if isinstance(fault, WrongTypeFault) else ValueError)(f"the command's data {fault}")


def command_of(name: str, data: Mapping[str, Any] | None) -> Command:
    """Return the Command to send: top-level FileRefs are sent apart from the other arguments, nested ones among them.

    Raises:
        TypeError, ValueError: as in `json_arguments`.
    """
    arguments = json_arguments(data)
    files = {key: value for key, value in (data or {}).items() if isinstance(value, FileRef)}
    uploads = {key: UploadReference(**asdict(each)) for key, each in files.items()}
    return Command(name, {key: value for key, value in arguments.items() if key not in uploads}, uploads)


def check_arguments(command: CommandSchema, data: Mapping[str, Any]) -> None:
    """Check arguments with the server's rules, before they are sent.

    Raises:
        CommandRejected: `invalid_command`, with the sentence that the server would answer.
        TypeError, ValueError: as in `json_arguments`.
    """
    try:
        validate_arguments(command, json_arguments(data))
    except InvalidCommandError as error:
        raise CommandRejected(error.message, component="client", operation=command.name) from None


class ServerSchema:
    """The schema that the server has sent, read when it is first needed.

    Args:
        document: returns the newest document, or None before one has arrived.
    """

    def __init__(self, document: Callable[[], Mapping[str, Any] | None]) -> None:
        self._document = document
        self._read: tuple[Mapping[str, Any] | None, ModelSchema | None] = (None, None)

    def get(self) -> ModelSchema | None:
        """Return the schema; None if none has arrived, or it cannot be read."""
        document = self._document()
        if document is not self._read[0]:
            self._read = (document, None if document is None else _schema_in(document))
        return self._read[1]


def _schema_in(document: Mapping[str, Any]) -> ModelSchema | None:
    try:
        return from_openapi(document)
    except PeerError as error:
        log.warning("the server's schema cannot be read, so commands are not checked here", reason=error.message)
        return None


class Commands(Generic[Answer]):
    """The model's Commands: `await reactor.commands.drop(x=0.5, y=0.5)`.

    The schema defines them: `dir()` lists them, `help()` describes them, and arguments are checked with the server's
    rules before they are sent. Until the schema has arrived, everything is sent and the server decides.
    Use an item for a name that cannot be an attribute: `reactor.commands["set-sky"]`.
    """

    def __init__(self, send: Send[Answer], schema: Callable[[], ModelSchema | None]) -> None:
        self._send, self._schema = send, schema
        self._calls: dict[str, CommandCall[Answer]] = {}

    def __getattr__(self, name: str) -> CommandCall[Answer]:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __getitem__(self, name: str) -> CommandCall[Answer]:
        schema = self._schema()
        try:
            command = None if schema is None else schema.command(name)
        except InvalidCommandError as error:
            raise KeyError(error.message) from None
        call = self._calls.get(name)
        if call is None or call.command is not command:
            call = self._calls[name] = CommandCall(name, command, self._send)
        return call

    def __iter__(self) -> Iterator[str]:
        schema = self._schema()
        return iter([each.name for each in schema.commands] if schema else [])

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __dir__(self) -> list[str]:
        return [name for name in self if name.isidentifier()]


class CommandCall(Generic[Answer]):
    """One Command, called with its arguments by name; `command` is its schema, None while it is unknown.

    Raises (when called):
        CommandRejected: the schema refuses the arguments; nothing was sent.
        TypeError: an argument is given by position, or is not JSON.
        ValueError: a number is not finite.
        ReactorError: as in `send_command`.
    """

    def __init__(self, name: str, command: CommandSchema | None, send: Send[Answer]) -> None:
        self.command, self._send = command, send
        self.__name__ = self.__qualname__ = name
        self.__doc__ = None if command is None else command_doc(command)
        self.__signature__ = None if command is None else signature(command)

    def __call__(self, /, *values: Any, **arguments: Any) -> Answer:
        if values:  # only the schema knows their order, and it may not have arrived
            raise TypeError(f"{self.__name__} takes its arguments by name: {self.__name__}(x=…)")
        if self.command is not None:
            check_arguments(self.command, arguments)
        return self._send(self.__name__, arguments)

    def __repr__(self) -> str:
        return f"<command {self.__name__}{self.__signature__ or ''}>"


_PYTHON: Final[Mapping[str, Any]] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "list": list,
    "object": dict,
    "an upload reference": FileRef,
}


def signature(command: CommandSchema) -> inspect.Signature:
    """Return the signature that `help()` shows; arguments whose names Python cannot write are left out."""
    written = [each for each in in_order(command) if each.name.isidentifier() and not iskeyword(each.name)]
    return inspect.Signature([_parameter(each) for each in written])


def _parameter(field: types.Field) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.is_required else field.default
    named = types.type_name(field.type)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, kind, default=default, annotation=_PYTHON.get(named, named))


def command_doc(command: CommandSchema) -> str:
    """Return a Command's docstring, written from the schema."""
    lines = [sentence(command.description) or f"The command `{command.name}`."]
    told = [f"    {each.name}: {about(each)}" for each in in_order(command) if each.description or limits(each.type)]
    if told:
        lines += ["", "Args:", *told]
    if command.reply is not None:
        otherwise = ", or only acknowledges" if command.may_acknowledge else ""
        lines += ["", f"Replies with the message `{command.reply}`{otherwise}."]
    return "\n".join(lines)


def leading(command: CommandSchema) -> str | None:
    """Return the argument that may be given by position: the only required one, or the only one.

    With two of them, a model that swapped their order would silently get one for the other.
    """
    required = [each.name for each in command.fields if each.is_required]
    candidates = required or [each.name for each in command.fields]
    return candidates[0] if len(candidates) == 1 else None


def in_order(command: CommandSchema) -> tuple[types.Field, ...]:
    """Return the arguments in the order of a call: the leading one, the required ones, those with a default."""
    first = leading(command)
    return tuple(sorted(command.fields, key=lambda each: (each.name != first, not each.is_required)))


def about(field: types.Field, *, typed: bool = False) -> str:
    """Return an argument's description and limits, as sentences; empty if it has neither.

    Args:
        typed: leave a choice's values out, as the annotation lists them.
    """
    return " ".join(filter(None, (sentence(field.description), sentence(limits(field.type, typed=typed)))))


def sentence(text: str) -> str:
    """Return a text on one line, with an upper-case start and a full stop; empty stays empty."""
    line = one_line(text)
    return line and line[0].upper() + line[1:] + ("" if line[-1] in ".!?…:)" else ".")


def one_line(text: str) -> str:
    """Return a text without line breaks and invisible characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def limits(kind: types.Type, *, typed: bool = False) -> str:
    """Return the limits of a value beyond its Python type: `0 to 1`, `at most 8 characters`; empty if it has none."""
    match kind:
        case types.OptionalType():
            return limits(kind.inner, typed=typed)
        case types.IntType() | types.FloatType():
            return _range(kind.bounds)
        case types.StrType():
            return _length(kind.bounds, "character")
        case types.ListType():
            return _with_each(_length(kind.bounds, "item"), limits(kind.item, typed=typed))
        case types.DictType():
            return _with_each(_length(kind.bounds, "entry"), limits(kind.value, typed=typed))
        case types.ChoiceType() if not typed or any(isinstance(each, float) for each in kind.values):
            return f"one of {', '.join(map(repr, kind.values))}"
        case _:
            return ""


def _with_each(text: str, each: str) -> str:
    return ", ".join(filter(None, (text, f"each {each}" if each else "")))


def _range(bounds: types.Bounds) -> str:
    if bounds.ge is not None and bounds.le is not None and bounds.gt is None and bounds.lt is None:
        parts = [f"{bounds.ge} to {bounds.le}"]
    else:
        words = {"at least": bounds.ge, "above": bounds.gt, "at most": bounds.le, "below": bounds.lt}
        parts = [f"{word} {value}" for word, value in words.items() if value is not None]
    if bounds.multiple_of is not None:
        parts.append(f"a multiple of {bounds.multiple_of}")
    return " and ".join(parts)


def _length(bounds: types.Bounds, unit: str) -> str:
    low, high = bounds.min_length, bounds.max_length
    units = f"{unit}s" if unit != "entry" else "entries"
    if low is not None and high is not None:
        return f"{low} to {high} {units}" if low != high else f"{low} {unit if low == 1 else units}"
    if low is not None:
        return f"at least {low} {unit if low == 1 else units}"
    return "" if high is None else f"at most {high} {unit if high == 1 else units}"
