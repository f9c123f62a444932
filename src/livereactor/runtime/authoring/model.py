"""What models are written with: `lr.Model`. Its subclasses are read when they are defined (`definition.py`)."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, ClassVar, Self

import structlog

from livereactor.base.errors import UsageError
from livereactor.runtime.authoring.annotations import names_around
from livereactor.runtime.authoring.definition import Definition, define, definition_of
from livereactor.runtime.authoring.host import ModelHost, NoHost
from livereactor.runtime.authoring.messages import Message, message_out
from livereactor.runtime.authoring.tracks import Track
from livereactor.runtime.authoring.weights import Weights, weights_file

_HOST = "_livereactor_host"


class Model:
    """Base of a model: declare tracks, parameters and commands, and write `stream`.

    Hooks, all optional, each sync or async, all on the model's own thread, never during a step:
    `load(self)` or `load(self, config)` and `warmup(self)` once per worker; `open(self, session)` and
    `close(self, session)` once per Session; `joined(self, client)`, `left(self, client)`, `uploaded(self, file)`.

    Each Session finds every attribute as `load` and `warmup` left it, and every parameter at its default. An object
    that they made and a Session changed in place stays changed; reset it in `open`.

    `stream(self)` is a generator, sync or async. Each `yield` is one step: a frame, a chunk of frames,
    `{track: frame}`, or None.

    Attributes:
        name: the model's name for clients; the class's name in kebab case by default.
        version: shown in the schema.
        messages: Message classes that no method names as its reply, for the schema.
        weights: files fetched and checked before `load`.
        run_without_viewers: steps run although nobody receives an output.
        idle_timeout: seconds without a command that end a Session; None = never.
        max_sessions: how many Sessions a worker of a coordinator serves at once, each with an instance of its own;
            what they share (weights) is an attribute of the class or comes from a cached function. They load one
            after another. `livereactor run` serves one, whatever this says.
        requeue: Sessions of a lost worker start again on another one, even if a client has seen frames.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "v0.0.0"
    messages: ClassVar[tuple[type[Message], ...]] = ()
    weights: ClassVar[list[Weights]] = []
    run_without_viewers: ClassVar[bool] = False
    idle_timeout: ClassVar[float | None] = None
    max_sessions: ClassVar[int] = 1
    requeue: ClassVar[bool] = False

    _definition: ClassVar[Definition]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._definition = define(cls, Model, names_around(inspect.currentframe(), "livereactor.runtime"))

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if cls is Model:
            raise UsageError("lr.Model is a base; write a class that inherits from it")
        model = super().__new__(cls)
        _attach(model, NoHost())
        return model

    @property
    def log(self) -> Any:
        """A structlog logger whose records carry the Session's id: `self.log.info("grown", cells=12)`."""
        return structlog.get_logger("livereactor.model").bind(model=self._definition.name)

    def send(self, message: Message) -> None:
        """Send a Message to every client of the Session. From any thread; nothing without a Session."""
        host_of(self).send(message_out(message), None)

    def progress(self, fraction: float, text: str = "") -> None:
        """Say how far `load` is.

        Args:
            fraction: 0 to 1.
            text: what is being done.
        """
        host_of(self).progress(min(1.0, max(0.0, float(fraction))), text)

    def asset(self, name: str) -> Path:
        """The file `name` beside the model's own file.

        Raises:
            UsageError: there is none.
        """
        path = self._definition.folder / name
        if not path.exists():
            raise UsageError(f"no asset {name!r} beside {self._definition.folder.name}/; put the file there")
        return path

    def weights_path(self, name: str) -> Path:
        """Where the file of `weights` named `name` lies, fetched and checked.

        Raises:
            WeightsError: it is not declared, or not there.
        """
        return weights_file(self._definition.weights, name)


def host_of(model: Model) -> ModelHost:
    """Who runs a model."""
    return model.__dict__[_HOST]


def attach(model: Model, host: ModelHost) -> None:
    """Give an instance its host: its tracks and `send` go there from now on; parameters are back at their defaults."""
    _attach(model, host)


def _attach(model: Model, host: ModelHost) -> None:
    definition = definition_of(model)
    model.__dict__[_HOST] = host
    for name, track in definition.declarations.items():
        model.__dict__[name] = track.bound(name, host)
    reset_params(model)


def reset_params(model: Model) -> None:
    """Every parameter back to its default."""
    for param in definition_of(model).params.values():
        model.__dict__[param.name] = param.fresh_default()


def tracks_of(model: Model) -> dict[str, Track]:
    """The bound tracks of an instance, in the order of their declaration."""
    return {name: model.__dict__[name] for name in definition_of(model).declarations}
