"""`reactor.commands.drop(x=…)`: the model's Commands as methods, and what their arguments are on the wire."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from keyword import iskeyword
from typing import Any, Final, Generic, TypeAlias, TypeVar

import structlog

from livereactor.base.errors import InvalidCommandError, PeerError
from livereactor.client.errors import CommandRejected
from livereactor.client.model.describing import about, in_order, limits, sentence
from livereactor.client.types import FileRef
from livereactor.protocol.json_text import json_fault
from livereactor.protocol.messages import Command, UploadReference
from livereactor.protocol.openapi import from_openapi
from livereactor.protocol.schema import CommandSchema, ModelSchema, validate_arguments
from livereactor.protocol.types import Field, type_name
from livereactor.protocol.values import plain

log = structlog.get_logger(__name__)
Answer = TypeVar("Answer")
Send: TypeAlias = Callable[[str, Mapping[str, Any]], Answer]


def json_arguments(data: object) -> dict[str, Any]:
    """Arguments as JSON values: numpy scalars and arrays, Enums, dataclasses (FileRefs too) are taken apart.

    Raises:
        TypeError: `data` is no mapping with text keys, or holds what is no JSON value.
        ValueError: a number in it is not finite, or it nests too deep.
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
    mistake = TypeError if "no JSON value" in fault or "not a text" in fault else ValueError
    raise mistake(f"the command's data {fault}")


def command_of(name: str, data: Mapping[str, Any] | None) -> Command:
    """The Command to send: FileRefs at the top go beside the other arguments, nested ones stay (protocol 5.8).

    Raises:
        TypeError, ValueError: as `json_arguments`.
    """
    arguments = json_arguments(data)
    files = {key: value for key, value in (data or {}).items() if isinstance(value, FileRef)}
    uploads = {key: UploadReference(**asdict(each)) for key, each in files.items()}
    return Command(name, {key: value for key, value in arguments.items() if key not in uploads}, uploads)


def check_arguments(command: CommandSchema, data: Mapping[str, Any]) -> None:
    """The server's verdict on these arguments, given here (behaviour 7.10).

    Raises:
        CommandRejected: `invalid_command`, with the sentence that the server would answer.
        TypeError, ValueError: as `json_arguments`.
    """
    try:
        validate_arguments(command, json_arguments(data))
    except InvalidCommandError as error:
        raise CommandRejected(error.message, component="client", operation=command.name) from None


class ServerSchema:
    """The schema that the server has sent, read when it is first needed.

    Args:
        document: the newest one as it came, None before it came.
    """

    def __init__(self, document: Callable[[], Mapping[str, Any] | None]) -> None:
        self._document = document
        self._read: tuple[Mapping[str, Any] | None, ModelSchema | None] = (None, None)

    def get(self) -> ModelSchema | None:
        """The schema; None where none came, or one that cannot be read."""
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

    What they are comes from the schema: `dir()` lists them, `help()` describes them, and arguments are checked before
    they are sent, with the server's own verdict. Before the schema came, all is sent as it is and the server decides.
    A name that is no attribute is taken as an item: `reactor.commands["set-sky"]`.
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
    """One Command, to be called with its arguments by name; `command` is its schema, None while that is not known.

    Raises (when called):
        CommandRejected: the schema refuses the arguments; nothing was sent.
        TypeError: an argument that is given by its place, or is no JSON.
        ValueError: a number is not finite.
        Whatever `send_command` raises.
    """

    def __init__(self, name: str, command: CommandSchema | None, send: Send[Answer]) -> None:
        self.command, self._send = command, send
        self.__name__ = self.__qualname__ = name
        self.__doc__ = None if command is None else command_doc(command)
        self.__signature__ = None if command is None else signature(command)

    def __call__(self, /, *values: Any, **arguments: Any) -> Answer:
        if values:  # which one it is for only the schema knows, and that may still be on its way
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
    """As `help()` shows it; arguments whose names Python cannot write are left out."""
    written = [each for each in in_order(command) if each.name.isidentifier() and not iskeyword(each.name)]
    return inspect.Signature([_parameter(each) for each in written])


def _parameter(field: Field) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.is_required else field.default
    named = type_name(field.type)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, kind, default=default, annotation=_PYTHON.get(named, named))


def command_doc(command: CommandSchema) -> str:
    """What the schema says of a Command, as a docstring."""
    lines = [sentence(command.description) or f"The Command `{command.name}`."]
    told = [f"    {each.name}: {about(each)}" for each in in_order(command) if each.description or limits(each.type)]
    if told:
        lines += ["", "Args:", *told]
    if command.reply is not None:
        otherwise = ", or only acknowledges" if command.may_acknowledge else ""
        lines += ["", f"Answers with the Message `{command.reply}`{otherwise}."]
    return "\n".join(lines)
