"""`lr.Model`, the base class of every model. A subclass is read when it is defined (`definition.py`)."""

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
    """Base class of a model. Declare tracks, parameters and commands, and write `stream`.

        class Lamp(lr.Model):
            main_video = lr.VideoOut(width=640, height=360)
            brightness: float = lr.param(0.5, ge=0, le=1)

            def stream(self):
                while True:
                    yield np.full((360, 640, 3), round(255 * self.brightness), np.uint8)

    `stream(self)` is a generator, sync or async. Each `yield` is one step. It gives a picture (uint8, or float in 0..1,
    shape (height, width, 3), RGB), a list of pictures, a dict `{track: picture or sound}`, `lr.wait_for(…)`, or None
    for a step without output. Sound is int16, or float in -1..1, of shape (samples,) or (samples, channels).

    All hooks are optional and may be async. They run on the model's own thread, never during a step.

    | hook | runs |
    |---|---|
    | `load(self)` or `load(self, config)`, then `warmup(self)` | once per worker |
    | `open(self, session)`, `close(self, session)` | once per Session |
    | `joined(self, client)`, `left(self, client)` | when a client connects or leaves |
    | `uploaded(self, file)` | when an uploaded file has arrived |

    A Session starts with every attribute as `load` and `warmup` left it, and every parameter at its default. An object
    that a Session changes in place stays changed: reset it in `open`.

    Attributes:
        name: the model's name for clients; by default the class name in kebab case.
        version: the version in the schema.
        messages: Message classes for the schema that no method of the model names.
        weights: files that are fetched and checked before `load`.
        run_without_viewers: run steps although no client receives an output.
        idle_timeout: seconds without a command after which a Session ends; None = never.
        max_sessions: Sessions that a worker of a coordinator serves at once, 1 to 256, each with its own instance.
            Share weights by a class attribute or a cached function. The instances load one after another.
            `livereactor run` always serves one.
        requeue: when a worker is lost, start its Sessions anew on another worker even if a client has seen them run.
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
            raise UsageError("lr.Model is a base class; write a class that inherits from it")
        model = super().__new__(cls)
        attach(model, NoHost())
        return model

    @property
    def log(self) -> Any:
        """A structlog logger whose records carry the Session's id: `self.log.info("grown", cells=12)`."""
        return structlog.get_logger("livereactor.model").bind(model=self._definition.name)

    def send(self, message: Message) -> None:
        """Send a Message to every client of the Session. Any thread may call it; without a Session it does nothing."""
        host_of(self).send(message_out(message), None)

    def progress(self, fraction: float, text: str = "") -> None:
        """Report the progress of `load` to clients that wait.

        Args:
            fraction: 0 to 1; values outside are clipped.
            text: a few words on the current work, such as "compiling".
        """
        host_of(self).progress(min(1.0, max(0.0, float(fraction))), text)

    def asset(self, name: str) -> Path:
        """Return the path of the file `name` next to the model's own file.

        Raises:
            UsageError: the file does not exist.
        """
        path = self._definition.folder / name
        if not path.exists():
            raise UsageError(f"no asset {name!r} in {self._definition.folder.name}/; put the file there")
        return path

    def weights_path(self, name: str) -> Path:
        """Return the path of the weights named `name`, fetched and checked.

        Raises:
            WeightsError: no weights of that name are declared, or the file is missing.
        """
        return weights_file(self._definition.weights, name)


def host_of(model: Model) -> ModelHost:
    """Return the host behind a model."""
    return model.__dict__[_HOST]


def attach(model: Model, host: ModelHost) -> None:
    """Give an instance its host: its tracks and `send` go there from now on; parameters are back at their defaults."""
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
