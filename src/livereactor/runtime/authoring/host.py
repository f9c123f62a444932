"""The interface behind a model's tracks and its `self.send`: a model runner, or a stub for a model on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from livereactor.runtime.authoring.inputs import InputQueue
    from livereactor.runtime.authoring.outbox import Mark
    from livereactor.runtime.interfaces import MessageOut


class Host(Protocol):
    """Whoever runs a model. `say`, `progress` and `wanted` may be called from any thread."""

    def say(self, message: MessageOut, client: int | None, mark: Mark | None = None) -> None:
        """Send to one client, or to all where `client` is None; silently nothing without a Session, or where `mark`
        is of one that is over."""
        ...

    def progress(self, fraction: float, text: str) -> None: ...
    def wanted(self, track: str) -> bool: ...
    def retuned(self, track: str) -> None:
        """A track's fps or pacing was changed by the model."""
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
    """The host of a model that nobody runs: it speaks to nobody and waits for nothing."""

    def say(self, message: MessageOut, client: int | None, mark: Mark | None = None) -> None: ...
    def progress(self, fraction: float, text: str) -> None: ...
    def wanted(self, track: str) -> bool:
        return True

    def retuned(self, track: str) -> None: ...
    def flush(self, track: str) -> None: ...
    def wait_input(self, queue: InputQueue, timeout: float | None) -> bool:
        return False
