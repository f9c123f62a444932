"""The target of operators' commands: the data folder on this machine, or a running coordinator."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from livereactor.base.errors import LivereactorError, UnavailableError, UsageError
from livereactor.settings import Settings, resolve

if TYPE_CHECKING:
    import httpx2

    from livereactor.wiring.data import Data

T = TypeVar("T")
TIMEOUT: Final = 30.0  # seconds for one answer of a coordinator
_UNAUTHENTICATED: Final = (401, 403)
_ANSWER_CHARS: Final = 500  # shown of an error that is not in our JSON format


class RemoteError(LivereactorError):
    """An error that a coordinator answered, with the coordinator's own `code` and `message`."""


@dataclass(frozen=True, slots=True)
class AdminTarget:
    """The data folder or coordinator that a command works on, from the options of the same names."""

    data_dir: Path | None = None
    coordinator: str | None = None
    key: str | None = None

    @property
    def is_remote(self) -> bool:
        """Whether the target is a coordinator rather than a folder."""
        return self.coordinator is not None

    def settings(self) -> Settings:
        """Return the settings in force on this machine."""
        given = {} if self.data_dir is None else {"coordinator.data_dir": self.data_dir}
        return resolve(Path(), command_line=given).settings

    def operate(self, work: Callable[[Data], Awaitable[T]], *, make: bool = False) -> T:
        """Run `work` on the data folder; with `make`, create the folder if it does not exist."""
        from livereactor.wiring.data import open_data

        _keep_stdout_clean()

        async def whole() -> T:
            async with open_data(self.settings(), make=make) as data:
                return await work(data)

        return asyncio.run(whole())

    def answer(
        self, method: str, path: str, here: Callable[[Data], Awaitable[Any]], *, body: object = None, part: str = ""
    ) -> Any:
        """Ask the coordinator, and return the `part` of its answer if one is named; or do `here` on the data folder."""
        if not self.is_remote:
            return self.operate(here)
        found = self.call(method, path, body)
        return found[part] if part else found

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send one request to the coordinator and return its JSON answer, or None.

        Raises:
            UsageError: the URL is invalid.
            UnavailableError: the coordinator cannot be reached.
            RemoteError: the coordinator answered with an error.
        """
        import httpx2

        url = (self.coordinator or "").rstrip("/")
        key = self.key or os.environ.get("LIVEREACTOR_API_KEY", "")
        headers = {"Reactor-API-Key": key} if key else {}
        try:
            answer = httpx2.request(method, url + path, json=body, headers=headers, timeout=TIMEOUT)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise UsageError(f"{url!r} is not a URL; write https://host:port") from error
        except httpx2.TransportError as error:
            raise UnavailableError(f"could not reach {url} ({_reason(error)}); check that it is running") from error
        if not answer.is_success:
            hint = "" if key else "; pass a key with the scope `admin` with --key or LIVEREACTOR_API_KEY"
            raise refusal(answer, url, hint)
        return _content(answer)


def refusal(answer: httpx2.Response, url: str, hint: str) -> RemoteError:
    """Return the error that a coordinator answered; `hint` is added if it asks for credentials."""
    content = _content(answer)
    problem = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    text = str(problem.get("error") or f"{url} answered {answer.status_code}")
    if answer.status_code in _UNAUTHENTICATED:
        text += hint
    return RemoteError(text, code=str(problem.get("code") or "SERVER_ERROR"))


def _content(answer: httpx2.Response) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        return {"error": answer.text[:_ANSWER_CHARS]}


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.rpartition("] ")[2].lower()  # without the error number


def _keep_stdout_clean() -> None:
    """Keep stdout for the result: log warnings and errors only, to stderr."""
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
