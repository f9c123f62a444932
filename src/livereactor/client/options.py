"""What a client is made with: arguments checked at once, what is absent taken from the environment. Pure but for that.

No variable is read for what the program says itself, nor one kind of credentials or address beside another of it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import structlog

from livereactor.client.http.urls import DEFAULT_API_URL, DEFAULT_LOCAL_URL, base_url
from livereactor.protocol.json_text import json_fault

if TYPE_CHECKING:
    from livereactor.client.http.credentials import Resolver

CONNECTION_IDS: Final = range(1001, 10_000)  # as servers and back ends give them (behaviour 2.7)
_TRUE: Final = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class Options:
    """As `Reactor` takes them, each decided; `url` is the coordinator's, or where `local` the runtime's."""

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
    model_name: str | None,
    api_key: str | None,
    jwt: str | Resolver | None,
    api_url: str | None,
    local: bool | str | None,
    *,
    auto_resume_tracks: bool = True,
    auto_reconnect: bool = False,
    max_session_duration: float | None = None,
    session_args: Mapping[str, Any] | None = None,
    connect_timeout: float | None = None,
    generation: Literal["streamed", "stepped"] | None = None,
    report_stats: bool = True,
) -> Options:
    """The options of a client.

    Raises:
        TypeError, ValueError: an argument, or the variable in its place, that cannot be.
    """
    if generation not in (None, "streamed", "stepped"):
        raise ValueError(f"generation is streamed or stepped, got {generation!r}")
    for name, text in (("api_key", api_key), ("api_url", api_url)):
        if text is not None and not isinstance(cast("object", text), str):
            raise TypeError(f"{name} is a text, not {type(text).__name__}")
    if local is not None and not isinstance(cast("object", local), bool | str):
        raise TypeError(f"local is True, False or an address, not {type(local).__name__}")
    url, is_local = _address(api_url, local)
    if api_key is None and jwt is None and not is_local:
        api_key, jwt = _environment("API_KEY"), _environment("JWT")
    return Options(
        _model(model_name),
        url,
        is_local,
        api_key,
        token_of(jwt),
        auto_resume_tracks,
        auto_reconnect,
        positive("max_session_duration", max_session_duration),
        _arguments(session_args),
        positive("connect_timeout", connect_timeout),
        generation,
        report_stats,
    )


def check_connect(session_id: object, connection_id: object, max_attempts: object) -> None:
    """What `connect()` is given.

    Raises:
        TypeError, ValueError: it cannot be.
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
        raise ValueError("connection_id is one of a session that exists: give its session_id, too")


def check_attempts(max_attempts: object) -> None:
    """How many polls.

    Raises:
        TypeError, ValueError: no whole number from 1 on.
    """
    if isinstance(max_attempts, bool) or not isinstance(max_attempts, int):
        raise TypeError(f"max_attempts is a whole number, not {type(max_attempts).__name__}")
    if max_attempts < 1:
        raise ValueError(f"max_attempts is at least 1, got {max_attempts}")


def positive(name: str, seconds: object) -> float | None:
    """Seconds above 0, or None.

    Raises:
        TypeError, ValueError: they are not.
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} is seconds, not {type(seconds).__name__}")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{name} is seconds above 0, got {seconds:g}")
    return seconds


def bounded(name: str, seconds: object) -> float:
    """Seconds above 0, for what is never waited for without an end.

    Raises:
        TypeError, ValueError: they are not.
    """
    found = positive(name, seconds)
    if found is None:
        raise TypeError(f"{name} is seconds, not None: there is no waiting without an end")
    return found


def token_of(jwt: object) -> str | Resolver | None:
    """A token, or the function that gives one.

    Raises:
        TypeError: it is neither.
    """
    if jwt is None or isinstance(jwt, str):
        return jwt
    if not callable(jwt):
        raise TypeError(f"jwt is a text or a function that gives one, not {type(jwt).__name__}")
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
    """Log from `level` on; with None, leave a program's own set-up as it is.

    Raises:
        ValueError: there is no such level.
    """
    if level is None and structlog.is_configured():
        return
    number = logging.getLevelNamesMapping().get(level.upper()) if isinstance(level, str) else level
    if isinstance(level, str) and number is None:
        raise ValueError(f"no log level {level!r}; there are {', '.join(logging.getLevelNamesMapping())}")
    structlog.configure(
        # Plain tracebacks: those with the values of variables would show what no log may.
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
