"""Read a model's class: tracks, commands, parameters, messages and hooks. Once, when the class is defined. Pure.

The messages of a model are the ones that its commands return, the ones that its methods name (`self.send(Tick(n=1))`),
and the ones in `messages = (…)`. List a message there if only another module builds it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final, Literal, cast

from livereactor.base.errors import DefinitionError
from livereactor.protocol.bindings import Binding
from livereactor.protocol.schema import ModelSchema, TrackSchema
from livereactor.runtime.authoring.annotations import hints_of, summary
from livereactor.runtime.authoring.bindings import check_distinct
from livereactor.runtime.authoring.commands import (
    CommandSpec,
    Param,
    ParamSpec,
    mark_of,
    param_command,
    read_command,
    read_param,
)
from livereactor.runtime.authoring.hooks import HOOKS, Hook, hooks_of, location
from livereactor.runtime.authoring.messages import Message, kebab_case, message_schema, wire_type
from livereactor.runtime.authoring.tracks import AudioIn, AudioOut, Track, VideoIn, VideoOut
from livereactor.runtime.authoring.weights import Weights
from livereactor.runtime.interfaces import OutputDeclaration

MAX_SLOTS: Final = 256  # of a Worker: what a frame of its link can name
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Definition:
    """One model class, read.

    Attributes:
        schema: all that clients see: name, version, description, tracks, commands, messages.
        folder: where its file lies; the current folder when it has none.
        declarations: its tracks as the class declares them, in order.
        params, commands, messages, hooks: by name; the commands of params come first.
        weights, run_without_viewers, idle_timeout, max_sessions, requeue: as on `Model`.
    """

    schema: ModelSchema
    folder: Path
    declarations: Mapping[str, Track]
    params: Mapping[str, ParamSpec]
    commands: Mapping[str, CommandSpec]
    messages: Mapping[str, type[Message]]
    hooks: Mapping[str, Hook]
    weights: tuple[Weights, ...]
    run_without_viewers: bool
    idle_timeout: float | None
    max_sessions: int
    requeue: bool

    @property
    def name(self) -> str:
        """The model's name for clients."""
        return self.schema.name

    @property
    def outputs(self) -> tuple[OutputDeclaration, ...]:
        """The output tracks, in order."""
        tracks = self.declarations.items()
        return tuple(_output(name, track) for name, track in tracks if isinstance(track, VideoOut | AudioOut))

    @property
    def inputs(self) -> Mapping[str, Literal["video", "audio"]]:
        """The kinds of the input tracks, by name, in order."""
        tracks = self.declarations.items()
        return {
            name: "video" if isinstance(track, VideoIn) else "audio"
            for name, track in tracks
            if isinstance(track, VideoIn | AudioIn)
        }

    @property
    def emission_fps(self) -> float | None:
        """The fps of the first video output."""
        return next((each.fps for each in self.outputs if each.kind == "video"), None)


def define(model: type, base: type, names: Mapping[str, Any]) -> Definition:
    """Read a model's class.

    Args:
        base: `Model`, whose own attributes are no part of it.
        names: the locals around the class, for annotations.

    Raises:
        DefinitionError: it cannot be served; the message names class, field, rule and fix.
    """
    tracks = _tracks(model, base)
    params = _params(model, base, names)
    commands = _commands(model, params, base, names)
    messages = _messages(model, base, commands)
    given = cast("Any", model)
    schema = ModelSchema(
        name=model.__dict__.get("name") or kebab_case(model.__name__),
        version=given.version,
        description=summary(model) if model.__dict__.get("__doc__") else "",
        tracks=tuple(_track_schema(name, track) for name, track in tracks.items()),
        commands=tuple(spec.schema for spec in commands.values()),
        messages=tuple(message_schema(each) for each in messages.values()),
    )
    return Definition(
        schema=schema,
        folder=_folder(model),
        declarations=tracks,
        params=params,
        commands=commands,
        messages=messages,
        hooks=hooks_of(model, base),
        weights=tuple(given.weights),
        run_without_viewers=bool(given.run_without_viewers),
        idle_timeout=given.idle_timeout,
        max_sessions=_max_sessions(model),
        requeue=bool(given.requeue),
    )


def definition_of(model: Any) -> Definition:
    """Return the definition of a model, given the class or an instance."""
    return model._definition


def _track_schema(name: str, track: Track) -> TrackSchema:
    kind = "video" if isinstance(track, VideoOut | VideoIn) else "audio"
    return TrackSchema(name, kind, "out" if isinstance(track, VideoOut | AudioOut) else "in")


