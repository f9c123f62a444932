"""`lr.Message`: typed data from a model to its clients. A subclass is a frozen dataclass of its annotations."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any, ClassVar, cast, dataclass_transform

from livereactor.base.errors import InvalidCommandError
from livereactor.protocol.reading import field_of
from livereactor.protocol.schema import MessageSchema
from livereactor.protocol.types import REQUIRED
from livereactor.protocol.values import to_json
from livereactor.runtime.authoring.annotations import hints_of, names_around, summary
from livereactor.runtime.interfaces import MessageOut


@dataclass_transform(frozen_default=True)
class Message:
    """Base class of the messages that a model sends.

    A subclass is a frozen dataclass. Its name in snake case is the type on the wire, and its docstring the description
    in the schema. Fields take the types of command arguments: `bool`, `int`, `float`, `str`, `Literal`, lists, dicts.

        class Grown(lr.Message):
            '''The garden has grown.'''
            cells: int

        self.send(Grown(cells=12))        # to every client
        client.send(Grown(cells=12))      # to one client
        return Grown(cells=12)            # the reply of a command
    """

    _description: ClassVar[str] = ""
    _names: ClassVar[Mapping[str, Any]] = {}  # locals around a class that a function made, for its annotations
    _schema: ClassVar[MessageSchema]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._description = summary(cls) if cls.__dict__.get("__doc__") else ""
        if "<locals>" in cls.__qualname__:
            cls._names = dict(names_around(inspect.currentframe(), "livereactor.runtime"))
        dataclasses.dataclass(frozen=True)(cls)


def wire_type(message: type[Message]) -> str:
    """The name a message class has on the wire: its own in snake case."""
    return snake_case(message.__name__)


def message_schema(message: type[Message]) -> MessageSchema:
    """Return the schema of a message class, which is read at its first use.

    Raises:
        DefinitionError: a field has a type that cannot be sent.
    """
    if "_schema" not in message.__dict__:
        message._schema = _read(message)  # pyright: ignore[reportPrivateUsage]: kept on the class, which is ours
    return message._schema  # pyright: ignore[reportPrivateUsage]


def message_out(message: Message) -> MessageOut:
    """A Message as it goes over the wire.

    Raises:
        TypeError: it is no `lr.Message`, or a field is not of its declared type.
    """
    if not isinstance(message, Message):  # pyright: ignore[reportUnnecessaryIsInstance]: authors' code is not checked
        raise TypeError(f"expected an lr.Message, got {type(message).__name__}; declare `class Name(lr.Message): …`")
    schema = message_schema(type(message))
    try:
        data = {
            each.name: to_json(getattr(message, each.name), each.type, f"{schema.title}.{each.name}")
            for each in schema.fields
        }
    except InvalidCommandError as error:  # the author's fault, not that of the client that sent a command
        raise TypeError(error.message) from error
    return MessageOut(schema.name, data)


def snake_case(name: str) -> str:
    """`BrightnessSet` → `brightness_set`, `HTTPError2` → `http_error2`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def kebab_case(name: str) -> str:
    """`PondDeluxe` → `pond-deluxe`."""
    return snake_case(name).replace("_", "-")


def _read(message: type[Message]) -> MessageSchema:
    title = message.__name__
    hints = hints_of(message, title, message._names)  # pyright: ignore[reportPrivateUsage]
    fields = tuple(
        field_of(each.name, hints[each.name], f"{title}.{each.name}", default=_default(each))
        for each in dataclasses.fields(cast("Any", message))
    )
    return MessageSchema(wire_type(message), title, fields, message._description)  # pyright: ignore[reportPrivateUsage]


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    # A factory's product differs from one Message to the next: in the schema such a field is simply there.
    return REQUIRED
