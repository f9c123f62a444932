"""Where operators' commands act: on the data folder of this machine, or on a coordinator that runs elsewhere."""

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
    from livereactor.wiring.data import Data

T = TypeVar("T")
TIMEOUT: Final = 30.0  # seconds for one answer of a coordinator
_NOT_LET_IN: Final = (401, 403)
_ANSWER_CHARS: Final = 500  # of an answer that is no problem of ours


class RemoteError(LivereactorError):
    """What a coordinator answered instead of doing it; `code` and `message` are its own."""


@dataclass(frozen=True, slots=True)
class AdminTarget:
    """What a command acts on; see the options of that name."""

    data_dir: Path | None = None
    coordinator: str | None = None
    key: str | None = None

    @property
    def is_remote(self) -> bool:
        """A coordinator, not a folder."""
        return self.coordinator is not None

    def settings(self) -> Settings:
        """Those in force here."""
        given = {} if self.data_dir is None else {"coordinator.data_dir": self.data_dir}
        return resolve(Path(), command_line=given).settings

    def operate(self, work: Callable[[Data], Awaitable[T]], *, make: bool = False) -> T:
        """Run `work` on the data folder; `make` makes one that is not there."""
        from livereactor.wiring.data import open_data

        _keep_stdout_clean()

        async def whole() -> T:
            async with open_data(self.settings(), make=make) as data:
                return await work(data)

        return asyncio.run(whole())

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request to the coordinator; its JSON answer, or None.

        Raises:
            UsageError: the URL is none.
            UnavailableError: it cannot be reached.
            RemoteError: it refused.
        """
        import httpx2

        url = (self.coordinator or "").rstrip("/")
        key = self.key or os.environ.get("LIVEREACTOR_API_KEY", "")
        headers = {"Reactor-API-Key": key} if key else {}
        try:
            answer = httpx2.request(method, url + path, json=body, headers=headers, timeout=TIMEOUT)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise UsageError(f"{url!r} is no URL; write https://host:port") from error
        except httpx2.TransportError as error:
            raise UnavailableError(f"could not reach {url} ({_reason(error)}); is it running?") from error
        content: Any = None
        if answer.content:
            try:
                content = answer.json()
            except ValueError:
                content = {"error": answer.text[:_ANSWER_CHARS]}
        if answer.is_success:
            return content
        problem = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
        text = str(problem.get("error") or f"{url} answered {answer.status_code}")
        if answer.status_code in _NOT_LET_IN and not key:
            text += "; give a key with the scope `admin` by --key or LIVEREACTOR_API_KEY"
        raise RemoteError(text, code=str(problem.get("code") or "SERVER_ERROR"))


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.rpartition("] ")[2].lower()  # without the number of the error


def _keep_stdout_clean() -> None:
    """stdout is the result's; what an operator does himself needs no telling, what wants a look goes to stderr."""
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