def _output(name: str, track: VideoOut | AudioOut) -> OutputDeclaration:
    if isinstance(track, AudioOut):
        return OutputDeclaration(name, "audio", rate=track.sample_rate, channels=track.channels)
    return OutputDeclaration(name, "video", track.fps, track.width, track.height, track.pacing)


def _members(model: type, base: type) -> Iterator[tuple[str, Any]]:
    """Attributes of the class and its bases up to `base`, base first, in the order they are written."""
    classes = [each for each in reversed(model.__mro__) if each not in base.__mro__]
    merged: dict[str, Any] = {}
    for each in classes:
        merged.update(each.__dict__)
    yield from merged.items()


def _tracks(model: type, base: type) -> dict[str, Track]:
    tracks = {name: value for name, value in _members(model, base) if isinstance(value, Track)}
    for name in tracks:
        _check_name(model, name, base)
    return tracks


def _params(model: type, base: type, names: Mapping[str, Any]) -> dict[str, ParamSpec]:
    found = {name: value for name, value in _members(model, base) if isinstance(value, Param)}
    if not found:
        return {}
    hints = hints_of(model, model.__name__, names)
    for name in found:
        _check_name(model, name, base)
    return {name: read_param(model, name, param, hints) for name, param in found.items()}


def _commands(
    model: type, params: Mapping[str, ParamSpec], base: type, names: Mapping[str, Any]
) -> dict[str, CommandSpec]:
    commands = {spec.schema.name: spec for spec in map(param_command, params.values())}
    for attribute, function in _members(model, base):
        mark = mark_of(function)
        if mark is None:
            continue
        _check_name(model, attribute, base)
        if not _NAME.fullmatch(mark.name):
            raise DefinitionError(f"{model.__name__}.{attribute}: {mark.name!r} is not a command name; use snake_case")
        if attribute in HOOKS:
            raise DefinitionError(
                f"{model.__name__}.{attribute} is the name of a hook; call this command something else"
            )
        if (other := commands.get(mark.name)) is not None:
            raise DefinitionError(
                f"{model.__name__}: {other.handler} and {attribute} both define the command {mark.name!r}; "
                f"rename one{location(function)}"
            )
        commands[mark.name] = read_command(model, attribute, function, mark, names)
    check_distinct(_bindings(commands.values()), model.__name__)
    return commands


def _bindings(commands: Iterable[CommandSpec]) -> Iterator[tuple[str, Binding]]:
    for each in commands:
        binding = each.schema.fields[0].binding if each.sets_param else each.schema.binding
        if binding:
            yield each.handler, binding


def _check_name(model: type, name: str, base: type) -> None:
    if hasattr(base, name) or name in base.__annotations__:
        raise DefinitionError(f"{model.__name__}.{name}: lr.Model uses the name {name!r} itself; choose another")
    if not _NAME.fullmatch(name):
        raise DefinitionError(f"{model.__name__}.{name}: clients use this name; write it in snake_case")


def _messages(model: type, base: type, commands: Mapping[str, CommandSpec]) -> dict[str, type[Message]]:
    listed = tuple(cast("Any", model).messages)
    for each in listed:
        if not (isinstance(each, type) and issubclass(each, Message)):
            raise DefinitionError(f"{model.__name__}.messages: {each!r} is not an lr.Message class; list classes only")
    replies = [spec.reply for spec in commands.values() if spec.reply]
    functions = [value for _, value in _members(model, base) if inspect.isfunction(value)]
    named = [each for function in functions for each in _named_messages(function)]
    messages: dict[str, type[Message]] = {}
    for each in (*replies, *listed, *named):
        if messages.setdefault(wire_type(each), each) is not each:
            raise DefinitionError(f"{model.__name__}: two messages are called {wire_type(each)!r}; rename one")
    return messages


def _named_messages(function: FunctionType) -> Iterator[type[Message]]:
    """Message classes that a function's code names, through its module or its closure."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    known = {**function.__globals__}
    for name, cell in cells:
        try:
            known[name] = cell.cell_contents
        except ValueError:  # a name that the enclosing function has not bound yet
            continue
    for name in _names(function.__code__):
        value = known.get(name)
        if isinstance(value, type) and issubclass(value, Message) and value is not Message:
            yield value


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from code.co_freevars
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _max_sessions(model: type) -> int:
    value = cast("Any", model).max_sessions
    if type(value) is not int or not 1 <= value <= MAX_SLOTS:
        raise DefinitionError(
            f"{model.__name__}.max_sessions is {value!r}; write how many sessions a worker serves at once, "
            f"1 to {MAX_SLOTS}"
        )
    return value


def _folder(model: type) -> Path:
    try:
        return Path(inspect.getfile(model)).resolve().parent
    except (TypeError, OSError):
        return Path.cwd()
