"""The interface behind a model's tracks and its `self.send`: a model runner, or a stub for a model on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from livereactor.runtime.authoring.inputs import InputQueue
    from livereactor.runtime.interfaces import MessageOut


@dataclass(slots=True, eq=False)
class SessionMark:
    """The Session that a Client, a task or a call belongs to: the number it was started with, and whether it ended."""

    number: int
    over: bool = False


class ModelHost(Protocol):
    """The runner of a model. Any thread may call `send`, `progress` and `wanted`."""

    def send(self, message: MessageOut, client: int | None, mark: SessionMark | None = None) -> None:
        """Send to one client, or to all where `client` is None.

        Without an open Session, or with the mark of one that has ended, it sends nothing.
        """
        ...

    def progress(self, fraction: float, text: str) -> None: ...
    def wanted(self, track: str) -> bool: ...
    def retuned(self, track: str) -> None:
        """Apply the fps or pacing that the model has set on a track."""
        ...

    def flush(self, track: str) -> None: ...
    def wait_input(self, queue: InputQueue, timeout: float | None) -> bool:
        """Block the model's thread until `queue` has something unread, running commands meanwhile.

        Returns:
            False when `timeout` seconds passed first.

        Raises:
            GeneratorExit: the Session ends; `stream` unwinds.
        """
        ...


class NoHost:
    """The host of a model without a runner: it sends nothing and waits for nothing."""

    def send(self, message: MessageOut, client: int | None, mark: SessionMark | None = None) -> None: ...
    def progress(self, fraction: float, text: str) -> None: ...
    def wanted(self, track: str) -> bool:
        return True

    def retuned(self, track: str) -> None: ...
    def flush(self, track: str) -> None: ...
    def wait_input(self, queue: InputQueue, timeout: float | None) -> bool:
        return False
