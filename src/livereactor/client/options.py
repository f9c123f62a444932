"""The options of a client: checked at once, and what is absent taken from the environment.

An environment variable is read only where the program says nothing itself. Where it gives one kind of credentials, or
of address, the variables of the other kinds are left alone.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar, Unpack, cast

import structlog

from livereactor.client.http.urls import DEFAULT_API_URL, DEFAULT_LOCAL_URL, base_url
from livereactor.protocol.json_text import json_fault

if TYPE_CHECKING:
    from livereactor.client.http.credentials import Resolver

CONNECTION_IDS: Final = range(1001, 10_000)  # the range in which servers and back ends give them
_TRUE: Final = ("1", "true", "yes", "on")
_F = TypeVar("_F", bound=Callable[..., Any])


class ReactorOptions(TypedDict, total=False):
    """The keyword arguments of `Reactor`, `SyncReactor` and typed clients; `Reactor` describes them."""

    jwt: str | Resolver | None
    api_url: str | None
    local: bool | str | None
    auto_resume_tracks: bool
    auto_reconnect: bool
    max_session_duration: float | None
    session_args: Mapping[str, Any] | None
    connect_timeout: float | None
    generation: Literal["streamed", "stepped"] | None
    report_stats: bool
    log_level: int | str | None


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """The decided options of a client: `url` is the runtime's where `local` is True, else the coordinator's."""

    model: str
    url: str
    local: bool
    api_key: str | None = field(default=None, repr=False)
    jwt: str | Resolver | None = field(default=None, repr=False)
    auto_resume_tracks: bool = True
    auto_reconnect: bool = False
    max_session_duration: float | None = None
    session_args: Mapping[str, Any] | None = None
    connect_timeout: float | None = None
    generation: Literal["streamed", "stepped"] | None = None
    report_stats: bool = True


def options_of(
    model_name: str | None = None, api_key: str | None = None, **given: Unpack[ReactorOptions]
) -> ClientOptions:
    """Return the checked options of a client.

    Raises:
        TypeError, ValueError: an argument, or the variable in its place, is not valid.
    """
    if unknown := sorted(given.keys() - ReactorOptions.__annotations__.keys()):
        raise TypeError(f"Reactor() got an unexpected keyword argument {unknown[0]!r}")
    jwt, api_url, local = given.get("jwt"), given.get("api_url"), given.get("local")
    if (generation := given.get("generation")) not in (None, "streamed", "stepped"):
        raise ValueError(f"generation is streamed or stepped, got {generation!r}")
    for name, text in (("api_key", api_key), ("api_url", api_url)):
        if text is not None and not isinstance(cast("object", text), str):
            raise TypeError(f"{name} is a string, not {type(text).__name__}")
    if local is not None and not isinstance(cast("object", local), bool | str):
        raise TypeError(f"local is True, False or an address, not {type(local).__name__}")
    url, is_local = _address(api_url, local)
    if api_key is None and jwt is None and not is_local:
        api_key, jwt = _environment("API_KEY"), _environment("JWT")
    return ClientOptions(
        _model(model_name),
        url,
        is_local,
        api_key,
        token_of(jwt),
        auto_resume_tracks=given.get("auto_resume_tracks", True),
        auto_reconnect=given.get("auto_reconnect", False),
        max_session_duration=positive("max_session_duration", given.get("max_session_duration")),
        session_args=_arguments(given.get("session_args")),
        connect_timeout=positive("connect_timeout", given.get("connect_timeout")),
        generation=generation,
        report_stats=given.get("report_stats", True),
    )


def names_options(options: type, **defaults: object) -> Callable[[_F], _F]:
    """Decorate a function that takes `**options: Unpack[…]` so that its signature names each option.

    Type checkers read the TypedDict; `help()`, notebooks and whatever else inspects a signature read this.

    Args:
        options: the TypedDict.
        defaults: those that are not None.
    """
    named = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(name),
            annotation=getattr(annotation, "__forward_arg__", annotation),
        )
        for name, annotation in inspect.get_annotations(options).items()
    ]

    def decorated(function: _F) -> _F:
        written = inspect.signature(function)
        own = [each for each in written.parameters.values() if each.kind is not each.VAR_KEYWORD]
        cast(Any, function).__signature__ = written.replace(parameters=[*own, *named])
        return function

    return decorated


names_reactor_options: Final = names_options(
    ReactorOptions, **{each.name: each.default for each in fields(ClientOptions) if isinstance(each.default, bool)}
)


def check_connect(session_id: object, connection_id: object, max_attempts: object) -> None:
    """Check the arguments of `connect()`.

    Raises:
        TypeError, ValueError: one of them is not valid.
    """
    check_attempts(max_attempts)
    if session_id is not None and (not isinstance(session_id, str) or not session_id):
        raise ValueError(f"session_id is the id of a session, got {session_id!r}")
    if connection_id is None:
        return
    if isinstance(connection_id, bool) or not isinstance(connection_id, int):
        raise TypeError(f"connection_id is a whole number, not {type(connection_id).__name__}")
    if connection_id not in CONNECTION_IDS:
        raise ValueError(f"connection_id is 1001 to 9999, got {connection_id}")
    if session_id is None:
        raise ValueError("connection_id belongs to an existing session: pass its session_id as well")


def check_attempts(max_attempts: object) -> None:
    """Check a number of polls.

    Raises:
        TypeError, ValueError: it is not a whole number of at least 1.
    """
    if isinstance(max_attempts, bool) or not isinstance(max_attempts, int):
        raise TypeError(f"max_attempts is a whole number, not {type(max_attempts).__name__}")
    if max_attempts < 1:
        raise ValueError(f"max_attempts is at least 1, got {max_attempts}")


def positive(name: str, seconds: object) -> float | None:
    """Return seconds above 0, or None, as they are given.

    Raises:
        TypeError, ValueError: `seconds` is anything else.
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} is seconds, not {type(seconds).__name__}")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{name} is seconds above 0, got {seconds:g}")
    return seconds


def bounded(name: str, seconds: object) -> float:
    """Return seconds above 0, for a wait that must have an end.

    Raises:
        TypeError, ValueError: `seconds` is anything else, None included.
    """
    found = positive(name, seconds)
    if found is None:
        raise TypeError(f"{name} is a number of seconds, not None: every wait needs a limit")
    return found


def token_of(jwt: object) -> str | Resolver | None:
    """Return a token, or the function that gives one, as it is given.

    Raises:
        TypeError: `jwt` is neither.
    """
    if jwt is None or isinstance(jwt, str):
        return jwt
    if not callable(jwt):
        raise TypeError(f"jwt is a string or a function that returns one, not {type(jwt).__name__}")
    return cast("Resolver", jwt)


def _arguments(session_args: object) -> Mapping[str, Any] | None:
    if session_args is None:
        return None
    if not isinstance(session_args, Mapping):
        raise TypeError(f"session_args is a mapping, not {type(session_args).__name__}")
    fault = json_fault(cast("object", session_args))
    if fault is not None:
        raise ValueError(f"session_args {fault}")
    return cast("Mapping[str, Any]", session_args)


def _model(name: object) -> str:
    name = _environment("MODEL") if name is None else name
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"model_name is the name of a model (name, owner/name or name@version), got {name!r}")
    return name.strip()


def _address(api_url: str | None, local: bool | str | None) -> tuple[str, bool]:
    if local is None and api_url is None and (_environment("LOCAL") or "").lower() in _TRUE:
        local = True
    if isinstance(local, str):
        return base_url(local), True
    if local:
        return base_url(os.environ.get("LIVEREACTOR_LOCAL_URL") or DEFAULT_LOCAL_URL), True
    return base_url(api_url or _environment("API_URL") or DEFAULT_API_URL), False


def _environment(name: str) -> str | None:
    return os.environ.get(f"LIVEREACTOR_{name}") or os.environ.get(f"REACTOR_{name}") or None


def set_up_log(level: int | str | None) -> None:
    """Log from `level` on. None leaves a program's own set-up of structlog as it is, and else logs warnings on stderr.

    Raises:
        ValueError: no log level has this name.
    """
    if level is None and structlog.is_configured():
        return
    number = logging.getLevelNamesMapping().get(level.upper()) if isinstance(level, str) else level
    if isinstance(level, str) and number is None:
        raise ValueError(f"no log level {level!r}; the levels are {', '.join(logging.getLevelNamesMapping())}")
    structlog.configure(
        # Plain tracebacks: the values of variables may hold secrets.
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if number is None else number),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # whatever that is when a line is written
    )
